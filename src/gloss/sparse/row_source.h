#pragma once
/// Rows of a matrix that lies somewhere else, read a block at a time: decoder rows, encoder rows, rows of W_U.
#include <cstddef>
#include <functional>
#include <span>
#include <string>

namespace gloss::sparse {

struct RowSource {
  std::size_t rows = 0, width = 0;
  /// Copies rows [first, first + out.size() / width). Shapes: out [count, width] row-major. Called from several threads
  /// at once, in any order, for the same rows more than once.
  std::function<void(std::size_t first, std::span<float> out)> read;

  /// Errors: bad_input naming `where`, row and column of the first value of rows [first, ...) that is not finite.
  void read_finite(std::size_t first, std::span<float> out, const std::string& where) const;
  /// Of a matrix in memory. Shapes: values [rows, width] row-major. Lifetime: `values` must outlive the source.
  static RowSource of(std::span<const float> values, std::size_t width);
};

}  // namespace gloss::sparse
