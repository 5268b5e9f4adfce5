#include "gloss/sparse/train_select.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <numeric>

#include "gloss/sparse/blocks.h"

namespace gloss::sparse {
namespace {

constexpr std::size_t kRowsPerBlock = 64;

/// The place of a candidate among all: larger value first, then the lower row. Positive floats order as their bits do.
std::uint64_t to_key(float value, std::size_t row) {
  return (std::uint64_t{std::bit_cast<std::uint32_t>(value)} << 32) | std::uint32_t{~static_cast<std::uint32_t>(row)};
}
std::size_t row_of(std::uint64_t key) { return std::uint32_t{~static_cast<std::uint32_t>(key)}; }

/// Entries of `count` rows from `first` on, `stride` each. Values are in descending order, zeros last.
std::uint32_t positive_of(const std::vector<float>& values, std::size_t first, std::uint32_t stride) {
  const auto begin = values.begin() + static_cast<std::ptrdiff_t>(first);
  return static_cast<std::uint32_t>(std::find(begin, begin + stride, 0.0F) - begin);
}

void append(Kept& to, std::uint32_t latent, float value) {
  to.latent.push_back(latent);
  to.value.push_back(value);
}

void restart(Kept& s, std::size_t rows) {
  s.begin.assign(rows, 0);
  s.active.assign(rows, 0);
  s.latent.clear();
  s.value.clear();
}

}  // namespace

void select_topk(const TopkEncoder& encoder, const AlignedFloats& x, std::uint32_t k, std::size_t threads,
                 std::span<const std::uint32_t> which, Kept& out) {
  const std::size_t rows = x.size() / encoder.width();
  out.begin.resize(rows);
  out.active.resize(rows);
  out.latent.resize(rows * k);
  out.value.resize(rows * k);
  out.slope.resize(rows * k);
  encoder.encode({x.data(), nullptr, rows}, k, threads, {out.latent.data(), out.value.data()});
  for_blocks(rows, kRowsPerBlock, threads, [&](std::size_t, std::size_t begin, std::size_t end) {
    for (std::size_t row = begin; row < end; ++row) {
      out.begin[row] = row * k;
      out.active[row] = positive_of(out.value, row * k, k);
      if (which.empty()) continue;
      for (std::size_t i = row * k; i < (row + 1) * k; ++i) out.latent[i] = which[out.latent[i]];
    }
  });
}

/// Puts the `most` best of these rows at the end. Shapes: x [rows.size(), D].
void BatchTopk::add_candidates(const TopkEncoder& encoder, const float* x, std::span<const std::uint32_t> rows,
                               std::uint32_t most, std::size_t threads, Kept& out) {
  const std::size_t old = out.value.size();
  out.latent.resize(old + rows.size() * most);
  out.value.resize(old + rows.size() * most);
  encoder.encode({x, nullptr, rows.size()}, most, threads, {out.latent.data() + old, out.value.data() + old});
  for (std::size_t i = 0; i < rows.size(); ++i) {
    out.begin[rows[i]] = old + i * most;
    positive_[rows[i]] = positive_of(out.value, out.begin[rows[i]], most);
  }
}

/// Sets `active` to what the `keep` largest of all candidates leave of each row: as rows descend, a head of it.
void BatchTopk::cut(std::size_t keep, Kept& out) {
  keys_.clear();
  for (std::size_t row = 0; row < positive_.size(); ++row) {
    for (std::size_t i = 0; i < positive_[row]; ++i) keys_.push_back(to_key(out.value[out.begin[row] + i], row));
  }
  out.active = positive_;
  if (keys_.size() <= keep) return;
  const auto nth = keys_.begin() + static_cast<std::ptrdiff_t>(keep) - 1;
  std::nth_element(keys_.begin(), nth, keys_.end(), std::greater<>());
  const std::uint64_t last = *nth;
  const auto above = std::count_if(keys_.begin(), nth, [last](std::uint64_t key) { return key > last; });
  for (std::size_t row = 0; row < positive_.size(); ++row) {
    const float* values = out.value.data() + out.begin[row];
    const float* end =
        std::partition_point(values, values + positive_[row], [&](float value) { return to_key(value, row) > last; });
    out.active[row] = static_cast<std::uint32_t>(end - values);
  }
  // Equal values of one row have one key: of these, the lower latents, which come first.
  out.active[row_of(last)] += static_cast<std::uint32_t>(keep - static_cast<std::size_t>(above));
}

void BatchTopk::select(const TopkEncoder& encoder, const AlignedFloats& x, std::uint32_t k, std::size_t threads,
                       Kept& out) {
  const std::size_t width = encoder.width();
  const std::size_t count = x.size() / width;
  const auto latents = static_cast<std::uint32_t>(encoder.latents());
  restart(out, count);
  positive_.assign(count, 0);
  std::vector<std::uint32_t> rows(count);
  std::iota(rows.begin(), rows.end(), 0U);
  const float* from = x.data();
  for (std::uint32_t most = std::min(2 * k, latents); !rows.empty(); most = std::min(2 * most, latents)) {
    add_candidates(encoder, from, rows, most, threads, out);
    cut(count * k, out);
    // More candidates only raise the cut, so that a row which was not full before cannot be so now.
    std::erase_if(rows, [&](std::uint32_t row) { return out.active[row] < most || most == latents; });
    asked_.resize(rows.size() * width);
    for (std::size_t i = 0; i < rows.size(); ++i)
      std::copy_n(x.data() + rows[i] * width, width, asked_.data() + i * width);
    from = asked_.data();
  }
  out.slope.resize(out.value.size());
}

float smallest_kept(const Kept& kept) {
  float smallest = 0.0F;
  for (std::size_t row = 0; row < kept.begin.size(); ++row) {
    for (std::size_t i = 0; i < kept.active[row]; ++i) {
      const float value = kept.value[kept.begin[row] + i];
      if (smallest == 0.0F || value < smallest) smallest = value;
    }
  }
  return smallest;
}

void select_jumprelu(ThresholdEncoder& encoder, const AlignedFloats& x, std::span<const float> threshold,
                     float bandwidth, std::size_t threads, Kept& active, Kept& edge) {
  const std::size_t rows = x.size() / encoder.width();
  std::vector<float> low(threshold.begin(), threshold.end());
  for (float& v : low) v = std::max(0.0F, v - bandwidth / 2);
  encoder.set_thresholds(low);
  const Encoded found = encoder.encode({x.data(), nullptr, rows}, threads);
  restart(active, rows);
  restart(edge, rows);
  for (std::size_t row = 0; row < rows; ++row) {
    active.begin[row] = active.latent.size();
    edge.begin[row] = edge.latent.size();
    for (std::size_t i = found.offsets[row]; i < found.offsets[row + 1]; ++i) {
      const std::uint32_t latent = found.latent[i];
      const float value = found.value[i];
      if (value > threshold[latent]) append(active, latent, value);
      if (value < threshold[latent] + bandwidth / 2) append(edge, latent, value);
    }
    active.active[row] = static_cast<std::uint32_t>(active.latent.size() - active.begin[row]);
    edge.active[row] = static_cast<std::uint32_t>(edge.latent.size() - edge.begin[row]);
  }
  active.slope.resize(active.value.size());
  edge.slope.resize(edge.value.size());
}

}  // namespace gloss::sparse
