#include "gloss/base/utf8.h"

namespace gloss {
namespace {

struct Lead {
  std::uint8_t length;  // 0 = cannot start a character
  std::uint8_t low;     // range of the second byte
  std::uint8_t high;
};

constexpr Lead lead_of(std::uint8_t b) {
  if (b < 0x80) return {1, 0, 0};
  if (b < 0xC2) return {0, 0, 0};
  if (b < 0xE0) return {2, 0x80, 0xBF};
  if (b == 0xE0) return {3, 0xA0, 0xBF};
  if (b == 0xED) return {3, 0x80, 0x9F};
  if (b < 0xF0) return {3, 0x80, 0xBF};
  if (b == 0xF0) return {4, 0x90, 0xBF};
  if (b < 0xF4) return {4, 0x80, 0xBF};
  if (b == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

}  // namespace

Decoded decode_utf8(std::string_view bytes) {
  const auto at = [&](std::size_t i) { return static_cast<std::uint8_t>(bytes[i]); };
  const Lead lead = lead_of(at(0));
  if (lead.length == 1) return {at(0), 1, true};
  if (lead.length == 0) return {U'\uFFFD', 1, false};
  char32_t code = at(0) & (0xFFU >> (lead.length + 1));
  for (std::uint8_t i = 1; i < lead.length; ++i) {
    const std::uint8_t low = i == 1 ? lead.low : 0x80;
    const std::uint8_t high = i == 1 ? lead.high : 0xBF;
    if (i >= bytes.size() || at(i) < low || at(i) > high) return {U'\uFFFD', i, false};
    code = (code << 6) | (at(i) & 0x3FU);
  }
  return {code, lead.length, true};
}

void append_utf8(std::string& out, char32_t c) {
  const auto put = [&](std::uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | (c >> 6));
    put(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    put(0xE0 | (c >> 12));
    put(0x80 | ((c >> 6) & 0x3F));
    put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | (c >> 18));
    put(0x80 | ((c >> 12) & 0x3F));
    put(0x80 | ((c >> 6) & 0x3F));
    put(0x80 | (c & 0x3F));
  }
}

bool is_valid_utf8(std::string_view bytes) {
  while (!bytes.empty()) {
    const Decoded d = decode_utf8(bytes);
    if (!d.valid) return false;
    bytes.remove_prefix(d.size_bytes);
  }
  return true;
}

std::string replace_invalid_utf8(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  while (!bytes.empty()) {
    const Decoded d = decode_utf8(bytes);
    if (d.valid) {
      out.append(bytes.substr(0, d.size_bytes));
    } else {
      append_utf8(out, U'\uFFFD');
    }
    bytes.remove_prefix(d.size_bytes);
  }
  return out;
}

}  // namespace gloss
