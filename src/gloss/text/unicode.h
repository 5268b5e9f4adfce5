#pragma once
/// What Unicode says of a character, in the versions that the reference tokenizers use.
#include <string>
#include <string_view>

namespace gloss::text {

bool is_white_space(char32_t c);
/// General category N (Unicode 17).
bool is_numeric(char32_t c);
/// General category P as of Unicode 8, and the ASCII symbols.
bool is_punctuation(char32_t c);
/// Alphabetic, a mark, a decimal number, connector punctuation or a joiner (UTS 18, annex C).
bool is_word(char32_t c);

/// Normalization form C, as of Unicode 9: characters that came later stay what they are. Requires: well-formed UTF-8.
std::string to_nfc(std::string_view text);

/// PCRE2's tables may be of Unicode 14, the reference's regular expressions are of Unicode 16. This gives `text` with
/// every character assigned between them replaced by an older one of the same general category (and script, for Han)
/// and the same number of bytes, so that matches have the same places; empty when `text` has no such character.
/// Requires: well-formed UTF-8.
std::string with_older_characters(std::string_view text);

}  // namespace gloss::text
