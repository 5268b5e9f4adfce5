#pragma once
/// The `added_tokens` of tokenizer.json: strings that are one token wherever they stand in a text.
#include <array>
#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "gloss/text/byte_trie.h"
#include "gloss/text/normalizer.h"
#include "gloss/text/split.h"
#include "gloss/text/vocabulary.h"

namespace gloss::text {

struct AddedToken {
  std::string content;
  bool single_word = false;  // only where no word character touches it
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // takes the white space behind it
  bool normalized = true;    // looked for in the normalized text, in its own normalized form
  bool special = false;
  std::string written;  // what it is in the text that it is looked for in: its content, normalized if need be

  bool operator==(const AddedToken&) const = default;
};

/// Finds the leftmost, of those the longest, of many strings. Immutable.
class StringFinder {
 public:
  /// Of equal strings the first counts; empty ones are left out.
  explicit StringFinder(const std::vector<std::string>& strings);
  StringFinder() : StringFinder(std::vector<std::string>{}) {}

  struct Match {
    Span span;
    std::uint32_t index;  // of the string
  };
  /// The next match that begins at `from` or behind it.
  std::optional<Match> find(std::string_view text, std::size_t from) const;

 private:
  ByteTrie trie_;
  std::vector<std::optional<std::uint32_t>> is_;  // string that ends at a node
  std::array<bool, 256> starts_{};
};

/// Part of a text: an added token, or text between them.
struct Segment {
  Span span;
  std::optional<std::uint32_t> id;
};

/// Immutable; any thread may read.
class AddedTokens {
 public:
  /// Ids are given as the reference gives them: a token that the model knows keeps its id, others follow the vocabulary
  /// in their order, whatever the file says. Errors: bad_input, beginning with `where`.
  static AddedTokens parse(const nlohmann::json& json, const Vocabulary& vocabulary, const Normalizer& normalizer,
                           const std::string& where);

  /// Cuts a text at the added tokens that are looked for in it as it is, or normalized. Segments may overlap where one
  /// token takes white space that is itself a token.
  std::vector<Segment> split_raw(std::string_view text) const { return split(text, raw_, raw_ids_); }
  std::vector<Segment> split_normalized(std::string_view text) const {
    return split(text, normalized_, normalized_ids_);
  }

  std::optional<std::uint32_t> id_of(std::string_view content) const;
  const AddedToken* token(std::uint32_t id) const;
  bool is_special(std::string_view content) const { return special_.contains(content); }
  /// One more than the largest id; 0 when there is none.
  std::uint32_t end() const { return by_id_.empty() ? 0 : by_id_.rbegin()->first + 1; }

 private:
  void add(const AddedToken& token, const Vocabulary& vocabulary, std::vector<AddedToken>& special,
           std::vector<AddedToken>& plain);
  std::vector<Segment> split(std::string_view text, const StringFinder& finder,
                             const std::vector<std::uint32_t>& ids) const;
  bool widen(const AddedToken& token, std::string_view text, std::size_t taken, Span& span) const;

  std::map<std::string, std::uint32_t, std::less<>> ids_;
  std::map<std::uint32_t, AddedToken> by_id_;
  std::set<std::string, std::less<>> special_;
  StringFinder raw_;
  StringFinder normalized_;
  std::vector<std::uint32_t> raw_ids_;         // of the strings of raw_
  std::vector<std::uint32_t> normalized_ids_;  // of the strings of normalized_
};

}  // namespace gloss::text
