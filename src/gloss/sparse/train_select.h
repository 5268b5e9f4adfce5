#pragma once
/// Which latents of each row a training step keeps: TopK, BatchTopK, JumpReLU. None holds [N, F].
/// Method: docs/methods.md 9.
#include <cstdint>
#include <span>
#include <vector>

#include "gloss/sparse/aligned.h"
#include "gloss/sparse/encoder.h"

namespace gloss::sparse {

/// What was kept of N rows, and the gradient of its values. Row r has entries [begin[r], begin[r] + active[r]); what
/// lies between the rows counts for nothing. Shapes: begin, active [N]; latent, value, slope as long as needed.
struct Kept {
  std::vector<std::size_t> begin;
  std::vector<std::uint32_t> active;
  std::vector<std::uint32_t> latent;
  std::vector<float> value, slope;

  bool used() const { return !begin.empty(); }
  void clear() { begin.clear(); }
};

/// The K largest positive values of each row. `which` names the encoder's latents where it holds some of them only.
/// Shapes: x [rows, D].
void select_topk(const TopkEncoder& encoder, const AlignedFloats& x, std::uint32_t k, std::size_t threads,
                 std::span<const std::uint32_t> which, Kept& out);

/// The rows * K largest positive values of all rows together, ties to the lower row, then the lower latent. Exact: a
/// row shows its 2 K largest at first; one of which all are kept is asked for twice as many until some are not.
/// Source: Bussmann et al. 2024 (arXiv 2412.06410).
class BatchTopk {
 public:
  /// Entries of a row are in descending order. Shapes: x [rows, D].
  void select(const TopkEncoder& encoder, const AlignedFloats& x, std::uint32_t k, std::size_t threads, Kept& out);

 private:
  void add_candidates(const TopkEncoder& encoder, const float* x, std::span<const std::uint32_t> rows,
                      std::uint32_t most, std::size_t threads, Kept& out);
  void cut(std::size_t keep, Kept& out);

  std::vector<std::uint32_t> positive_;  // [N]: candidates of each row
  std::vector<std::uint64_t> keys_;
  AlignedFloats asked_;  // rows asked again
};

/// The smallest value kept; 0 when nothing is.
float smallest_kept(const Kept& kept);

/// JumpReLU: `active` gets z > threshold, `edge` what lies within half a bandwidth of its threshold, on either side of
/// it (its values of z > 0): the rectangle kernel of the straight-through estimator. Rows by ascending latent.
/// Shapes: x [rows, D]; threshold [F] > 0. Requires: the encoder is packed.
void select_jumprelu(ThresholdEncoder& encoder, const AlignedFloats& x, std::span<const float> threshold,
                     float bandwidth, std::size_t threads, Kept& active, Kept& edge);

}  // namespace gloss::sparse
