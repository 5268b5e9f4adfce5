#pragma once
/// Byte pair encoding: pieces of text to token ids.
/// Source: Sennrich et al. 2016, "Neural machine translation of rare words with subword units"; the details (unknown
/// characters, byte fallback, ignore_merges) as tokenizer.json's model "BPE" defines them.
#include <array>
#include <bitset>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/base/ids.h"
#include "gloss/text/id_map.h"
#include "gloss/text/vocabulary.h"

namespace gloss::text {

/// A rule: two tokens side by side become `id`; of all that apply the one of the lowest rank is applied first.
struct Merge {
  std::uint32_t rank = 0;
  std::uint32_t id = 0;
};

using MergeTable = IdMap<Merge>;

inline std::uint64_t pair_key(std::uint32_t left, std::uint32_t right) { return std::uint64_t{left} << 32 | right; }

/// Applies merges to `ids` until none applies: always the lowest rank, of equal ones the leftmost.
/// O(n log n) for long rows, few memory accesses for short ones.
void apply_merges(const MergeTable& merges, std::vector<std::uint32_t>& ids);
/// The same by the definition, O(n^2): what apply_merges must agree with.
void apply_merges_slowly(const MergeTable& merges, std::vector<std::uint32_t>& ids);

/// The model of a tokenizer. Immutable; any thread may read.
class Bpe {
 public:
  /// Reads tokenizer.json's "model". Errors: bad_input, beginning with `where`, naming the key.
  static Bpe parse(const nlohmann::json& json, const std::string& where);

  /// Appends the ids of one piece. `raw_bytes`: each byte stands for its byte-level character; always the same for one
  /// model. Requires: well-formed UTF-8 unless raw_bytes.
  void encode(std::string_view piece, bool raw_bytes, std::vector<TokenId>& out) const;

  const Vocabulary& vocabulary() const { return vocabulary_; }

 private:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  struct Unknown;

  void read_merges(const nlohmann::json& json, const std::string& where);
  void find_starters(const std::vector<std::uint32_t>& products);
  void read_alphabet();

  std::uint32_t character_id(std::string_view character) const;
  void add_character(std::string_view character, std::uint32_t id, Unknown& unknown,
                     std::vector<std::uint32_t>& ids) const;
  bool has_affixes() const { return !inside_prefix_.empty() || !end_suffix_.empty(); }
  void affixed_symbols(std::string_view word, bool raw_bytes, std::vector<std::uint32_t>& ids) const;
  void symbols(std::string_view word, bool raw_bytes, std::vector<std::uint32_t>& ids) const;
  void encode_word(std::string_view word, bool raw_bytes, std::vector<TokenId>& out) const;
  std::optional<std::uint32_t> whole_piece(std::string_view piece, bool raw_bytes) const;

  Vocabulary vocabulary_;
  MergeTable merges_;
  bool ignore_merges_ = false;
  bool byte_fallback_ = false;
  bool fuse_unknown_ = false;
  std::uint32_t unknown_id_ = kNone;
  std::string inside_prefix_;                     // of a character's token that begins no word
  std::string end_suffix_;                        // of one that ends a word
  std::array<std::uint32_t, 256> raw_id_{};       // of a byte's byte-level character
  std::array<std::uint32_t, 128> ascii_id_{};     // of a character
  std::array<std::uint32_t, 256> fallback_id_{};  // of <0x..>
  /// Characters before which no merge reaches over from another character: words may be cut there.
  std::bitset<0x10000> starters_;
  std::uint32_t cache_owner_ = 0;
};

}  // namespace gloss::text
