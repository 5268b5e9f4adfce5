#include "gloss/sparse/encoder.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <utility>

#include "gloss/base/parallel.h"

namespace gloss::sparse {
namespace {

/// A candidate as one number: larger value first, then lower latent. Positive floats order as their bits do.
std::uint64_t to_key(float value, std::uint32_t latent) {
  return (std::uint64_t{std::bit_cast<std::uint32_t>(value)} << 32) | (~latent);
}
float value_of(std::uint64_t key) { return std::bit_cast<float>(static_cast<std::uint32_t>(key >> 32)); }
std::uint32_t latent_of(std::uint64_t key) { return ~static_cast<std::uint32_t>(key); }

/// The candidates of some rows. Latents come in ascending order, so a later value that only equals a row's K-th best
/// cannot displace it, and "above the threshold" is the whole test.
class Candidates {
 public:
  Candidates(std::size_t rows, std::size_t k)
      : k_(k), capacity_(k + std::max<std::size_t>(k, kPanel) + kPanel), keys_(rows * capacity_), count_(rows) {}

  /// Adds the values of a panel that `hits` marks. Shapes: z [kPanel].
  void add(std::size_t row, const float* z, std::uint32_t hits, std::uint32_t first_latent, float& threshold) {
    if (k_ <= kFew) {
      insert(row, z, hits, first_latent, threshold);
    } else {
      collect(row, z, hits, first_latent, threshold);
    }
  }

  /// Writes the row's best, padded with zeros, and empties it.
  void finish(std::size_t row, std::uint32_t* latent, float* value) {
    std::uint64_t* keys = keys_.data() + row * capacity_;
    std::size_t& count = count_[row];
    keep_best(keys, count);
    std::sort(keys, keys + count, std::greater<>());
    for (std::size_t i = 0; i < count; ++i) {
      latent[i] = latent_of(keys[i]);
      value[i] = value_of(keys[i]);
    }
    pad(latent, value, count);
    count = 0;
  }

 private:
  static constexpr std::size_t kFew = 16;  // up to here sorted insertion is the faster way

  /// Keeps the row's best in order, so that the threshold is always exact.
  void insert(std::size_t row, const float* z, std::uint32_t hits, std::uint32_t first_latent, float& threshold) {
    std::uint64_t* keys = keys_.data() + row * capacity_;
    std::size_t& count = count_[row];
    for (; hits != 0; hits &= hits - 1) {
      const auto j = static_cast<std::uint32_t>(std::countr_zero(hits));
      if (!(z[j] > threshold)) continue;  // an earlier one of this panel has raised it
      const std::uint64_t key = to_key(z[j], first_latent + j);
      std::size_t at = count < k_ ? count++ : k_ - 1;
      for (; at > 0 && keys[at - 1] < key; --at) keys[at] = keys[at - 1];
      keys[at] = key;
      if (count == k_) threshold = value_of(keys[k_ - 1]);
    }
  }

  /// Gathers candidates and cuts them down to the best when room runs out.
  void collect(std::size_t row, const float* z, std::uint32_t hits, std::uint32_t first_latent, float& threshold) {
    std::uint64_t* keys = keys_.data() + row * capacity_;
    std::size_t& count = count_[row];
    for (; hits != 0; hits &= hits - 1) {
      const auto j = static_cast<std::uint32_t>(std::countr_zero(hits));
      keys[count++] = to_key(z[j], first_latent + j);
    }
    if (count > capacity_ - kPanel) {  // the next panel might not fit
      keep_best(keys, count);
      threshold = value_of(keys[k_ - 1]);
    }
  }

  void keep_best(std::uint64_t* keys, std::size_t& count) const {
    if (count <= k_) return;
    std::nth_element(keys, keys + k_ - 1, keys + count, std::greater<>());
    count = k_;
  }

  void pad(std::uint32_t* latent, float* value, std::size_t count) const {
    const auto filled = static_cast<std::ptrdiff_t>(count);
    std::uint32_t next = 0;
    for (std::size_t i = count; i < k_; ++i, ++next) {
      while (std::find(latent, latent + filled, next) != latent + filled) ++next;
      latent[i] = next;
      value[i] = 0.0F;
    }
  }

  std::size_t k_;
  std::size_t capacity_;
  std::vector<std::uint64_t> keys_;  // [rows, capacity]
  std::vector<std::size_t> count_;   // [rows]
};

/// Rows that one task encodes: many, so that a panel fetched from memory serves them all; few enough that their packed
/// values stay in the second-level cache.
std::size_t rows_per_tile(std::size_t width) {
  constexpr std::size_t kTileFloats = std::size_t{1} << 17;
  constexpr std::size_t kFewestBlocks = 4;
  constexpr std::size_t kMostBlocks = 16;
  return kRowBlock * std::clamp(kTileFloats / (width * kRowBlock), kFewestBlocks, kMostBlocks);
}

/// Rows [first, first + count) as [block][D][kRowBlock], zero beyond the last row.
void pack_rows(const EncoderInput& input, std::size_t first, std::size_t count, std::size_t width, AlignedFloats& out) {
  const std::size_t blocks = (count + kRowBlock - 1) / kRowBlock;
  out.assign(blocks * width * kRowBlock, 0.0F);
  for (std::size_t row = 0; row < count; ++row) {
    const float* from = input.x + (first + row) * width;
    float* to = out.data() + (row / kRowBlock) * width * kRowBlock + row % kRowBlock;
    if (input.subtract == nullptr) {
      for (std::size_t d = 0; d < width; ++d) to[d * kRowBlock] = from[d];
    } else {
      for (std::size_t d = 0; d < width; ++d) to[d * kRowBlock] = from[d] - input.subtract[d];
    }
  }
}

/// What the rows of a tile have above their thresholds, in the order of the panels.
class Gathered {
 public:
  explicit Gathered(std::size_t rows) : per_row_(rows) {}

