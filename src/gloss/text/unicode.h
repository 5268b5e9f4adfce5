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

/// General category Mn, as of Unicode 8.
bool is_nonspacing_mark(char32_t c);
/// General category M, as of Unicode 9.
bool is_combining_mark(char32_t c);
/// General category Cc, Cf or Co, as of Unicode 8.
bool is_control(char32_t c);

/// Appends the lower case of `c` (Unicode 17), whatever stands beside it.
void append_lower_case(std::string& out, char32_t c);

/// Bytes of the first user-perceived character of `text` (UAX 29, extended grapheme clusters; what Unicode 15.1 says of
/// Indic conjuncts left out). Requires: well-formed UTF-8, not empty.
std::size_t first_grapheme(std::string_view text);

enum class NormalForm { nfc, nfd, nfkc, nfkd };

/// A normalization form, as of Unicode 9: characters that came later stay what they are. Requires: well-formed UTF-8.
std::string normalize(std::string_view text, NormalForm form);

/// PCRE2's tables may be of Unicode 14, the reference's regular expressions are of Unicode 16. This gives `text` with
/// every character assigned between them replaced by an older one of the same general category (and script, for Han)
/// and the same number of bytes, so that matches have the same places; empty when `text` has no such character.
/// Requires: well-formed UTF-8.
std::string with_older_characters(std::string_view text);

}  // namespace gloss::text
