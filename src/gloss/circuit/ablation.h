#pragma once
/// What a list of latents does for a metric: taken out, or everything else taken out.
/// Source: Marks et al. 2024 (arXiv 2403.19647), section 4: faithfulness and completeness; docs/methods.md 15.
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <vector>

#include "gloss/base/reporter.h"
#include "gloss/circuit/graph.h"
#include "gloss/model/subject_model.h"

namespace gloss::circuit {

/// Latents by place.
using Selected = std::vector<std::set<std::uint32_t>>;

struct AblationOptions {
  bool to_mean = false;      // to the mean over the tokens of all prompts instead of to 0
  bool keep_errors = false;  // error terms stay whatever is ablated; otherwise they go where everything else goes
  std::uint32_t controls = 20;
  std::uint64_t seed = 1;
  std::vector<bool> special = {};  // [V]: tokens at which nothing is ablated or counted; empty = none
};

/// The metric of the clean prompts, mean over pairs.
struct Ablated {
  double full = 0.0;               // nothing ablated
  double without = 0.0;            // the listed latents ablated
  double only = 0.0;               // all others ablated
  double none = 0.0;               // all ablated
  std::vector<double> controls;    // as many other latents ablated that fire as often, drawn again each time
  std::vector<double> full_of;     // [pairs]
  std::vector<double> without_of;  // [pairs]
  std::size_t latents = 0;

  /// (only - none) / (full - none): how much of the behaviour the list does alone.
  double faithfulness() const;
  /// (without - none) / (full - none): how much is left without it; 0 = the list holds all of it.
  double completeness() const;
};

/// Threads: as the model.
class Ablation {
 public:
  /// Runs all prompts once, for means and firing counts. Requires: places in order, which outlive this as the pairs do.
  /// Errors: as find_circuit().
  Ablation(const model::SubjectModel& model, std::span<const Place> places, std::span<const Pair> pairs,
           AblationOptions options);
  ~Ablation();
  Ablation(const Ablation&) = delete;
  Ablation& operator=(const Ablation&) = delete;

  /// The metric of each pair's clean prompt with these latents ablated, or with all others and, unless they are kept,
  /// the error terms. A latent is set to its value wherever it stands, from what the tokens before have become: places
  /// deeper down see what is left. Shapes: selected [places]; result [pairs].
  std::vector<double> metrics(const Selected& selected, bool others) const;
  /// As many latents of each place, none of them selected, each drawn from the 10 not yet drawn whose number of firings
  /// in the prompts is nearest to that of one selected. `draw` tells repeated ones apart.
  Selected control(const Selected& selected, std::uint64_t draw) const;
  /// All of it. Errors: usage when nothing is selected.
  Ablated measure(const Selected& selected, Reporter& reporter) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gloss::circuit
