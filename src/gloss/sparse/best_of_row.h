#pragma once
/// The n best (value, id) pairs of every row, as candidates come by in any order: larger values first, ties to the
/// lower id. That order is total, so what stays does not depend on the order in which candidates came.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace gloss::sparse {

/// What stands where a row has fewer than n.
inline constexpr std::uint32_t kNoId = 0xFFFFFFFF;

class BestOfRow {
 public:
  /// A candidate as one number. Floats order as their bits do once negative ones are turned over; key 0 is below all.
  static std::uint64_t to_key(float value, std::uint32_t id) {
    const auto bits = std::bit_cast<std::uint32_t>(value == 0.0F ? 0.0F : value);  // -0 ties with 0
    const std::uint32_t ordered = (bits >> 31) != 0 ? ~bits : bits | 0x80000000U;
    return (std::uint64_t{ordered} << 32) | std::uint32_t{~id};
  }
  static float value_of(std::uint64_t key) {
    const auto ordered = static_cast<std::uint32_t>(key >> 32);
    return std::bit_cast<float>((ordered >> 31) != 0 ? ordered & 0x7FFFFFFFU : ~ordered);
  }
  static std::uint32_t id_of(std::uint64_t key) { return ~static_cast<std::uint32_t>(key); }

  BestOfRow() = default;
  BestOfRow(std::size_t rows, std::size_t n) : n_(n), keys_(rows * n, 0), below_(rows, kAll) {
    if (n == 0) std::fill(below_.begin(), below_.end(), std::numeric_limits<float>::infinity());
  }

  std::size_t n() const { return n_; }
  std::size_t rows() const { return below_.size(); }
  /// Below the value of the row's n-th best, so that `value > below` finds ties too; -infinity while it has fewer.
  float below(std::size_t row) const { return below_[row]; }
  std::span<const float> below() const { return below_; }
  /// Raises what a row asks of candidates: those that are not above `below` need not come. Call on empty rows.
  void ask_more(std::size_t row, float below) { below_[row] = std::max(below_[row], below); }

  /// Requires: a pair comes once.
  void insert(std::size_t row, std::uint64_t key) {
    std::uint64_t* keys = keys_.data() + row * n_;
    if (n_ == 0 || key <= keys[n_ - 1]) return;
    std::size_t at = n_ - 1;
    for (; at > 0 && keys[at - 1] < key; --at) keys[at] = keys[at - 1];
    keys[at] = key;
    if (keys[n_ - 1] != 0) below_[row] = std::max(below_[row], std::nextafter(value_of(keys[n_ - 1]), kAll));
  }
  /// Best first; 0 where there are fewer than n.
  std::span<const std::uint64_t> keys(std::size_t row) const { return {keys_.data() + row * n_, n_}; }
  void clear() {
    std::fill(keys_.begin(), keys_.end(), std::uint64_t{0});
    std::fill(below_.begin(), below_.end(), kAll);
  }

 private:
  static constexpr float kAll = -std::numeric_limits<float>::infinity();

  std::size_t n_ = 0;
  std::vector<std::uint64_t> keys_;  // [rows, n], descending
  std::vector<float> below_;         // [rows]
};

}  // namespace gloss::sparse
