#pragma once
/// Which activating windows serve explaining, testing and refining. Method: docs/methods.md 2.
#include <cstdint>
#include <span>
#include <vector>

#include "gloss/base/random.h"
#include "gloss/examples/examples.h"
#include "gloss/examples/marks.h"
#include "gloss/examples/split.h"

namespace gloss::examples {

/// Draws them for one latent after another; keeps work memory.
class ActivatingSampler {
 public:
  /// `windows`: how many windows the contexts are cut into. Lifetime: `sides` and `options` must outlive this.
  ActivatingSampler(DocumentSides& sides, const Options& options, std::uint32_t ctx_len, std::uint64_t windows)
      : sides_(sides), options_(options), ctx_len_(ctx_len), splitter_(sides, ctx_len), chosen_(windows) {}

  /// Explain and test windows of those that are `ranked` strongest first (starts, no two of which overlap; reordered).
  /// The test windows are the same whatever the sampler is, as long as as many explain windows are wanted.
  /// Lifetime: valid until the next call.
  std::span<const Pick> draw(std::span<std::uint32_t> ranked, Random& random);
  /// Whether the last draw left explain or test without windows though there are some.
  bool left_a_side_empty() const { return empty_side_; }
  /// Refine windows of what the last draw left, none of which touches a window in `silent` (numbers among those the
  /// contexts are cut into). Lifetime: valid until the next call.
  std::span<const Pick> draw_refine(const Marks& silent, Random& random);

 private:
  void make_quantiles(std::span<std::uint32_t> ranked);
  void draw_explain(Random& random);
  void take_top(std::uint64_t count);
  void take_random(std::uint64_t first_ranks, std::uint64_t count, Random& random);
  bool take_rank(std::uint64_t rank);
  bool may_take(std::uint32_t start, Side side) const;
  void mark_chosen(bool on);
  std::uint8_t quantile_of(std::uint64_t rank) const;

  DocumentSides& sides_;
  const Options& options_;
  std::uint32_t ctx_len_;
  Splitter splitter_;
  Marks chosen_;  // windows (start / W) that serve a side, while a draw goes on
  std::vector<Pool> quantiles_;
  std::vector<Pick> picks_, refine_;
  std::vector<std::uint32_t> strongest_;  // as ranked
  std::vector<std::uint32_t> order_;      // ranks, to draw from
  bool empty_side_ = false;
};

}  // namespace gloss::examples
