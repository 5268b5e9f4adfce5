#include "gloss/text/byte_level.h"

#include <array>

#include "gloss/base/utf8.h"

namespace gloss::text {
namespace {

constexpr bool stands_for_itself(std::uint32_t b) {
  return (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || (b >= 0xAE && b <= 0xFF);
}

constexpr std::size_t kByteCharacters = 0x100 + 68;

struct Tables {
  std::array<std::string, 256> character;
  std::array<std::int16_t, kByteCharacters> byte;  // -1 = none
};

const Tables& tables() {
  static const Tables made = [] {
    Tables t;
    t.byte.fill(-1);
    char32_t next = 0x100;
    for (std::uint32_t b = 0; b < 256; ++b) {
      const char32_t c = stands_for_itself(b) ? static_cast<char32_t>(b) : next++;
      append_utf8(t.character[b], c);
      t.byte.at(c) = static_cast<std::int16_t>(b);
    }
    return t;
  }();
  return made;
}

}  // namespace

std::string_view byte_level_character(std::uint8_t byte) { return tables().character[byte]; }

std::optional<std::uint8_t> byte_level_byte(char32_t c) {
  if (c >= kByteCharacters) return {};
  const std::int16_t b = tables().byte[c];
  if (b < 0) return {};
  return static_cast<std::uint8_t>(b);
}

void append_byte_level(std::string& out, std::string_view bytes) {
  const Tables& t = tables();
  for (const char b : bytes) out += t.character[static_cast<std::uint8_t>(b)];
}

std::optional<std::string> from_byte_level(std::string_view text) {
  std::string bytes;
  while (!text.empty()) {
    const Decoded d = decode_utf8(text);
    const std::optional<std::uint8_t> b = d.valid ? byte_level_byte(d.code_point) : std::nullopt;
    if (!b) return {};
    bytes.push_back(static_cast<char>(*b));
    text.remove_prefix(d.size_bytes);
  }
  return bytes;
}

}  // namespace gloss::text
