#include "gloss/explain/pattern_vocabulary.h"

#include <utf8proc.h>

#include <unordered_map>
#include <utility>

#include "gloss/base/hash.h"
#include "gloss/base/utf8.h"

namespace gloss::explain {
namespace {

bool is_quote(char32_t c) {
  return c == U'"' || c == U'\u201C' || c == U'\u201D' || c == U'\u201E' || c == U'\u00AB' || c == U'\u00BB' ||
         c == U'\u300C' || c == U'\u300D';
}

bool is_stop(char32_t c) { return c == U'.' || c == U'!' || c == U'?' || c == U'\u2026' || c == U'\u3002'; }

/// Latin, its supplements and extensions.
bool is_latin(char32_t c) { return c < 0x250 || (c >= 0x1E00 && c < 0x1F00) || (c >= 0xFB00 && c < 0xFB07); }

CharKind kind_of(char32_t c, utf8proc_category_t category) {
  if (c == U'\n' || c == U'\r') return CharKind::newline;
  if (c == U'\'' || c == U'\u2019' || c == U'\u2018') return CharKind::apostrophe;
  if (is_quote(c)) return CharKind::quote;
  if (is_stop(c)) return CharKind::stop;
  switch (category) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      return CharKind::letter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return CharKind::digit;
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PI:
      return CharKind::open;
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PF:
      return CharKind::close;
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PO:
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
      return CharKind::punctuation;
    case UTF8PROC_CATEGORY_ZS:
      return CharKind::space;
    default:
      return c == U'\t' ? CharKind::space : CharKind::other;
  }
}

}  // namespace

Character character_of(char32_t code_point) {
  const auto c = static_cast<utf8proc_int32_t>(code_point);
  const utf8proc_category_t category = utf8proc_category(c);
  Character character;
  character.kind = kind_of(code_point, category);
  character.upper = category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LT;
  character.latin = character.kind != CharKind::letter || is_latin(code_point);
  character.folded = static_cast<char32_t>(utf8proc_tolower(c));
  return character;
}

std::string fold_text(std::string_view bytes) {
  while (!bytes.empty() && bytes.front() == ' ') bytes.remove_prefix(1);
  std::string out;
  for (std::size_t at = 0; at < bytes.size();) {
    const Decoded decoded = decode_utf8(bytes.substr(at));
    if (decoded.valid) {
      append_utf8(out, character_of(decoded.code_point).folded);
    } else {
      out += bytes.substr(at, decoded.size_bytes);
    }
    at += decoded.size_bytes;
  }
  return out;
}

Vocabulary::Impl Vocabulary::Impl::make(std::vector<std::string> bytes, const std::vector<bool>& special) {
  Impl impl;
  impl.tokens.resize(bytes.size());
  std::unordered_map<std::string, std::uint32_t> numbers;
  Hasher hasher;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    hasher.add(bytes[i]);
    hasher.add_number(special[i] ? 1 : 0);
    Token& token = impl.tokens[i];
    token.special = special[i];
    // A special token's name is no text; a token of spaces alone is itself.
    std::string text = special[i] ? bytes[i] : fold_text(bytes[i]);
    if (text.empty()) text = bytes[i];
    const auto [place, added] = numbers.emplace(text, static_cast<std::uint32_t>(impl.texts.size()));
    if (added) {
      impl.texts.push_back(std::move(text));
      impl.token_of_text.push_back(static_cast<std::uint32_t>(i));
    }
    token.text = place->second;
    token.bytes = std::move(bytes[i]);
  }
  impl.fingerprint = hasher.digest_hex();
  return impl;
}

Vocabulary::Vocabulary(const text::Tokenizer& tokenizer) {
  const std::uint32_t size = tokenizer.vocabulary_size();
  std::vector<std::string> bytes(size);
  std::vector<bool> special(size);
  for (std::uint32_t i = 0; i < size; ++i) {
    bytes[i] = tokenizer.token_bytes(TokenId{i});
    special[i] = tokenizer.is_special(TokenId{i});
  }
  impl_ = std::make_shared<const Impl>(Impl::make(std::move(bytes), special));
}

}  // namespace gloss::explain
