#include "gloss/sparse/logit_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>
#include <span>

#include "gloss/base/error.h"
#include "gloss/base/interrupt.h"
#include "gloss/base/parallel.h"
#include "gloss/sparse/panels.h"

namespace gloss::sparse {
namespace {

constexpr std::size_t kReadRows = 1024;

/// Sum of (z - centre)^2, ^3, ^4 of one row, in float32 lanes that are emptied into f64 before they grow long.
struct PowerSums {
  static constexpr std::size_t kLanes = 16;
  std::array<std::array<float, kLanes>, 3> lanes{};

  void add(const float* z, float centre) {
    for (std::size_t j = 0; j < kPanel; j += kLanes) {
      for (std::size_t i = 0; i < kLanes; ++i) {
        const float v = z[j + i] - centre;
        const float square = v * v;
        lanes[0][i] += square;
        lanes[1][i] += square * v;
        lanes[2][i] += square * square;
      }
    }
  }
  void add_some(const float* z, std::size_t count, float centre) {
    float some[kPanel];
    std::fill(some, some + kPanel, centre);  // adds nothing
    std::copy(z, z + count, some);
    add(some, centre);
  }
  void empty_into(std::array<double, 3>& sums) {
    for (std::size_t p = 0; p < sums.size(); ++p) {
      for (const float lane : lanes[p]) sums[p] += double{lane};
      lanes[p].fill(0.0F);
    }
  }
};

bool any_below(const float* z, float limit) {
  std::uint32_t any = 0;
  for (std::size_t j = 0; j < kPanel; ++j) any |= z[j] < limit ? 1U : 0U;
  return any != 0;
}

class Work {
 public:
  Work(const RowSource& decoder, const RowSource& unembedding, const LogitOptions& options, const Kernels& with)
      : decoder_(decoder),
        unembedding_(unembedding),
        options_(options),
        with_(with),
        tile_rows_(rows_per_product_tile(decoder.width)),
        high_(decoder.rows, options.n),
        low_(decoder.rows, options.n),
        sums_(decoder.rows),
        mean_(decoder.rows),
        is_zero_(decoder.rows) {}

  void run(Reporter& reporter) {
    const std::vector<double> centre = mean_token();
    const std::size_t tiles = (decoder_.rows + tile_rows_ - 1) / tile_rows_;
    const std::size_t row_bytes = std::max<std::size_t>(1, decoder_.width * sizeof(float));
    const std::size_t part = std::max<std::size_t>(kPanel, options_.memory_bytes / row_bytes / kPanel * kPanel);
    const std::uint64_t parts = (unembedding_.rows + part - 1) / part;
    std::atomic<std::uint64_t> done{0};
    for (std::size_t first = 0; first < unembedding_.rows; first += part) {
      pack(first, std::min(part, unembedding_.rows - first));
      parallel_for(tiles, options_.threads, [&](std::size_t tile, std::size_t) {
        stop_if_interrupted();
        work(tile * tile_rows_, first, centre);
        const std::uint64_t so_far = ++done;
        reporter.progress({options_.stage, decoder_.rows * so_far / (tiles * parts), decoder_.rows, "latents", ""});
      });
    }
  }

  LogitWeights result() const {
    LogitWeights out;
    const std::size_t n = options_.n;
    out.n = n;
    out.promoted.assign(decoder_.rows * n, kNoId);
    out.suppressed = out.promoted;
    out.promoted_weight.assign(decoder_.rows * n, 0.0F);
    out.suppressed_weight = out.promoted_weight;
    out.moments.assign(decoder_.rows * 4, 0.0F);
    for (std::size_t f = 0; f < decoder_.rows; ++f) {
      if (is_zero_[f] != 0) continue;
      for (std::size_t i = 0; i < n && high_.keys(f)[i] != 0; ++i) {
        out.promoted[f * n + i] = BestOfRow::id_of(high_.keys(f)[i]);
        out.promoted_weight[f * n + i] = BestOfRow::value_of(high_.keys(f)[i]);
        out.suppressed[f * n + i] = BestOfRow::id_of(low_.keys(f)[i]);
        out.suppressed_weight[f * n + i] = -BestOfRow::value_of(low_.keys(f)[i]);
      }
      const std::array<float, 4> moments = moments_of(f);
      std::copy(moments.begin(), moments.end(), out.moments.begin() + static_cast<std::ptrdiff_t>(f * 4));
    }
    return out;
  }

