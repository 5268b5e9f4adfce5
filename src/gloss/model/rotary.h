#pragma once
/// Rotary positions: the angles, and turning by them. Only for .cpp files built on torch.
#include <ATen/core/Tensor.h>

#include <mutex>
#include <vector>

#include "gloss/model/config.h"

namespace gloss::model {

/// cos and sin of the angles by which rotary positions turn pairs; made once for the longest context seen.
class RotaryTable {
 public:
  struct Rows {
    at::Tensor cos, sin;  // [T, 1, R/2] f32, for R = rotary_width
  };
  /// For config.ropes[rope]. Threads: any.
  Rows rows(const Config& config, std::uint32_t rope, std::int64_t length, at::Device device) const;
  /// The rows of these positions. Shapes: positions [T] i64 on the device wanted, all below `end`.
  Rows rows_at(const Config& config, std::uint32_t rope, const at::Tensor& positions, std::int64_t end) const;

 private:
  mutable std::mutex mutex_;
  mutable std::vector<Rows> made_;  // by rope
};

/// Radians per position for each pair of a head, scaled as `rope` says. Shapes: result [R/2] f32. Computed in f32,
/// since the models were trained and are run elsewhere with these roundings, which a long context multiplies.
at::Tensor inverse_frequencies(const Rope& rope, std::uint32_t rotary_width);

/// Turns the pair (i, i + R/2) of every head by the angle of its position; values from R on stay. Source: Su et al.
/// 2021, eq. 34, with the halves as the pairs. Shapes: x [B, T, heads, E], any strides; result the same, contiguous, of
/// x's type.
at::Tensor rotate(const at::Tensor& x, const RotaryTable::Rows& table);

}  // namespace gloss::model
