#pragma once
/// WordPiece: from the left, always the longest token; and WordLevel: every word is one token.
/// Source: Schuster & Nakajima 2012; Devlin et al. 2019; the details as tokenizer.json's models define them.
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/base/ids.h"
#include "gloss/text/byte_trie.h"
#include "gloss/text/vocabulary.h"

namespace gloss::text {

/// The model of a tokenizer. Immutable; any thread may read.
class WordPiece {
 public:
  /// Reads tokenizer.json's "model". Errors: bad_input, beginning with `where`, naming the key.
  static WordPiece parse(const nlohmann::json& json, const std::string& where);

  /// Appends the ids of one word: of its tokens, or that of the unknown token when it is too long or its tokens do not
  /// make it up. Requires: well-formed UTF-8.
  void encode(std::string_view word, std::vector<TokenId>& out) const;

  const Vocabulary& vocabulary() const { return vocabulary_; }

 private:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  void find_tokens(std::string_view word, std::vector<std::uint32_t>& ids) const;

  Vocabulary vocabulary_;
  ByteTrie trie_;
  std::vector<std::uint32_t> id_at_;  // of a node; kNone where no token ends
  std::uint32_t inside_ = 0;          // node of the prefix that tokens inside a word have; kNone = none has it
  std::uint32_t unknown_id_ = 0;
  std::uint64_t longest_word_ = 0;  // in characters
  std::uint32_t cache_owner_ = 0;
};

/// The model of a tokenizer. Immutable; any thread may read.
class WordLevel {
 public:
  /// Reads tokenizer.json's "model". Errors: bad_input, beginning with `where`, naming the key.
  static WordLevel parse(const nlohmann::json& json, const std::string& where);

  /// Appends the id of one word. Errors: bad_input when it is unknown and the model has no unknown token.
  void encode(std::string_view word, std::vector<TokenId>& out) const;

  const Vocabulary& vocabulary() const { return vocabulary_; }

 private:
  Vocabulary vocabulary_;
  std::optional<std::uint32_t> unknown_id_;
};

}  // namespace gloss::text
