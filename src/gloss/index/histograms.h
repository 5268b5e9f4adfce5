#pragma once
/// How strongly a latent fires and where in its contexts, in bins, as pages draw it.
#include <cstdint>
#include <vector>

#include "gloss/base/ids.h"
#include "gloss/index/reader.h"

namespace gloss::index {

/// Bin b holds what is from edges[b] and below edges[b + 1]; the last one its upper edge too.
template <class Edge>
struct Histogram {
  std::vector<Edge> edges;            // [bins + 1], ascending
  std::vector<std::uint64_t> counts;  // [bins], firings
};

/// Activations, in `bins` bins of equal width from 0 to the latent's maximum.
/// Requires: latent below the index's latent count; bins > 0.
Histogram<double> strength_histogram(const Reader& reader, LatentId latent, std::uint32_t bins);

/// Offsets in a context, from 0, in as many bins as there are offsets but at most `most_bins`: offset o is in bin
/// o * bins / ctx_len. Requires: as above.
Histogram<std::uint32_t> offset_histogram(const Reader& reader, LatentId latent, std::uint32_t most_bins);

}  // namespace gloss::index
