#pragma once
/// Strings by their bytes.
#include <cstdint>
#include <string_view>

#include "gloss/text/id_map.h"

namespace gloss::text {

/// Nodes are numbers from 0, in the order of their making; what a node means is its user's.
/// Requires: less than 2^32 bytes of strings. Filled once, then only read.
class ByteTrie {
 public:
  static constexpr std::uint32_t kRoot = 0;

  /// The node of `text`, made when there is none.
  std::uint32_t add(std::string_view text) {
    std::uint32_t node = kRoot;
    for (const char c : text) {
      const std::uint32_t* next = child(node, c);
      if (next == nullptr) {
        child_.set(key_of(node, c), size_);
        node = size_++;
      } else {
        node = *next;
      }
    }
    return node;
  }

  /// The node of one byte more, or nullptr.
  const std::uint32_t* child(std::uint32_t node, char byte) const { return child_.find(key_of(node, byte)); }
  /// How many nodes there are.
  std::uint32_t size() const { return size_; }

 private:
  static std::uint64_t key_of(std::uint32_t node, char byte) {
    return std::uint64_t{node} << 8 | static_cast<unsigned char>(byte);
  }

  IdMap<std::uint32_t> child_;
  std::uint32_t size_ = 1;
};

}  // namespace gloss::text