 private:
  /// Mean of the rows of W_U: a latent's mean weight is its decoder row's product with that.
  std::vector<double> mean_token() const {
    std::vector<double> mean(unembedding_.width, 0.0);
    std::vector<float> rows;
    for (std::size_t first = 0; first < unembedding_.rows; first += kReadRows) {
      rows.resize(std::min(kReadRows, unembedding_.rows - first) * unembedding_.width);
      unembedding_.read_finite(first, rows, options_.stage + ": W_U");
      for (std::size_t i = 0; i < rows.size(); i += unembedding_.width) {
        for (std::size_t d = 0; d < unembedding_.width; ++d) mean[d] += double{rows[i + d]};
      }
    }
    for (double& v : mean) v /= static_cast<double>(std::max<std::size_t>(1, unembedding_.rows));
    return mean;
  }

  void pack(std::size_t first, std::size_t count) {
    tokens_.resize(count, unembedding_.width);
    std::vector<float> rows;
    for (std::size_t begin = 0; begin < count; begin += kReadRows) {
      const std::size_t some = std::min(kReadRows, count - begin);
      rows.resize(some * unembedding_.width);
      unembedding_.read(first + begin, rows);
      for (std::size_t i = 0; i < some; ++i)
        tokens_.set(begin + i, std::span<const float>(rows).subspan(i * unembedding_.width, unembedding_.width));
    }
  }

  /// The latents from `first` on, one tile of them, with the packed tokens, which begin at `first_token`.
  void work(std::size_t first, std::size_t first_token, std::span<const double> centre) {
    constexpr std::size_t kPanelsTillEmptied = 64;
    const std::size_t count = std::min(tile_rows_, decoder_.rows - first);
    const std::size_t width = decoder_.width;
    std::vector<float> rows(count * width);
    decoder_.read_finite(first, rows, options_.stage + ": W_dec");
    Panels packed;
    packed.resize(count, width);
    for (std::size_t i = 0; i < count; ++i) {
      const auto row = std::span<const float>(rows).subspan(i * width, width);
      packed.set(i, row);
      double mean = 0.0;
      for (std::size_t d = 0; d < width; ++d) mean += double{row[d]} * centre[d];
      mean_[first + i] = mean;
      is_zero_[first + i] = std::all_of(row.begin(), row.end(), [](float v) { return v == 0.0F; }) ? 1 : 0;
    }
    AlignedFloats blocks;
    packed.copy_blocks(0, count, blocks);
    std::vector<PowerSums> power(count);
    for (std::size_t panel = 0; panel < tokens_.panels(); ++panel) {
      for (std::size_t row = 0; row < count; row += kRowBlock)
        product(blocks.data() + row * width, panel, first_token, first + row, std::span(power).subspan(row));
      if ((panel + 1) % kPanelsTillEmptied != 0 && panel + 1 != tokens_.panels()) continue;
      for (std::size_t i = 0; i < count; ++i) power[i].empty_into(sums_[first + i]);
    }
  }

