// Marks, controls, lower case and user-perceived characters, as the reference has them.
#include <utf8proc.h>

#include <array>

#include "gloss/base/utf8.h"
#include "gloss/text/code_point_set.h"
#include "gloss/text/unicode.h"

namespace gloss::text {
namespace {

// Category Mn that came after Unicode 8 (what lies between is no mark in it either), ascending.
constexpr std::array kLaterNonspacing = std::to_array<CodePoints>(
    {{0x7FD, 0x7FD},     {0x897, 0x8E1},     {0x9FE, 0x9FE},     {0xAFA, 0xAFF},     {0xB55, 0xB55},
     {0xC04, 0xC3C},     {0xD00, 0xD00},     {0xD3B, 0xD3C},     {0xD81, 0xD81},     {0xEBA, 0xEBA},
     {0xECE, 0xECE},     {0x180F, 0x1886},   {0x1ABF, 0x1AFF},   {0x1DF6, 0x1DFB},   {0xA82C, 0xA82C},
     {0xA8C5, 0xA8C5},   {0xA8FF, 0xA8FF},   {0xA9BD, 0xA9BD},   {0x10D24, 0x10D27}, {0x10EAB, 0x10F85},
     {0x11070, 0x11074}, {0x110C2, 0x110C2}, {0x111C9, 0x111C9}, {0x111CF, 0x111CF}, {0x1123E, 0x11241},
     {0x1133B, 0x1133B}, {0x11438, 0x1145E}, {0x1182F, 0x1183A}, {0x1193B, 0x11A99}, {0x11C30, 0x11D97},
     {0x11EF3, 0x11F42}, {0x13440, 0x13455}, {0x16F4F, 0x16F4F}, {0x16FE4, 0x16FE4}, {0x1CF00, 0x1CF46},
     {0x1E000, 0x1E136}, {0x1E2AE, 0x1E2EF}, {0x1E4EC, 0x1E4EF}, {0x1E944, 0x1E94A}});

// Category M that came after Unicode 9 or so, ascending.
constexpr std::array kLaterCombining = std::to_array<CodePoints>(
    {{0x7FD, 0x7FD},     {0x897, 0x8D3},     {0x9FE, 0x9FE},     {0xAFA, 0xAFF},     {0xB55, 0xB55},
     {0xC04, 0xC3C},     {0xCF3, 0xD00},     {0xD3B, 0xD3C},     {0xD81, 0xD81},     {0xEBA, 0xEBA},
     {0xECE, 0xECE},     {0x1715, 0x1715},   {0x180F, 0x180F},   {0x1ABF, 0x1AFF},   {0x1CF7, 0x1CF7},
     {0x1DF6, 0x1DFA},   {0xA82C, 0xA82C},   {0xA8FF, 0xA8FF},   {0x10D24, 0x10D27}, {0x10EAB, 0x10F85},
     {0x11070, 0x11074}, {0x110C2, 0x110C2}, {0x11145, 0x11146}, {0x111C9, 0x111C9}, {0x111CE, 0x111CF},
     {0x11241, 0x11241}, {0x1133B, 0x1133B}, {0x1145E, 0x1145E}, {0x1182C, 0x1183A}, {0x11930, 0x11A99},
     {0x11D31, 0x11D97}, {0x11EF3, 0x11F42}, {0x13440, 0x13455}, {0x16F4F, 0x16F4F}, {0x16F7F, 0x16F87},
     {0x16FE4, 0x16FF1}, {0x1CF00, 0x1CF46}, {0x1E08F, 0x1E136}, {0x1E2AE, 0x1E2EF}, {0x1E4EC, 0x1E4EF}});

// Characters that continue a user-perceived character since Unicode 16 or so, ascending.
constexpr std::array kLaterContinuing = std::to_array<CodePoints>(
    {{0x897, 0x897},     {0x1ACF, 0x1ADD},   {0x1AE0, 0x1AEB},   {0x10D69, 0x10D6D}, {0x10EFA, 0x10EFC},
     {0x113B8, 0x113C0}, {0x113C2, 0x113C2}, {0x113C5, 0x113C5}, {0x113C7, 0x113CA}, {0x113CC, 0x113D0},
     {0x113D2, 0x113D2}, {0x113E1, 0x113E2}, {0x11B60, 0x11B67}, {0x11F5A, 0x11F5A}, {0x1611E, 0x1612F},
     {0x1E5EE, 0x1E5EF}, {0x1E6E3, 0x1E6E3}, {0x1E6E6, 0x1E6E6}, {0x1E6EE, 0x1E6EF}, {0x1E6F5, 0x1E6F5}});

// Category Cf that came after Unicode 8, ascending.
constexpr std::array kLaterFormat =
    std::to_array<CodePoints>({{0x890, 0x891}, {0x8E2, 0x8E2}, {0x110CD, 0x110CD}, {0x13430, 0x1343F}});

utf8proc_category_t category(char32_t c) { return utf8proc_category(static_cast<utf8proc_int32_t>(c)); }

/// Lower case that came later, or that is two characters.
char32_t later_lower_case(char32_t c) {
  if (c == 0x1C89) return 0x1C8A;
  if (c == 0xA7CB) return 0x264;
  if (c == 0xA7CC || c == 0xA7CE || c == 0xA7D2 || c == 0xA7D4 || c == 0xA7DA) return c + 1;
  if (c == 0xA7DC) return 0x19B;
  if (c >= 0x10D50 && c <= 0x10D65) return c + 0x20;
  if (c >= 0x16EA0 && c <= 0x16EB8) return c + 0x1B;
  return c;
}

}  // namespace

bool is_nonspacing_mark(char32_t c) {
  static const CodePointSet later(kLaterNonspacing);
  if (c < 0x300) return false;
  if (c == 0x1734) return true;  // was one once
  return category(c) == UTF8PROC_CATEGORY_MN && !later.contains(c);
}

bool is_combining_mark(char32_t c) {
  static const CodePointSet later(kLaterCombining);
  if (c < 0x300) return false;
  if (c == 0x1CF2 || c == 0x1CF3) return true;  // were marks once
  const utf8proc_category_t k = category(c);
  return k >= UTF8PROC_CATEGORY_MN && k <= UTF8PROC_CATEGORY_ME && !later.contains(c);
}

bool is_control(char32_t c) {
  static const CodePointSet later(kLaterFormat);
  if (c < 0x7F) return c < 0x20;
  const utf8proc_category_t k = category(c);
  return (k == UTF8PROC_CATEGORY_CC || k == UTF8PROC_CATEGORY_CF || k == UTF8PROC_CATEGORY_CO) && !later.contains(c);
}

void append_lower_case(std::string& out, char32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 0x20 : c);
  } else if (c == 0x130) {
    out += "i\u0307";
  } else {
    const auto lower = static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
    append_utf8(out, lower != c ? lower : later_lower_case(c));
  }
}

std::size_t first_grapheme(std::string_view text) {
  static const CodePointSet later(kLaterContinuing);
  const auto is_ascii = [&](std::size_t at) { return static_cast<unsigned char>(text[at]) < 0x80; };
  if (is_ascii(0) && (text.size() == 1 || (is_ascii(1) && text[0] != '\r'))) return 1;
  Decoded left = decode_utf8(text);
  std::size_t at = left.size_bytes;
  utf8proc_int32_t state = 0;
  while (at < text.size()) {
    const Decoded right = decode_utf8(text.substr(at));
    const bool cut = utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(left.code_point),
                                                      static_cast<utf8proc_int32_t>(right.code_point), &state);
    const bool joins = later.contains(right.code_point) && left.code_point != '\r' && left.code_point != '\n' &&
                       !(is_control(left.code_point) && left.code_point != 0x200C && left.code_point != 0x200D);
    if (cut && !joins) break;
    left = right;
    at += right.size_bytes;
  }
  return at;
}

}  // namespace gloss::text
