#pragma once
/// What encoding gives: the latents that fire on each row, and how strongly.
#include <cstddef>
#include <cstdint>
#include <vector>

namespace gloss::sparse {

/// Rows of any length. Shapes: offsets [N + 1], offsets[0] = 0; latent, value [offsets[N]]: row i is
/// [offsets[i], offsets[i + 1]). A row holds its active latents only: values above 0, descending, ties by ascending
/// latent; a top-K coder's row has K of them at most.
struct Encoded {
  std::vector<std::uint64_t> offsets = {0};
  std::vector<std::uint32_t> latent;
  std::vector<float> value;

  std::size_t rows() const { return offsets.size() - 1; }
};

}  // namespace gloss::sparse
