#include "gloss/examples/active_windows.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <numeric>

#include "gloss/base/error.h"
#include "gloss/base/half.h"

namespace gloss::examples {
namespace {

constexpr std::size_t kRadixFrom = 96;  // below that many windows a comparison sort is faster
constexpr const char* kDamagedHint = "the index is damaged: run gloss cache again";

/// Bits of the largest finite activation.
constexpr std::uint32_t largest_bits(std::uint16_t) { return 0x7BFF; }
constexpr std::uint32_t largest_bits(float) { return 0x7F7FFFFF; }
/// Bits of an activation; of positive numbers they are ordered as the values are.
std::uint32_t bits_of(std::uint16_t half) { return half; }
std::uint32_t bits_of(float value) { return std::bit_cast<std::uint32_t>(value); }

/// Sorts ascending by the upper 32 bits, keeping the order of equal ones. Requires: lower halves ascending.
void sort_keys(std::vector<std::uint64_t>& keys, std::vector<std::uint64_t>& scratch) {
  if (keys.size() < kRadixFrom) return std::sort(keys.begin(), keys.end());
  std::array<std::array<std::uint32_t, 256>, 4> counts{};
  for (const std::uint64_t key : keys) {
    for (std::size_t digit = 0; digit < 4; ++digit) ++counts[digit][(key >> (32 + 8 * digit)) & 0xFF];
  }
  scratch.resize(keys.size());
  for (std::size_t digit = 0; digit < 4; ++digit) {
    auto& count = counts[digit];
    if (count[(keys[0] >> (32 + 8 * digit)) & 0xFF] == keys.size()) continue;  // all the same
    std::exclusive_scan(count.begin(), count.end(), count.begin(), 0U);
    for (const std::uint64_t key : keys) scratch[count[(key >> (32 + 8 * digit)) & 0xFF]++] = key;
    keys.swap(scratch);
  }
}

}  // namespace

void ActiveWindows::find(LatentId latent) {
  active_.clear();
  firings_ = reader_.firings(latent);
  if (firings_.full.empty()) {
    scan(firings_.half_bits, latent);
  } else {
    scan(firings_.full, latent);
  }
}

/// One pass over the firings.
template <class T>
void ActiveWindows::scan(std::span<const T> activation, LatentId latent) {
  const std::span<const std::uint32_t> position = firings_.position;
  std::uint64_t next_position = 0;
  std::uint64_t window_end = 0;
  for (std::uint32_t i = 0; i < position.size(); ++i) {
    const std::uint32_t p = position[i];
    const std::uint32_t value = bits_of(activation[i]);
    if (p < next_position || p >= reader_.token_count() || value - 1 >= largest_bits(T{}))
      fail_input(
          reader_.file_name(),
          fmt::format("latent {}: firing {} is at position {} with activation bits {:#x}: not ascending below {}, "
                      "or not positive",
                      to_index(latent), i, p, value, reader_.token_count()),
          kDamagedHint);
    next_position = std::uint64_t{p} + 1;
    if (p >= window_end) {
      const std::uint32_t start = p - p % window_;
      active_.push_back({start, i, value});
      window_end = std::uint64_t{start} + window_;
    } else {
      active_.back().max_bits = std::max(active_.back().max_bits, value);
    }
  }
}

std::uint32_t ActiveWindows::bits(std::size_t firing) const {
  return firings_.full.empty() ? bits_of(firings_.half_bits[firing]) : bits_of(firings_.full[firing]);
}

void ActiveWindows::center() {
  sort_by_strength();
  place_around_strongest();
  drop_overlapping();
  measure();
}

/// Starts stay ascending: windows of a context are moved in the order of their strongest tokens.
void ActiveWindows::place_around_strongest() {
  const std::uint32_t ctx_len = reader_.ctx_len();
  for (Active& a : active_) {
    std::size_t i = a.first;
    while (bits(i) != a.max_bits) ++i;
    const std::uint32_t strongest = firings_.position[i];
    const std::uint32_t context_begin = strongest - strongest % ctx_len;
    const std::uint32_t wanted = strongest - std::min(strongest - context_begin, center_offset(window_));
    a.start = std::min(wanted, context_begin + (ctx_len - window_));
  }
}

void ActiveWindows::drop_overlapping() {
  taken_.assign(active_.size(), 0);
  const auto overlap = [&](std::size_t i, std::size_t j) { return active_[j].start - active_[i].start < window_; };
  for (const std::uint64_t key : keys_) {
    const std::size_t i = static_cast<std::uint32_t>(key);
    bool free = true;
    for (std::size_t j = i; free && j-- > 0 && overlap(j, i);) free = taken_[j] == 0;
    for (std::size_t j = i + 1; free && j < active_.size() && overlap(i, j); ++j) free = taken_[j] == 0;
    taken_[i] = free ? 1 : 0;
  }
  std::size_t kept = 0;
  for (std::size_t i = 0; i < active_.size(); ++i) {
    if (taken_[i] != 0) active_[kept++] = active_[i];
  }
  active_.resize(kept);
}

void ActiveWindows::measure() {
  std::size_t i = 0;
  for (Active& a : active_) {
    while (firings_.position[i] < a.start) ++i;
    a.first = static_cast<std::uint32_t>(i);
    for (; i < firings_.size() && firings_.position[i] - a.start < window_; ++i)
      a.max_bits = std::max(a.max_bits, bits(i));
  }
}

void ActiveWindows::sort_by_strength() {
  keys_.resize(active_.size());
  for (std::size_t i = 0; i < active_.size(); ++i) keys_[i] = (std::uint64_t{~active_[i].max_bits} << 32) | i;
  sort_keys(keys_, scratch_);
}

void ActiveWindows::rank(std::vector<std::uint32_t>& starts) {
  sort_by_strength();
  starts.resize(active_.size());
  for (std::size_t r = 0; r < starts.size(); ++r) starts[r] = active_[static_cast<std::uint32_t>(keys_[r])].start;
}

Window ActiveWindows::make(std::uint32_t start, std::uint8_t quantile) const {
  const auto found = std::lower_bound(active_.begin(), active_.end(), start,
                                      [](const Active& a, std::uint32_t s) { return a.start < s; });
  Window result;
  result.start = start;
  result.quantile = quantile;
  result.activation.resize(window_);
  for (std::size_t i = found->first; i < firings_.size() && firings_.position[i] - start < window_; ++i) {
    const float value = firings_.value(i);
    result.activation[firings_.position[i] - start] = value;
    result.max = std::max(result.max, value);
  }
  return result;
}

std::vector<float> activations_in(const index::Firings& firings, std::uint32_t start, std::uint32_t window) {
  std::vector<float> values(window);
  const auto first = std::lower_bound(firings.position.begin(), firings.position.end(), start);
  for (auto i = static_cast<std::size_t>(first - firings.position.begin());
       i < firings.size() && firings.position[i] - start < window; ++i)
    values[firings.position[i] - start] = firings.value(i);
  return values;
}

}  // namespace gloss::examples
