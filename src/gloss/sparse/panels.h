#pragma once
/// Rows as the product kernel of kernels.h wants them: panels of 32 on one side, blocks of 12 on the other.
#include <cstddef>
#include <span>

#include "gloss/sparse/aligned.h"
#include "gloss/sparse/kernels.h"

namespace gloss::sparse {

class Panels {
 public:
  /// All rows zero. Memory: rows * width * 4 bytes, rows rounded up to a multiple of 32.
  void resize(std::size_t rows, std::size_t width) {
    rows_ = rows;
    width_ = width;
    values_.assign(panels() * width * kPanel, 0.0F);
  }
  std::size_t rows() const { return rows_; }
  std::size_t width() const { return width_; }
  std::size_t panels() const { return (rows_ + kPanel - 1) / kPanel; }
  /// Shape [D, kPanel].
  const float* panel(std::size_t index) const { return values_.data() + index * width_ * kPanel; }

  /// Shape: values [D]; each is multiplied by `scale`.
  void set(std::size_t row, std::span<const float> values, double scale = 1.0) {
    float* to = values_.data() + (row / kPanel) * width_ * kPanel + row % kPanel;
    for (std::size_t d = 0; d < width_; ++d) to[d * kPanel] = static_cast<float>(double{values[d]} * scale);
  }
  /// Rows [first, first + count) as blocks [ceil(count / 12)][D][12], zero beyond them.
  void copy_blocks(std::size_t first, std::size_t count, AlignedFloats& out) const {
    out.assign((count + kRowBlock - 1) / kRowBlock * width_ * kRowBlock, 0.0F);
    for (std::size_t i = 0; i < count; ++i) {
      const float* from = panel((first + i) / kPanel) + (first + i) % kPanel;
      float* to = out.data() + (i / kRowBlock) * width_ * kRowBlock + i % kRowBlock;
      for (std::size_t d = 0; d < width_; ++d) to[d * kRowBlock] = from[d * kPanel];
    }
  }

 private:
  std::size_t rows_ = 0, width_ = 0;
  AlignedFloats values_;  // [panels][D][kPanel]
};

/// Rows that one task takes at a time: their packed values stay in the second-level cache, and panels and blocks both
/// divide it.
inline std::size_t rows_per_product_tile(std::size_t width) {
  constexpr std::size_t kUnit = 96;  // 3 panels, 8 blocks
  constexpr std::size_t kTileFloats = 163840;
  constexpr std::size_t kMostUnits = 8;
  const std::size_t units = kTileFloats / (kUnit * (width == 0 ? 1 : width));
  return kUnit * (units < 1 ? 1 : units > kMostUnits ? kMostUnits : units);
}

}  // namespace gloss::sparse
