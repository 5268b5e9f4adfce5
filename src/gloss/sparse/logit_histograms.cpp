#include "gloss/sparse/logit_histograms.h"

#include <algorithm>
#include <atomic>
#include <numeric>

#include "gloss/base/interrupt.h"
#include "gloss/base/parallel.h"
#include "gloss/base/random.h"
#include "gloss/sparse/panels.h"

namespace gloss::sparse {
namespace {

constexpr std::size_t kMostTokens = 65'535;  // of a count in 16 bits

/// Ascending.
std::vector<std::uint64_t> counted_tokens(std::size_t vocabulary, const HistogramOptions& options) {
  const std::size_t wanted = std::min(options.tokens, kMostTokens);
  std::vector<std::uint64_t> tokens(vocabulary);
  std::iota(tokens.begin(), tokens.end(), std::uint64_t{0});
  if (vocabulary <= wanted) return tokens;
  tokens = Random::for_purpose(options.seed, "logit-histograms").sample(vocabulary, wanted);
  std::sort(tokens.begin(), tokens.end());
  return tokens;
}

Panels rows_of(const RowSource& source, std::span<const std::uint64_t> chosen, const std::string& where) {
  Panels packed;
  packed.resize(chosen.size(), source.width);
  std::vector<float> row(source.width);
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    source.read_finite(chosen[i], row, where);
    packed.set(i, row);
  }
  return packed;
}

std::size_t bin_of(float z, float low, float high, std::size_t bins) {
  if (!(z > low) || !(high > low)) return 0;
  const double place = (double{z} - double{low}) / (double{high} - double{low});
  return std::min(bins - 1, static_cast<std::size_t>(place * static_cast<double>(bins)));
}

}  // namespace

LogitHistograms logit_histograms(const RowSource& decoder, const RowSource& unembedding, std::span<const float> low,
                                 std::span<const float> high, const HistogramOptions& options, Reporter& reporter,
                                 const Kernels& with) {
  const std::vector<std::uint64_t> chosen = counted_tokens(unembedding.rows, options);
  const Panels tokens = rows_of(unembedding, chosen, options.stage + ": W_U");
  LogitHistograms found{options.bins, chosen.size(), std::vector<std::uint16_t>(decoder.rows * options.bins, 0)};
  const std::size_t width = decoder.width, tile_rows = rows_per_product_tile(width);
  const std::size_t tiles = (decoder.rows + tile_rows - 1) / tile_rows;
  std::atomic<std::uint64_t> done{0};
  parallel_for(tiles, options.threads, [&](std::size_t tile, std::size_t) {
    stop_if_interrupted();
    const std::size_t first = tile * tile_rows, count = std::min(tile_rows, decoder.rows - first);
    std::vector<float> rows(count * width);
    decoder.read_finite(first, rows, options.stage + ": W_dec");
    Panels packed;
    packed.resize(count, width);
    for (std::size_t i = 0; i < count; ++i) packed.set(i, std::span<const float>(rows).subspan(i * width, width));
    AlignedFloats blocks;
    packed.copy_blocks(0, count, blocks);
    alignas(64) static constexpr float kNoBias[kPanel] = {};
    alignas(64) static constexpr float kThreshold[kRowBlock] = {};
    alignas(64) float z[kRowBlock * kPanel];
    std::uint32_t hits[kRowBlock];
    for (std::size_t panel = 0; panel < tokens.panels(); ++panel) {
      const std::size_t columns = std::min(kPanel, tokens.rows() - panel * kPanel);
      for (std::size_t row = 0; row < count; row += kRowBlock) {
        with.product(blocks.data() + row * width, tokens.panel(panel), kNoBias, width, kThreshold, z, hits);
        for (std::size_t r = 0; r < std::min(kRowBlock, count - row); ++r) {
          const std::size_t f = first + row + r;
          std::uint16_t* bins = found.counts.data() + f * options.bins;
          for (std::size_t j = 0; j < columns; ++j) ++bins[bin_of(z[r * kPanel + j], low[f], high[f], options.bins)];
        }
      }
    }
    reporter.progress({options.stage, decoder.rows * ++done / tiles, decoder.rows, "latents", ""});
  });
  return found;
}

}  // namespace gloss::sparse
