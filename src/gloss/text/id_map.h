#pragma once
/// A hash table from 64-bit keys to small values that is filled once and then only read.
#include <cstddef>
#include <cstdint>
#include <vector>

namespace gloss::text {

/// Open addressing with linear probing, at most half full. Requires of keys: not all bits set.
template <class Value>
class IdMap {
 public:
  explicit IdMap(std::size_t expected = 0) { resize_for(expected); }

  /// The value of `key`, or nullptr.
  const Value* find(std::uint64_t key) const {
    for (std::size_t i = slot_of(key);; i = (i + 1) & mask_) {
      if (slots_[i].key == key) return &slots_[i].value;
      if (slots_[i].key == kEmpty) return nullptr;
    }
  }

  /// Sets the value of `key`.
  void set(std::uint64_t key, const Value& value) {
    if ((count_ + 1) * 2 > slots_.size()) grow();
    Slot& slot = place_of(key);
    if (slot.key == kEmpty) ++count_;
    slot = {key, value};
  }

 private:
  struct Slot {
    std::uint64_t key = kEmpty;
    Value value{};
  };
  static constexpr std::uint64_t kEmpty = ~std::uint64_t{0};

  void resize_for(std::size_t expected) {
    std::size_t size = 16;
    shift_ = 60;
    while (size < expected * 2 + 2) {
      size *= 2;
      --shift_;
    }
    slots_.assign(size, Slot{});
    mask_ = size - 1;
  }

  void grow() {
    const std::vector<Slot> old = std::move(slots_);
    resize_for(old.size());
    for (const Slot& s : old) {
      if (s.key != kEmpty) place_of(s.key) = s;
    }
  }

  /// Fibonacci hashing (Knuth, TAOCP 3, section 6.4): the high bits of a product with 2^64 / golden ratio.
  std::size_t slot_of(std::uint64_t key) const { return (key * 0x9E3779B97F4A7C15ULL) >> shift_; }

  Slot& place_of(std::uint64_t key) {
    std::size_t i = slot_of(key);
    while (slots_[i].key != kEmpty && slots_[i].key != key) i = (i + 1) & mask_;
    return slots_[i];
  }

  std::vector<Slot> slots_;
  std::size_t mask_ = 0;
  unsigned shift_ = 60;
  std::size_t count_ = 0;
};

}  // namespace gloss::text
