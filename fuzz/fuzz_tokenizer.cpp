/// tokenizer.json, a SentencePiece model or a file of ranks from anywhere is a Tokenizer or an Error; and a good one
/// reads any bytes the way it should.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/base/error.h"
#include "gloss/base/utf8.h"
#include "gloss/text/sentencepiece.h"
#include "gloss/text/tiktoken.h"
#include "gloss/text/tokenizer.h"

namespace {

using gloss::TokenId;
using gloss::text::Tokenizer;

void require(bool holds) {
  if (!holds) std::abort();
}

/// What holds for every tokenizer and text.
void exercise(const Tokenizer& t, std::string_view text) {
  const std::vector<TokenId> ids = t.encode(text);
  for (const TokenId id : ids) require(gloss::to_index(id) < t.vocabulary_size());
  for (const TokenId id : ids) (void)t.token_bytes(id);
  require(ids == t.encode(gloss::replace_invalid_utf8(text)));
  require(gloss::is_valid_utf8(t.decode(ids)));
  require(gloss::is_valid_utf8(t.decode(ids, true)));
}

/// A tokenizer from outside, of whichever kind the input begins like.
Tokenizer read(std::string_view input) {
  if (input.starts_with('{')) return Tokenizer::parse(input, "fuzz");
  if (gloss::text::looks_like_tiktoken(input))
    return Tokenizer::parse(gloss::text::from_tiktoken(input, {R"(\p{L}+|\s+|.)", true}, "fuzz").dump(), "fuzz ranks");
  return Tokenizer::parse(gloss::text::from_sentencepiece(input, "fuzz").dump(), "fuzz model");
}

std::vector<Tokenizer> goldens() {
  std::vector<Tokenizer> all;
  for (const char* name : {"byte_level.json", "byte_fallback.json", "unigram.json", "word_piece.json",
                           "word_level.json", "affixes.json", "spm_unigram.model", "spm_bpe.model", "ranks.tiktoken"})
    all.push_back(Tokenizer::load(std::string(GLOSS_SOURCE_DIR "/src/gloss/text/testdata/") + name));
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::vector<Tokenizer> known = goldens();
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  try {
    exercise(read(input), "The <s> ships\u2581count 12 \xF0\x9F\x98\x80\xFF\n\n e\u0301x \u4E2D");
  } catch (const gloss::Error&) {
    for (const Tokenizer& t : known) exercise(t, input);
  }
  return 0;
}
