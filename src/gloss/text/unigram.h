#pragma once
/// Unigram language model: the pieces whose scores add up to most.
/// Source: Kudo 2018, "Subword regularization"; the details (unknown characters, byte fallback, ties) as
/// tokenizer.json's model "Unigram" defines them.
#include <array>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/base/ids.h"
#include "gloss/text/byte_trie.h"
#include "gloss/text/vocabulary.h"

namespace gloss::text {

/// The model of a tokenizer. Immutable; any thread may read.
class Unigram {
 public:
  /// Reads tokenizer.json's "model". A key of our own, single_precision, makes sums of scores round as SentencePiece's
  /// own do: that decides between segmentations of equal score. Errors: bad_input, beginning with `where`, naming the
  /// key.
  static Unigram parse(const nlohmann::json& json, const std::string& where);

  /// Appends the ids of one piece. Requires: well-formed UTF-8. Errors: bad_input when a character is unknown and the
  /// model has no unknown token.
  void encode(std::string_view piece, std::vector<TokenId>& out) const;

  const Vocabulary& vocabulary() const { return vocabulary_; }

 private:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  /// Of the best way to a place in the text.
  struct Step {
    double score;
    std::uint32_t begin;  // of its last token; kNone = no way yet
    std::uint32_t id;
  };

  double sum(double a, double b) const;
  void add_byte_token(unsigned byte);
  void lower_sums(std::vector<Step>& best, std::size_t begin, std::size_t reached) const;
  void find_best(std::string_view text, std::vector<Step>& best) const;
  void collect(std::string_view text, const std::vector<Step>& best, std::vector<std::uint32_t>& ids) const;
  void add_unknown(std::string_view text, std::vector<std::uint32_t>& ids) const;

  Vocabulary vocabulary_;
  ByteTrie trie_;
  std::vector<std::uint32_t> id_at_;  // of a node; kNone where no token ends
  std::vector<double> score_;         // of a token
  double unknown_score_ = 0.0;
  std::uint32_t unknown_id_ = kNone;
  std::array<std::uint32_t, 256> fallback_id_{};  // of <0x..>; only with byte fallback
  bool byte_fallback_ = false;
  bool single_precision_ = false;  // sums are kept in 32 bits, as SentencePiece itself does
  std::uint32_t cache_owner_ = 0;
};

}  // namespace gloss::text
