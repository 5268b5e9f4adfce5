#pragma once
/// A set of small numbers that is cheap to empty again.
#include <bit>
#include <cstdint>
#include <vector>

namespace gloss::examples {

class Marks {
 public:
  explicit Marks(std::uint64_t size) : words_((size + 63) / 64), size_(size) {}

  bool contains(std::uint64_t i) const { return ((words_[i / 64] >> (i % 64)) & 1) != 0; }
  void insert(std::uint64_t i) { words_[i / 64] |= std::uint64_t{1} << (i % 64); }
  void erase(std::uint64_t i) { words_[i / 64] &= ~(std::uint64_t{1} << (i % 64)); }
  /// Numbers below size that are not in the set, ascending.
  void list_missing(std::vector<std::uint32_t>& out) const {
    out.clear();
    for (std::size_t w = 0; w < words_.size(); ++w) {
      for (std::uint64_t rest = ~words_[w]; rest != 0; rest &= rest - 1) {
        const std::uint64_t i = w * 64 + static_cast<std::uint64_t>(std::countr_zero(rest));
        if (i < size_) out.push_back(static_cast<std::uint32_t>(i));
      }
    }
  }

 private:
  std::vector<std::uint64_t> words_;
  std::uint64_t size_;
};

}  // namespace gloss::examples
