#include "gloss/index/histograms.h"

#include <algorithm>

namespace gloss::index {

Histogram<double> strength_histogram(const Reader& reader, LatentId latent, std::uint32_t bins) {
  const Firings firings = reader.firings(latent);
  const double max = reader.max(latent);
  Histogram<double> histogram;
  histogram.counts.assign(bins, 0);
  for (std::size_t i = 0; i < firings.size(); ++i) {
    const double share = max > 0.0 ? firings.value(i) / max : 0.0;
    ++histogram.counts[std::min<std::size_t>(static_cast<std::size_t>(share * bins), bins - 1)];
  }
  for (std::uint32_t i = 0; i <= bins; ++i) histogram.edges.push_back(max * i / bins);
  return histogram;
}

Histogram<std::uint32_t> offset_histogram(const Reader& reader, LatentId latent, std::uint32_t most_bins) {
  const Firings firings = reader.firings(latent);
  const std::uint32_t ctx_len = reader.ctx_len();
  const std::uint32_t bins = std::min(most_bins, ctx_len);
  Histogram<std::uint32_t> histogram;
  histogram.counts.assign(bins, 0);
  for (const std::uint32_t position : firings.position)
    ++histogram.counts[std::uint64_t{position % ctx_len} * bins / ctx_len];
  // The least offset of bin b.
  for (std::uint32_t b = 0; b <= bins; ++b)
    histogram.edges.push_back(static_cast<std::uint32_t>((std::uint64_t{b} * ctx_len + bins - 1) / bins));
  return histogram;
}

}  // namespace gloss::index