  void add(std::size_t row, std::uint32_t latent, float value) {
    row_.push_back(static_cast<std::uint32_t>(row));
    latent_.push_back(latent);
    value_.push_back(value);
    ++per_row_[row];
  }

  /// A counting sort by row; latents stay in ascending order.
  Encoded by_row() const {
    Encoded out;
    out.offsets.resize(per_row_.size() + 1);
    std::partial_sum(per_row_.begin(), per_row_.end(), out.offsets.begin() + 1);
    out.latent.resize(row_.size());
    out.value.resize(row_.size());
    std::vector<std::uint64_t> next(out.offsets.begin(), out.offsets.end() - 1);
    for (std::size_t i = 0; i < row_.size(); ++i) {
      const std::uint64_t to = next[row_[i]]++;
      out.latent[to] = latent_[i];
      out.value[to] = value_[i];
    }
    return out;
  }

 private:
  std::vector<std::uint32_t> row_, latent_;
  std::vector<float> value_;
  std::vector<std::uint64_t> per_row_;
};

/// The rows of all tiles, one after the other.
Encoded joined(std::vector<Encoded>& parts) {
  if (parts.size() == 1) return std::move(parts.front());
  std::size_t values = 0;
  for (const Encoded& part : parts) values += part.value.size();
  Encoded out;
  out.latent.reserve(values);
  out.value.reserve(values);
  for (Encoded& part : parts) {
    const std::uint64_t before = out.value.size();
    for (std::size_t row = 0; row < part.rows(); ++row) out.offsets.push_back(before + part.offsets[row + 1]);
    out.latent.insert(out.latent.end(), part.latent.begin(), part.latent.end());
    out.value.insert(out.value.end(), part.value.begin(), part.value.end());
    part = Encoded();
  }
  return out;
}

}  // namespace

void EncoderPanels::pack(const float* weight, const float* bias, std::size_t latents, std::size_t width,
                         std::size_t threads, std::span<const std::uint32_t> which) {
  latents_ = which.empty() ? latents : which.size();
  width_ = width;
  const std::size_t panels = (latents_ + kPanel - 1) / kPanel;
  panels_.resize(panels * width * kPanel);
  bias_.resize(panels * kPanel);
  parallel_for(panels, threads, [&](std::size_t panel, std::size_t) {
    float* to = panels_.data() + panel * width * kPanel;
    for (std::size_t j = 0; j < kPanel; ++j) {
      const std::size_t latent = panel * kPanel + j;
      const bool real = latent < latents_;
      const std::size_t row = !real ? 0 : which.empty() ? latent : which[latent];
      bias_[latent] = real ? bias[row] : -1.0F;
      for (std::size_t d = 0; d < width; ++d) to[d * kPanel + j] = real ? weight[row * width + d] : 0.0F;
    }
  });
}

void TopkEncoder::encode(const EncoderInput& input, std::uint32_t k, std::size_t threads, const EncoderOutput& output,
                         const Kernels& with) const {
  const std::size_t tile_rows = rows_per_tile(width());
  const std::size_t tiles = (input.rows + tile_rows - 1) / tile_rows;
  parallel_for(tiles, threads, [&](std::size_t tile, std::size_t) {
    const std::size_t first = tile * tile_rows;
    const std::size_t count = std::min(tile_rows, input.rows - first);
    AlignedFloats packed;
    pack_rows(input, first, count, width(), packed);
    Candidates candidates(tile_rows, k);
    std::vector<float> threshold(tile_rows, 0.0F);  // ReLU: only values above 0 are candidates
    alignas(64) float z[kRowBlock * kPanel];
    std::uint32_t hits[kRowBlock];
    for (std::size_t i = 0; i < this->count(); ++i) {
      const auto first_latent = static_cast<std::uint32_t>(i * kPanel);
      for (std::size_t row = 0; row < count; row += kRowBlock) {
        with.product(packed.data() + row * width(), panel(i), bias(i), width(), threshold.data() + row, z, hits);
        for (std::size_t r = 0; r < std::min(kRowBlock, count - row); ++r) {
          if (hits[r] != 0) candidates.add(row + r, z + r * kPanel, hits[r], first_latent, threshold[row + r]);
        }
      }
    }
    for (std::size_t row = 0; row < count; ++row)
      candidates.finish(row, output.latent + (first + row) * k, output.value + (first + row) * k);
  });
}

void ThresholdEncoder::set_thresholds(std::span<const float> threshold) {
  threshold_.assign(count() * kPanel, std::numeric_limits<float>::infinity());
  std::copy(threshold.begin(), threshold.end(), threshold_.begin());
}

Encoded ThresholdEncoder::encode(const EncoderInput& input, std::size_t threads, const Kernels& with) const {
  const std::size_t tile_rows = rows_per_tile(width());
  const std::size_t tiles = (input.rows + tile_rows - 1) / tile_rows;
  std::vector<Encoded> parts(tiles);
  parallel_for(tiles, threads, [&](std::size_t tile, std::size_t) {
    const std::size_t first = tile * tile_rows;
    const std::size_t rows = std::min(tile_rows, input.rows - first);
    AlignedFloats packed;
    pack_rows(input, first, rows, width(), packed);
    Gathered gathered(rows);
    alignas(64) float z[kRowBlock * kPanel];
    std::uint32_t hits[kRowBlock];
    for (std::size_t i = 0; i < count(); ++i) {
      for (std::size_t row = 0; row < rows; row += kRowBlock) {
        with.product_by_latent(packed.data() + row * width(), panel(i), bias(i), width(),
                               threshold_.data() + i * kPanel, z, hits);
        for (std::size_t r = 0; r < std::min(kRowBlock, rows - row); ++r) {
          for (std::uint32_t bits = hits[r]; bits != 0; bits &= bits - 1) {
            const auto j = static_cast<std::uint32_t>(std::countr_zero(bits));
            gathered.add(row + r, static_cast<std::uint32_t>(i * kPanel) + j, z[r * kPanel + j]);
          }
        }
      }
    }
    parts[tile] = gathered.by_row();
  });
  return joined(parts);
}

Encoded GroupmaxEncoder::encode(const EncoderInput& input, std::uint32_t k, std::size_t threads,
                                const Kernels& with) const {
  const std::size_t group = latents() / k;
  const std::size_t tile_rows = rows_per_tile(width());
  const std::size_t tiles = (input.rows + tile_rows - 1) / tile_rows;
  std::vector<Encoded> parts(tiles);
  parallel_for(tiles, threads, [&](std::size_t tile, std::size_t) {
    const std::size_t first = tile * tile_rows;
    const std::size_t rows = std::min(tile_rows, input.rows - first);
    AlignedFloats packed;
    pack_rows(input, first, rows, width(), packed);
    std::vector<float> best(rows * k, 0.0F);  // ReLU: a group without a positive value has no winner
    std::vector<std::uint32_t> winner(rows * k);
    std::vector<float> threshold(tile_rows);
    alignas(64) float z[kRowBlock * kPanel];
    std::uint32_t hits[kRowBlock];
    for (std::size_t i = 0; i < count(); ++i) {
      const std::size_t begin = i * kPanel;
      const bool one_group = begin / group == (begin + kPanel - 1) / group;
      for (std::size_t row = 0; row < rows; ++row) threshold[row] = one_group ? best[row * k + begin / group] : 0.0F;
      for (std::size_t row = 0; row < rows; row += kRowBlock) {
        with.product(packed.data() + row * width(), panel(i), bias(i), width(), threshold.data() + row, z, hits);
        for (std::size_t r = 0; r < std::min(kRowBlock, rows - row); ++r) {
          for (std::uint32_t bits = hits[r]; bits != 0; bits &= bits - 1) {
            const auto j = static_cast<std::size_t>(std::countr_zero(bits));
            const std::size_t at = (row + r) * k + (begin + j) / group;
            if (!(z[r * kPanel + j] > best[at])) continue;
            best[at] = z[r * kPanel + j];
            winner[at] = static_cast<std::uint32_t>(begin + j);
          }
        }
      }
    }
    Gathered gathered(rows);
    for (std::size_t at = 0; at < best.size(); ++at) {
      if (best[at] > 0.0F) gathered.add(at / k, winner[at], best[at]);
    }
    parts[tile] = gathered.by_row();
  });
  return joined(parts);
}

void encode_reference(const EncoderInput& input, std::span<const float> weight, std::span<const float> bias,
                      std::uint32_t k, const EncoderOutput& output) {
  const std::size_t latents = bias.size();
  const std::size_t width = weight.size() / latents;
  std::vector<double> z(latents);
  std::vector<std::uint32_t> order(latents);
  for (std::size_t row = 0; row < input.rows; ++row) {
    for (std::size_t f = 0; f < latents; ++f) {
      double sum = bias[f];
      for (std::size_t d = 0; d < width; ++d) {
        const float u = input.x[row * width + d] - (input.subtract == nullptr ? 0.0F : input.subtract[d]);
        sum += double{u} * double{weight[f * width + d]};
      }
      z[f] = std::max(sum, 0.0);
    }
    std::iota(order.begin(), order.end(), 0U);
    std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return z[a] > z[b]; });
    for (std::size_t i = 0; i < k; ++i) {
      output.latent[row * k + i] = order[i];
      output.value[row * k + i] = static_cast<float>(z[order[i]]);
    }
  }
}

}  // namespace gloss::sparse
