#pragma once
/// The nearest latents of every latent by the cosine of their rows in the decoder or the encoder.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "gloss/base/reporter.h"
#include "gloss/sparse/best_of_row.h"
#include "gloss/sparse/kernels.h"
#include "gloss/sparse/row_source.h"

namespace gloss::sparse {

/// Shapes: latent, cosine [F, n] row-major: descending cosine, ties by ascending latent; kNoId and 0 where there are
/// fewer than n others. Units: cosine from -1 to 1.
struct Neighbours {
  std::size_t n = 0;
  std::vector<std::uint32_t> latent;
  std::vector<float> cosine;
};

struct NeighbourOptions {
  std::size_t n = 10;
  std::size_t threads = 1;
  std::string stage = "neighbours";  // what progress says, and where errors are
};

/// The n largest cosines of every row with the others, itself left out by its number. Exact but for rounding: a cosine
/// is a sum of float32 products (errors below 1e-6 at usual widths), the same for (a, b) as for (b, a), and the
/// selection among those numbers is exact. Rows of zeros have no neighbours and are none.
/// The product of all pairs is made in tiles, each of which serves both of its sides: F^2 D / 2 multiply-adds.
/// Memory: one copy of the rows (F * D * 4 bytes), 16 F n bytes, and a tile for each thread; never F x F.
/// Threads: `threads` workers; the result is the same for any number of them.
/// Errors: bad_input: a row holds a value that is not finite (names both).
/// Source: docs/methods.md 12.
Neighbours cosine_neighbours(const RowSource& rows, const NeighbourOptions& options, Reporter& reporter,
                             const Kernels& with = kernels());

}  // namespace gloss::sparse
