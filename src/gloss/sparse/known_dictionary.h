#pragma once
/// For tests: activations whose sparse dictionary is known.
#include <cstdint>
#include <span>
#include <vector>

#include "gloss/sparse/train.h"

namespace gloss::sparse {

/// Rows are sums of `active` different vectors of a dictionary of random unit vectors, with amplitudes uniform in
/// 0.5..1.5. Source: docs/methods.md 17, "proof of a trainer".
class KnownDictionary {
 public:
  struct Size {
    std::size_t vectors = 512, width = 128, active = 8;
  };
  KnownDictionary(const Size& size, std::uint64_t seed);

  /// Shape [rows, width]; the same for the same batch number.
  std::vector<float> rows(std::uint64_t batch, std::size_t rows) const;
  Source source(std::size_t rows_per_batch) const;
  /// Mean over the dictionary of the largest cosine with a row of `learned` [*, width].
  double recovery(std::span<const float> learned) const;

 private:
  Size size_;
  std::uint64_t seed_;
  std::vector<float> vectors_;  // [vectors, width]
};

}  // namespace gloss::sparse
