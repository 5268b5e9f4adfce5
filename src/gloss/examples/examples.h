#pragma once
/// Which windows show what a latent does: those an explainer sees, those a scorer judges, and silent ones.
/// Methods: docs/methods.md 2 and 3. Text is made later; here are only positions and activations.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gloss/base/ids.h"
#include "gloss/examples/latent_condition.h"
#include "gloss/index/latent_weights.h"
#include "gloss/index/reader.h"
#include "gloss/text/token_file.h"

namespace gloss::examples {

/// Silent windows: at random, of a neighbour's activating ones, or nearest by meaning to the explain windows. Written:
/// no window of the corpus, but a text made for a judgement; its `start` is a number.
enum class WindowKind : std::uint8_t {
  activating = 0,
  silent_random = 1,
  silent_neighbour = 2,
  silent_semantic = 3,
  written = 4
};
/// "activating", "random", "neighbours", "semantic", "written".
std::string_view name_of(WindowKind kind);

/// Where a window of kind silent_neighbour comes from.
struct NeighbourOrigin {
  LatentId latent{};              // the neighbour, which fires in the window
  std::uint8_t rank = 0;          // 1 = the nearest one; 0 = of no neighbour
  std::vector<float> activation;  // [W], the neighbour's
};

/// Which silent windows the test and refine splits have; the explain split's are random.
enum class Negatives : std::uint8_t { random, neighbours, semantic, mixed };
std::string_view name_of(Negatives negatives);
/// Errors: usage, unknown kind (lists the known and the nearest).
Negatives parse_negatives(std::string_view name);

/// How the explain windows are chosen; the test and refine windows come equally from all quantiles whatever it is.
enum class Sampler : std::uint8_t {
  quantiles,  // equally from all quantiles
  top,        // the strongest
  top_n,      // at random from the `top_n` strongest
  random,     // at random from all
  mixture     // half as top_n, half as random
};
std::string_view name_of(Sampler sampler);
/// Errors: usage, unknown sampler (lists the known and the nearest).
Sampler parse_sampler(std::string_view name);

/// W tokens of one context, beginning at position `start` (context * ctx_len + offset).
struct Window {
  std::uint32_t start = 0;
  WindowKind kind = WindowKind::activating;
  std::uint8_t quantile = 0;      // 1 (weakest) .. Q (nearest the maximum); 0 for silent windows
  float max = 0.0F;               // largest activation in it
  std::vector<float> activation;  // [W], 0 where the latent is silent
  /// Of silent_neighbour: cosine or Jaccard index of the two latents; of silent_semantic: cosine with the explain
  /// window it is nearest to.
  float similarity = 0.0F;
  NeighbourOrigin neighbour;
};

struct Options {
  std::uint32_t window = 32;       // W; divides ctx_len
  std::uint32_t quantiles = 10;    // Q
  std::uint32_t explain = 40;      // activating windows for explaining, over all quantiles
  std::uint32_t test = 70;         // activating windows for testing: per decile 5 for detection, 7 for fuzzing
  std::uint32_t refine = 20;       // activating windows for refining, of what explain and test leave
  std::uint32_t silent = 50;       // silent windows for each of explain, test and refine
  std::uint32_t min_windows = 20;  // fewer activating windows than that: too rare
  bool split_documents = true;     // no document serves two splits
  Sampler sampler = Sampler::quantiles;
  std::uint32_t top_n = 200;  // of top_n and mixture: how many of the strongest windows they draw from
  Negatives negatives = Negatives::random;
  std::uint32_t contrast = 0;  // silent windows nearest by meaning to the explain windows, for explainers that contrast
  std::uint32_t neighbours = 0;  // windows of similar latents for testing, drawn last, beside the silent ones
  bool center = false;           // windows around their strongest token in place of those that contexts are cut into
  std::uint64_t seed = 1;
};

enum class Status : std::uint8_t { ok, too_rare, dead };
std::string_view name_of(Status status);

/// The windows of one latent. Splits are disjoint by window, and by document when `documents_disjoint`. Order within
/// each is random. Fewer silent windows than asked for: there are no more (that the documents allow).
struct LatentExamples {
  LatentId latent{};
  Status status = Status::ok;
  float max_activation = 0.0F;     // M, over the whole cache
  std::uint64_t firing_count = 0;  // tokens at which it fires
  std::uint32_t window_count = 0;  // activating windows in all; centred ones that overlap count as one
  std::uint64_t silent_count = 0;  // silent windows in all
  /// No document serves two of explain, test and refine (with their silent windows). False when not asked for, and when
  /// asked for in vain: one document holds so many of the windows that explain or test would have none, so windows were
  /// split instead.
  bool documents_disjoint = false;
  std::vector<Window> explain, test, refine;
  std::vector<Window> explain_silent, test_silent, refine_silent;
  std::vector<Window> test_neighbours;  // of Options::neighbours; not among test_silent
  std::vector<Window> contrast;  // of the explain split, beside explain_silent: nearest to it by meaning, nearest first
};

/// Which latents are near each, as `gloss cache` left it.
struct NeighbourSource {
  index::LatentWeightsReader weights;
  index::WeightList list = index::WeightList::decoder_neighbours;
};

class SemanticPool;

/// What other than tokens and firings windows are drawn by.
struct Sources {
  std::optional<NeighbourSource> neighbours;     // for Negatives::neighbours and mixed, and Options::neighbours
  std::shared_ptr<const SemanticPool> semantic;  // for Negatives::semantic and Options::contrast
};

/// Makes the examples of one latent after another; keeps work memory. One object per thread.
class Builder {
 public:
  /// Lifetime: `reader` and `tokens` are handles, kept as copies. Errors: usage when W does not divide ctx_len;
  /// bad_input when index, tokens
  /// and sources disagree, or a source that the options need is missing.
  Builder(index::Reader reader, text::TokenFile tokens, Options options, Sources sources = {});
  ~Builder();
  Builder(Builder&&) noexcept;
  Builder& operator=(Builder&&) noexcept;

