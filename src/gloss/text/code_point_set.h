#pragma once
/// Sets of characters that Unicode's versions disagree about.
#include <algorithm>
#include <bitset>
#include <cstddef>
#include <span>

namespace gloss::text {

/// Code points [first, last].
struct CodePoints {
  char32_t first;
  char32_t last;
};

/// A constant set, asked for nearly every character of a text and nearly always in vain.
class CodePointSet {
 public:
  /// Requires: `ranges` ascend, do not overlap, and outlive the set.
  explicit CodePointSet(std::span<const CodePoints> ranges) : ranges_(ranges) {
    for (const CodePoints& r : ranges) {
      for (std::size_t i = r.first >> kBlockBits; i <= r.last >> kBlockBits; ++i) blocks_.set(i);
    }
  }

  /// Requires: c < 0x110000.
  bool contains(char32_t c) const {
    if (!blocks_.test(c >> kBlockBits)) return false;
    const auto it =
        std::partition_point(ranges_.begin(), ranges_.end(), [&](const CodePoints& r) { return r.last < c; });
    return it != ranges_.end() && it->first <= c;
  }

 private:
  static constexpr std::size_t kBlockBits = 8;

  std::span<const CodePoints> ranges_;
  std::bitset<(0x110000 >> kBlockBits)> blocks_;  // of 256 code points, that a range reaches into
};

}  // namespace gloss::text
