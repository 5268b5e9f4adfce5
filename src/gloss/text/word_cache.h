#pragma once
/// Ids of the words met last: in running text nearly every word has been met before.
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "gloss/base/ids.h"

namespace gloss::text {

/// Direct-mapped, of fixed size; a word that falls on another's place takes it. One thread at a time.
class WordCache {
 public:
  WordCache() : entries_(kEntries) {}

  static WordCache& of_this_thread() {
    thread_local WordCache cache;
    return cache;
  }
  /// A number that no other model of this process has.
  static std::uint32_t next_owner() {
    static std::atomic<std::uint32_t> last{0};
    return ++last;
  }

  /// Appends the ids of `word` to `out`; find(ids) puts them into an empty row when they are not known. Requires: find
  /// uses no cache.
  template <class Find>
  void encode(std::uint32_t owner, std::string_view word, std::vector<TokenId>& out, const Find& find) {
    const bool short_word = word.size() <= kMaxBytes;
    if (short_word) {
      const Entry& entry = place(word);
      if (entry.holds(owner, word)) {
        for (const std::uint32_t id : entry.found()) out.push_back(TokenId{id});
        return;
      }
    }
    ids_.clear();
    find(ids_);
    for (const std::uint32_t id : ids_) out.push_back(TokenId{id});
    if (short_word) store(place(word), owner, word, ids_);
  }

 private:
  static constexpr std::size_t kMaxBytes = 25;
  static constexpr std::size_t kMaxIds = 8;

  struct Entry {
    std::uint32_t owner = 0;
    std::uint8_t size = 0;
    std::uint8_t count = 0;
    std::array<char, kMaxBytes + 1> bytes{};
    std::array<std::uint32_t, kMaxIds> ids{};

    bool holds(std::uint32_t model, std::string_view word) const {
      return owner == model && size == word.size() && std::memcmp(bytes.data(), word.data(), word.size()) == 0;
    }
    std::span<const std::uint32_t> found() const { return {ids.data(), count}; }
  };

  static constexpr unsigned kEntryBits = 14;
  static constexpr std::size_t kEntries = std::size_t{1} << kEntryBits;

  /// The place for `word`. Requires: 1 to kMaxBytes bytes.
  Entry& place(std::string_view word) { return entries_[hash(word) >> (64 - kEntryBits)]; }

  /// Puts a word in its place, when it is short enough. `owner`: the model; never 0.
  static void store(Entry& entry, std::uint32_t owner, std::string_view word, std::span<const std::uint32_t> ids) {
    if (ids.size() > kMaxIds) return;
    entry.owner = owner;
    entry.size = static_cast<std::uint8_t>(word.size());
    entry.count = static_cast<std::uint8_t>(ids.size());
    std::memcpy(entry.bytes.data(), word.data(), word.size());
    if (!ids.empty()) std::memcpy(entry.ids.data(), ids.data(), ids.size_bytes());
  }

  static std::uint64_t hash(std::string_view word) {
    std::uint64_t h = word.size();
    while (!word.empty()) {
      std::uint64_t part = 0;
      const std::size_t n = word.size() < 8 ? word.size() : 8;
      std::memcpy(&part, word.data(), n);
      h = (h ^ part) * 0x9E3779B97F4A7C15ULL;
      h ^= h >> 32;
      word.remove_prefix(n);
    }
    return h * 0x9E3779B97F4A7C15ULL;
  }

  std::vector<Entry> entries_;
  std::vector<std::uint32_t> ids_;  // of the word looked for last
};

}  // namespace gloss::text