  /// Deterministic in (seed, hookpoint, latent) alone. Too rare or dead: no windows, the counts are still given.
  /// Requires: latent below the index's latent count.
  /// Errors: bad_input when firings of this latent are out of order or of range (the index is damaged).
  LatentExamples build(LatentId latent);
  /// The window_count that build() gives. Requires, errors: as build().
  std::uint32_t count_windows(LatentId latent);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Whether token i of the window is marked: a > 0 and a >= tau * window maximum (docs/methods.md, notation).
inline bool is_marked(const Window& w, std::size_t i, float tau) {
  return w.activation[i] > 0.0F && w.activation[i] >= tau * w.max;
}

/// Which latents a command works on: parts with commas between them. Latents are named by numbers and ranges
/// (`0-99,512`), by a list (`file:LIST.csv`, hookpoint,latent a line; it comes last) or all meant (`all`, or nothing
/// named). Of those, `alive`, `dead`, `density:1e-4..1e-2` (fraction of tokens, both ends in) and conditions
/// (latent_condition.h: `not positional and density < 0.01`) keep some, and `random:300` draws from what is left.
class LatentSpec {
 public:
  /// Errors: usage when it cannot be read (says where), bad_input for the file.
  static LatentSpec parse(std::string_view spec);
  /// The latents of one hookpoint, ascending. `random:n` draws n of those for which `eligible` holds (alive, enough
  /// windows). Errors: usage when a number is not below `latent_count`, or `of` does not give what is asked for.
  std::vector<LatentId> select(std::string_view hookpoint, std::uint32_t latent_count, std::uint64_t seed,
                               const std::vector<bool>& eligible, const LatentProperties& of = {}) const;

 private:
  struct Range {
    std::uint32_t first, last;
  };
  struct Band {
    double low, high;
  };
  void add_part(std::string_view part);
  void add_all();
  void add_range(std::string_view part);
  void add_band(std::string_view part);
  void add_condition(std::string_view part);
  std::vector<std::uint32_t> named(std::string_view hookpoint, std::uint32_t latent_count) const;

  std::uint64_t random_ = 0;
  bool named_ = false;  // otherwise all
  std::vector<Range> ranges_;
  std::vector<std::pair<std::string, std::uint32_t>> listed_;
  std::vector<Band> bands_;
  std::vector<LatentCondition> conditions_;
  std::string text_;
};

}  // namespace gloss::examples
