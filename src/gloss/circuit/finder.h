#pragma once
/// Finding a circuit: the indirect effect of every latent and error term, and the edges between neighbouring places.
/// Source: Marks et al. 2024 (arXiv 2403.19647), section 3; docs/methods.md 15 says what is ours.
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "gloss/base/reporter.h"
#include "gloss/circuit/graph.h"
#include "gloss/model/subject_model.h"

namespace gloss::circuit {

/// attribution: the gradient at the clean prompt. integrated: its mean over points on the way to the patch prompt.
enum class Method : std::uint8_t { attribution, integrated };

struct FinderOptions {
  Method method = Method::integrated;
  std::uint32_t steps = 10;     // points of the integral (Method::integrated)
  bool by_position = false;     // a node for each position; pairs must then be of one length
  double node_threshold = 0.1;  // nodes kept: |effect| at least this, in logits
  double edge_threshold = 0.01;
  std::uint32_t most_nodes = 0;  // of each place, the strongest; 0 = all above the threshold
};

/// Places in the order of a pass. Errors: usage: none, or two of one hookpoint.
std::vector<Place> in_order(std::vector<Place> places);

/// Requires: places in order. Errors: usage: no pair; pairs of several lengths with by_position; bad_input: prompts of
/// a pair that differ in length (names the pair, from 1); answers that are no tokens of the model; a coder that cannot
/// be taken apart; those of the model. Threads: as the model.
Graph find_circuit(const model::SubjectModel& model, std::span<const Place> places, std::span<const Pair> pairs,
                   const FinderOptions& options, Reporter& reporter);

}  // namespace gloss::circuit
