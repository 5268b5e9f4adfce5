#pragma once
/// The `model` of tokenizer.json: pieces of text to token ids.
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "gloss/base/ids.h"
#include "gloss/text/bpe.h"
#include "gloss/text/unigram.h"
#include "gloss/text/word_piece.h"

namespace gloss::text {

/// One of the kinds BPE, Unigram, WordPiece, WordLevel. Immutable; any thread may read.
class Model {
 public:
  /// Errors: bad_input, beginning with `where`, when malformed or of another type.
  static Model parse(const nlohmann::json& json, const std::string& where);

  /// Appends the ids of one piece. `raw_bytes`: each byte stands for its byte-level character; always the same for one
  /// model. Requires: well-formed UTF-8 unless raw_bytes. Errors: bad_input when text is unknown to a model that has no
  /// token for the unknown, where the reference fails as well.
  void encode(std::string_view piece, bool raw_bytes, std::vector<TokenId>& out) const;

  const Vocabulary& vocabulary() const;

 private:
  using Kind = std::variant<Bpe, Unigram, WordPiece, WordLevel>;
  explicit Model(Kind kind) : kind_(std::move(kind)) {}

  Kind kind_;
};

}  // namespace gloss::text
