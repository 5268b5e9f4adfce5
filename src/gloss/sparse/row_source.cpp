#include "gloss/sparse/row_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "gloss/base/error.h"

namespace gloss::sparse {

void RowSource::read_finite(std::size_t first, std::span<float> out, const std::string& where) const {
  read(first, out);
  const auto bad = std::find_if(out.begin(), out.end(), [](float v) { return !std::isfinite(v); });
  if (bad == out.end()) return;
  const auto at = static_cast<std::size_t>(bad - out.begin());
  fail_input(where, fmt::format("row {}, column {} is {}, wanted finite numbers", first + at / width, at % width, *bad),
             "the weights are damaged: copy the file again");
}

RowSource RowSource::of(std::span<const float> values, std::size_t width) {
  return {width == 0 ? 0 : values.size() / width, width, [values, width](std::size_t first, std::span<float> out) {
            const auto from = values.subspan(first * width, out.size());
            std::copy(from.begin(), from.end(), out.begin());
          }};
}

}  // namespace gloss::sparse
