/// tokenizer.json from anywhere is a Tokenizer or an Error; and a good one reads any bytes the way it should.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "gloss/base/error.h"
#include "gloss/base/output_file.h"
#include "gloss/base/utf8.h"
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

Tokenizer golden(const char* name) {
  return Tokenizer::load(std::string(GLOSS_SOURCE_DIR "/src/gloss/text/testdata/") + name);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Tokenizer byte_level = golden("byte_level.json");
  static const Tokenizer byte_fallback = golden("byte_fallback.json");
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (text.starts_with('{')) {
    try {
      exercise(Tokenizer::parse(text, "fuzz"), "The <s> ships\u2581count 12 \xF0\x9F\x98\x80\xFF\n\n x");
    } catch (const gloss::Error&) {
    }
    return 0;
  }
  exercise(byte_level, text);
  exercise(byte_fallback, text);
  return 0;
}
