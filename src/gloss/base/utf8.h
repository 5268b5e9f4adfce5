#pragma once
/// Bytes that may not be text, as text that may be shown, stored as JSON or sent.
#include <cstdint>
#include <string>
#include <string_view>

namespace gloss {

/// One code point at the head of `bytes`, and how many bytes it took. Ill-formed: code_point U+FFFD, valid false, size
/// = the maximal ill-formed part (Unicode 15, section 3.9, table 3-7). Requires: bytes not empty.
struct Decoded {
  char32_t code_point;
  std::uint8_t size_bytes;
  bool valid;
};
Decoded decode_utf8(std::string_view bytes);

void append_utf8(std::string& out, char32_t code_point);
bool is_valid_utf8(std::string_view bytes);
/// Every ill-formed part becomes one U+FFFD.
std::string replace_invalid_utf8(std::string_view bytes);

}  // namespace gloss