  void product(const float* block, std::size_t panel, std::size_t first_token, std::size_t first_row,
               std::span<PowerSums> power) {
    const std::size_t columns = std::min(kPanel, tokens_.rows() - panel * kPanel);
    const auto token = static_cast<std::uint32_t>(first_token + panel * kPanel);
    const std::size_t row_count = std::min(kRowBlock, power.size());
    alignas(64) float z[kRowBlock * kPanel];
    alignas(64) float threshold[kRowBlock] = {};
    std::uint32_t hits[kRowBlock];
    for (std::size_t r = 0; r < row_count; ++r) threshold[r] = high_.below(first_row + r);
    with_.product(block, tokens_.panel(panel), kNoBias, decoder_.width, threshold, z, hits);
    const std::uint32_t real = columns == kPanel ? ~std::uint32_t{0} : (std::uint32_t{1} << columns) - 1;
    for (std::size_t r = 0; r < row_count; ++r) {
      const float* values = z + r * kPanel;
      const std::size_t f = first_row + r;
      for (std::uint32_t bits = hits[r] & real; bits != 0; bits &= bits - 1) {
        const auto j = static_cast<std::uint32_t>(std::countr_zero(bits));
        high_.insert(f, BestOfRow::to_key(values[j], token + j));
      }
      if (any_below(values, -low_.below(f))) {
        for (std::uint32_t j = 0; j < columns; ++j) {
          if (values[j] < -low_.below(f)) low_.insert(f, BestOfRow::to_key(-values[j], token + j));
        }
      }
      const auto centre = static_cast<float>(mean_[f]);
      if (columns == kPanel) {
        power[r].add(values, centre);
      } else {
        power[r].add_some(values, columns, centre);
      }
    }
  }

  /// From sums about a centre c that is the mean but for rounding: with e = mean - c and a_k = sum (z - c)^k / V,
  /// m2 = a2 - e^2, m3 = a3 - 3 e a2 + 2 e^3, m4 = a4 - 4 e a3 + 6 e^2 a2 - 3 e^4.
  std::array<float, 4> moments_of(std::size_t f) const {
    const double count = std::max<double>(1.0, static_cast<double>(unembedding_.rows));
    const double e = mean_[f] - double{static_cast<float>(mean_[f])};
    const double a2 = sums_[f][0] / count;
    const double a3 = sums_[f][1] / count;
    const double a4 = sums_[f][2] / count;
    const double m2 = std::max(0.0, a2 - e * e);
    const double m3 = a3 - 3.0 * e * a2 + 2.0 * e * e * e;
    const double m4 = a4 - 4.0 * e * a3 + 6.0 * e * e * a2 - 3.0 * e * e * e * e;
    const double deviation = std::sqrt(m2);
    // Where all weights are equal but for rounding, a quotient of rounding errors would say nothing.
    const bool flat = deviation <= 1e-6 * std::abs(mean_[f]);
    return {static_cast<float>(mean_[f]), static_cast<float>(deviation),
            flat ? 0.0F : static_cast<float>(m3 / (m2 * deviation)), flat ? 0.0F : static_cast<float>(m4 / (m2 * m2))};
  }

  alignas(64) static constexpr float kNoBias[kPanel] = {};

  const RowSource& decoder_;
  const RowSource& unembedding_;
  const LogitOptions& options_;
  const Kernels& with_;
  std::size_t tile_rows_;
  Panels tokens_;                            // part of the unembedding
  BestOfRow high_, low_;                     // low_: of the negated weights
  std::vector<std::array<double, 3>> sums_;  // [F]
  std::vector<double> mean_;                 // [F]
  std::vector<std::uint8_t> is_zero_;        // [F]
};

}  // namespace

LogitWeights logit_weights(const RowSource& decoder, const RowSource& unembedding, const LogitOptions& options,
                           Reporter& reporter, const Kernels& with) {
  if (decoder.width != unembedding.width)
    fail_input(options.stage,
               fmt::format("the decoder writes vectors of width {}, the unembedding reads {}", decoder.width,
                           unembedding.width),
               "logit weights belong to hookpoints that add to the residual stream");
  Work work(decoder, unembedding, options, with);
  work.run(reporter);
  return work.result();
}

}  // namespace gloss::sparse
