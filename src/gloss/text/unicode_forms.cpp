// Normalization forms as the reference has them: utf8proc's tables, less what came later.
#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <new>

#include "gloss/base/utf8.h"
#include "gloss/text/code_point_set.h"
#include "gloss/text/unicode.h"

namespace gloss::text {
namespace {

// Marks and composites that came after the reference's normalization tables (of Unicode 9 or so), ascending: to those
// they are characters that neither move nor compose.
constexpr std::array kLaterMarks = std::to_array<CodePoints>(
    {{0x7FD, 0x7FD},     {0x897, 0x89F},     {0x8CA, 0x8D3},     {0x9FE, 0x9FE},     {0xC3C, 0xC3C},
     {0xD3B, 0xD3C},     {0xEBA, 0xEBA},     {0x1715, 0x1715},   {0x1ABF, 0x1ACE},   {0x1DF6, 0x1DFA},
     {0xA82C, 0xA82C},   {0x105C0, 0x105FF}, {0x10D24, 0x10D27}, {0x10D69, 0x10D6D}, {0x10EAB, 0x10EAC},
     {0x10EFD, 0x10EFF}, {0x10F46, 0x10F50}, {0x10F82, 0x10F85}, {0x11070, 0x11070}, {0x1133B, 0x1133B},
     {0x11380, 0x113FF}, {0x1145E, 0x1145E}, {0x11839, 0x1183A}, {0x11930, 0x11930}, {0x11935, 0x11935},
     {0x11938, 0x11938}, {0x1193D, 0x1193E}, {0x11943, 0x11943}, {0x119E0, 0x119E0}, {0x11A34, 0x11A34},
     {0x11A47, 0x11A47}, {0x11A99, 0x11A99}, {0x11D42, 0x11D42}, {0x11D44, 0x11D45}, {0x11D97, 0x11D97},
     {0x11F41, 0x11F42}, {0x16100, 0x1613F}, {0x16D40, 0x16D7F}, {0x16FF0, 0x16FF1}, {0x1E08F, 0x1E08F},
     {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE}, {0x1E2EC, 0x1E2EF}, {0x1E4EC, 0x1E4EF}, {0x1E5EE, 0x1E5EF}});

// Characters whose compatibility decomposition came later, ascending.
constexpr std::array kLaterCompatible = std::to_array<CodePoints>({{0x32FF, 0x32FF},
                                                                   {0xA7F1, 0xA7F4},
                                                                   {0xAB69, 0xAB69},
                                                                   {0x10781, 0x107BA},
                                                                   {0x1CCD6, 0x1CCF9},
                                                                   {0x1E030, 0x1E06D},
                                                                   {0x1F16C, 0x1F16C},
                                                                   {0x1FBF0, 0x1FBF9}});

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

utf8proc_option_t options_of(NormalForm form) {
  const bool composed = form == NormalForm::nfc || form == NormalForm::nfkc;
  const bool compatible = form == NormalForm::nfkc || form == NormalForm::nfkd;
  return static_cast<utf8proc_option_t>(UTF8PROC_STABLE | (composed ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE) |
                                        (compatible ? UTF8PROC_COMPAT : 0));
}

/// Appends `text` normalized by utf8proc's tables.
void append_normalized(std::string& out, std::string_view text, NormalForm form) {
  if (is_ascii(text)) {
    out += text;
    return;
  }
  utf8proc_uint8_t* raw = nullptr;
  const utf8proc_ssize_t size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                             static_cast<utf8proc_ssize_t>(text.size()), &raw, options_of(form));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owned(raw, &std::free);
  if (size < 0) throw std::bad_alloc();  // the only failure left for well-formed text
  out.append(reinterpret_cast<const char*>(owned.get()), static_cast<std::size_t>(size));
}

bool came_later(char32_t c, NormalForm form) {
  static const CodePointSet marks(kLaterMarks);
  static const CodePointSet compatible(kLaterCompatible);
  if (marks.contains(c)) return true;
  return (form == NormalForm::nfkc || form == NormalForm::nfkd) && compatible.contains(c);
}

}  // namespace

/// Later characters stay; to the reference they neither move nor compose, so that texts end at them.
std::string normalize(std::string_view text, NormalForm form) {
  std::string out;
  out.reserve(text.size());
  std::size_t begin = 0;  // of what is not yet written
  for (std::size_t at = 0; at < text.size();) {
    if (static_cast<unsigned char>(text[at]) < 0x80) {
      ++at;
      continue;
    }
    const Decoded d = decode_utf8(text.substr(at));
    at += d.size_bytes;
    if (!came_later(d.code_point, form)) continue;
    append_normalized(out, text.substr(begin, at - d.size_bytes - begin), form);
    out += text.substr(at - d.size_bytes, d.size_bytes);
    begin = at;
  }
  append_normalized(out, text.substr(begin), form);
  return out;
}

}  // namespace gloss::text
