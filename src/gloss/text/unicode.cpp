#include "gloss/text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <bitset>
#include <cstdint>
#include <span>

#include "gloss/base/utf8.h"
#include "gloss/text/code_point_set.h"

namespace gloss::text {
namespace {

/// General categories of the characters added; Han letters apart, because expressions ask for that script.
enum class Kind : std::uint8_t { lu, ll, lm, lo, han, mn, mc, nd, no, pd, po, sm, so, cf };

struct Added {
  char32_t first;
  char32_t last;
  Kind kind;
};

// Unicode Character Database 16.0 less 14.0, ascending.
constexpr std::array kAdded =
    std::to_array<Added>({{0x897, 0x897, Kind::mn},     {0xCF3, 0xCF3, Kind::mc},      {0xECE, 0xECE, Kind::mn},
                          {0x1B4E, 0x1B4F, Kind::po},   {0x1B7F, 0x1B7F, Kind::po},    {0x1C89, 0x1C89, Kind::lu},
                          {0x1C8A, 0x1C8A, Kind::ll},   {0x2427, 0x2429, Kind::so},    {0x2FFC, 0x2FFF, Kind::so},
                          {0x31E4, 0x31E5, Kind::so},   {0x31EF, 0x31EF, Kind::so},    {0xA7CB, 0xA7CC, Kind::lu},
                          {0xA7CD, 0xA7CD, Kind::ll},   {0xA7DA, 0xA7DA, Kind::lu},    {0xA7DB, 0xA7DB, Kind::ll},
                          {0xA7DC, 0xA7DC, Kind::lu},   {0x105C0, 0x105F3, Kind::lo},  {0x10D40, 0x10D49, Kind::nd},
                          {0x10D4A, 0x10D4D, Kind::lo}, {0x10D4E, 0x10D4E, Kind::lm},  {0x10D4F, 0x10D4F, Kind::lo},
                          {0x10D50, 0x10D65, Kind::lu}, {0x10D69, 0x10D6D, Kind::mn},  {0x10D6E, 0x10D6E, Kind::pd},
                          {0x10D6F, 0x10D6F, Kind::lm}, {0x10D70, 0x10D85, Kind::ll},  {0x10D8E, 0x10D8F, Kind::sm},
                          {0x10EC2, 0x10EC4, Kind::lo}, {0x10EFC, 0x10EFF, Kind::mn},  {0x1123F, 0x11240, Kind::lo},
                          {0x11241, 0x11241, Kind::mn}, {0x11380, 0x11389, Kind::lo},  {0x1138B, 0x1138B, Kind::lo},
                          {0x1138E, 0x1138E, Kind::lo}, {0x11390, 0x113B5, Kind::lo},  {0x113B7, 0x113B7, Kind::lo},
                          {0x113B8, 0x113BA, Kind::mc}, {0x113BB, 0x113C0, Kind::mn},  {0x113C2, 0x113C2, Kind::mc},
                          {0x113C5, 0x113C5, Kind::mc}, {0x113C7, 0x113CA, Kind::mc},  {0x113CC, 0x113CD, Kind::mc},
                          {0x113CE, 0x113CE, Kind::mn}, {0x113CF, 0x113CF, Kind::mc},  {0x113D0, 0x113D0, Kind::mn},
                          {0x113D1, 0x113D1, Kind::lo}, {0x113D2, 0x113D2, Kind::mn},  {0x113D3, 0x113D3, Kind::lo},
                          {0x113D4, 0x113D5, Kind::po}, {0x113D7, 0x113D8, Kind::po},  {0x113E1, 0x113E2, Kind::mn},
                          {0x116D0, 0x116E3, Kind::nd}, {0x11B00, 0x11B09, Kind::po},  {0x11BC0, 0x11BE0, Kind::lo},
                          {0x11BE1, 0x11BE1, Kind::po}, {0x11BF0, 0x11BF9, Kind::nd},  {0x11F00, 0x11F01, Kind::mn},
                          {0x11F02, 0x11F02, Kind::lo}, {0x11F03, 0x11F03, Kind::mc},  {0x11F04, 0x11F10, Kind::lo},
                          {0x11F12, 0x11F33, Kind::lo}, {0x11F34, 0x11F35, Kind::mc},  {0x11F36, 0x11F3A, Kind::mn},
                          {0x11F3E, 0x11F3F, Kind::mc}, {0x11F40, 0x11F40, Kind::mn},  {0x11F41, 0x11F41, Kind::mc},
                          {0x11F42, 0x11F42, Kind::mn}, {0x11F43, 0x11F4F, Kind::po},  {0x11F50, 0x11F59, Kind::nd},
                          {0x11F5A, 0x11F5A, Kind::mn}, {0x1342F, 0x1342F, Kind::lo},  {0x13439, 0x1343F, Kind::cf},
                          {0x13440, 0x13440, Kind::mn}, {0x13441, 0x13446, Kind::lo},  {0x13447, 0x13455, Kind::mn},
                          {0x13460, 0x143FA, Kind::lo}, {0x16100, 0x1611D, Kind::lo},  {0x1611E, 0x16129, Kind::mn},
                          {0x1612A, 0x1612C, Kind::mc}, {0x1612D, 0x1612F, Kind::mn},  {0x16130, 0x16139, Kind::nd},
                          {0x16D40, 0x16D42, Kind::lm}, {0x16D43, 0x16D6A, Kind::lo},  {0x16D6B, 0x16D6C, Kind::lm},
                          {0x16D6D, 0x16D6F, Kind::po}, {0x16D70, 0x16D79, Kind::nd},  {0x18CFF, 0x18CFF, Kind::lo},
                          {0x1B132, 0x1B132, Kind::lo}, {0x1B155, 0x1B155, Kind::lo},  {0x1CC00, 0x1CCEF, Kind::so},
                          {0x1CCF0, 0x1CCF9, Kind::nd}, {0x1CD00, 0x1CEB3, Kind::so},  {0x1D2C0, 0x1D2D3, Kind::no},
                          {0x1DF25, 0x1DF2A, Kind::ll}, {0x1E030, 0x1E06D, Kind::lm},  {0x1E08F, 0x1E08F, Kind::mn},
                          {0x1E4D0, 0x1E4EA, Kind::lo}, {0x1E4EB, 0x1E4EB, Kind::lm},  {0x1E4EC, 0x1E4EF, Kind::mn},
                          {0x1E4F0, 0x1E4F9, Kind::nd}, {0x1E5D0, 0x1E5ED, Kind::lo},  {0x1E5EE, 0x1E5EF, Kind::mn},
                          {0x1E5F0, 0x1E5F0, Kind::lo}, {0x1E5F1, 0x1E5FA, Kind::nd},  {0x1E5FF, 0x1E5FF, Kind::po},
                          {0x1F6DC, 0x1F6DC, Kind::so}, {0x1F774, 0x1F776, Kind::so},  {0x1F77B, 0x1F77F, Kind::so},
                          {0x1F7D9, 0x1F7D9, Kind::so}, {0x1F8B2, 0x1F8BB, Kind::so},  {0x1F8C0, 0x1F8C1, Kind::so},
                          {0x1FA75, 0x1FA77, Kind::so}, {0x1FA87, 0x1FA89, Kind::so},  {0x1FA8F, 0x1FA8F, Kind::so},
                          {0x1FAAD, 0x1FAAF, Kind::so}, {0x1FABB, 0x1FABF, Kind::so},  {0x1FAC6, 0x1FAC6, Kind::so},
                          {0x1FACE, 0x1FACF, Kind::so}, {0x1FADA, 0x1FADC, Kind::so},  {0x1FADF, 0x1FADF, Kind::so},
                          {0x1FAE8, 0x1FAE9, Kind::so}, {0x1FAF7, 0x1FAF8, Kind::so},  {0x1FBCB, 0x1FBEF, Kind::so},
                          {0x2B739, 0x2B739, Kind::lo}, {0x2EBF0, 0x2EE5D, Kind::han}, {0x31350, 0x323AF, Kind::han}});

struct StandIn {
  char32_t three_bytes;
  char32_t four_bytes;
};

/// A character of Unicode 14 with the same category, for both lengths in UTF-8.
constexpr StandIn stand_in(Kind kind) {
  switch (kind) {
    case Kind::lu:
      return {0x1E00, 0x10400};
    case Kind::ll:
      return {0x1E01, 0x10428};
    case Kind::lm:
      return {0x1D2C, 0x16B40};
    case Kind::lo:
      return {0x0E01, 0x10450};
    case Kind::han:
      return {0x4E00, 0x20000};
    case Kind::mn:
      return {0x0941, 0x10A01};
    case Kind::mc:
      return {0x0903, 0x11000};
    case Kind::nd:
      return {0x0966, 0x104A0};
    case Kind::no:
      return {0x2460, 0x10107};
    case Kind::pd:
      return {0x2010, 0x10EAD};
    case Kind::po:
      return {0x2020, 0x10100};
    case Kind::sm:
      return {0x2200, 0x1D6C1};
    case Kind::so:
      return {0x2300, 0x1D100};
    case Kind::cf:
      return {0x200B, 0x110BD};
  }
  return {0x2300, 0x1D100};
}

// Category P of Unicode 16 that the reference does not take for punctuation, ascending.
constexpr std::array kLaterPunctuation = std::to_array<CodePoints>(
    {{0x61D, 0x61D},     {0x9FD, 0x9FD},     {0xA76, 0xA76},     {0xC77, 0xC77},     {0xC84, 0xC84},
     {0x1B4E, 0x1B4F},   {0x1B7D, 0x1B7F},   {0x2E43, 0x2E4F},   {0x2E52, 0x2E5D},   {0x10D6E, 0x10D6E},
     {0x10EAD, 0x10EAD}, {0x10F55, 0x10F59}, {0x10F86, 0x10F89}, {0x113D4, 0x113D5}, {0x113D7, 0x113D8},
     {0x1144B, 0x1144F}, {0x1145A, 0x1145B}, {0x1145D, 0x1145D}, {0x11660, 0x1166C}, {0x116B9, 0x116B9},
     {0x1183B, 0x1183B}, {0x11944, 0x11946}, {0x119E2, 0x119E2}, {0x11A3F, 0x11A46}, {0x11A9A, 0x11A9C},
     {0x11A9E, 0x11AA2}, {0x11B00, 0x11B09}, {0x11BE1, 0x11BE1}, {0x11C41, 0x11C45}, {0x11C70, 0x11C71},
     {0x11EF7, 0x11EF8}, {0x11F43, 0x11F4F}, {0x11FFF, 0x11FFF}, {0x12FF1, 0x12FF2}, {0x16D6D, 0x16D6F},
     {0x16E97, 0x16E9A}, {0x16FE2, 0x16FE2}, {0x1E5FF, 0x1E5FF}, {0x1E95E, 0x1E95F}});

template <class R>
const R* find_range(std::span<const R> ranges, char32_t c) {
  const auto it = std::partition_point(ranges.begin(), ranges.end(), [&](const R& r) { return r.last < c; });
  return it != ranges.end() && it->first <= c ? &*it : nullptr;
}

constexpr std::size_t kBlockBits = 8;
constexpr std::size_t kBlocks = 0x110000 >> kBlockBits;

/// Blocks of 256 code points that a table reaches into: nearly all text is in none of them.
template <class R>
std::bitset<kBlocks> blocks_of(std::span<const R> ranges) {
  std::bitset<kBlocks> blocks;
  for (const R& r : ranges) {
    for (std::size_t i = r.first >> kBlockBits; i <= r.last >> kBlockBits; ++i) blocks.set(i);
  }
  return blocks;
}

/// find_range, behind a look at the block.
const Added* find_added(char32_t c) {
  static const std::bitset<kBlocks> blocks = blocks_of<Added>(kAdded);
  return blocks.test(c >> kBlockBits) ? find_range<Added>(kAdded, c) : nullptr;
}

utf8proc_category_t category(char32_t c) { return utf8proc_category(static_cast<utf8proc_int32_t>(c)); }

bool is_added(char32_t c, std::initializer_list<Kind> kinds) {
  const Added* r = find_added(c);
  return r != nullptr && std::find(kinds.begin(), kinds.end(), r->kind) != kinds.end();
}

constexpr bool in(char32_t c, char32_t first, char32_t last) { return c >= first && c <= last; }

/// Symbols that are alphabetic all the same: circled and squared letters.
constexpr bool is_letter_symbol(char32_t c) {
  return in(c, 0x24B6, 0x24E9) || in(c, 0x1F130, 0x1F149) || in(c, 0x1F150, 0x1F169) || in(c, 0x1F170, 0x1F189);
}

}  // namespace

bool is_white_space(char32_t c) {
  return in(c, 9, 13) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 || in(c, 0x2000, 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_numeric(char32_t c) {
  if (c < 0x80) return in(c, '0', '9');
  const utf8proc_category_t k = category(c);
  if (k == UTF8PROC_CATEGORY_ND || k == UTF8PROC_CATEGORY_NL || k == UTF8PROC_CATEGORY_NO) return true;
  return is_added(c, {Kind::nd, Kind::no}) || in(c, 0x11DE0, 0x11DE9) || in(c, 0x16FF4, 0x16FF6);
}

bool is_punctuation(char32_t c) {
  if (c < 0x80) return in(c, 33, 47) || in(c, 58, 64) || in(c, 91, 96) || in(c, 123, 126);
  if (c == 0x166D || c == 0x111C9) return true;  // were punctuation once
  static const CodePointSet later(kLaterPunctuation);
  const utf8proc_category_t k = category(c);
  return k >= UTF8PROC_CATEGORY_PC && k <= UTF8PROC_CATEGORY_PO && !later.contains(c);
}

bool is_word(char32_t c) {
  if (c < 0x80) return in(c, '0', '9') || in(c, 'A', 'Z') || in(c, 'a', 'z') || c == '_';
  const utf8proc_category_t k = category(c);
  if (k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_NL) return true;  // L, M, Nd, Nl in the order of the enum
  if (k == UTF8PROC_CATEGORY_PC || is_letter_symbol(c) || c == 0x200C || c == 0x200D) return true;
  return is_added(c, {Kind::lu, Kind::ll, Kind::lm, Kind::lo, Kind::han, Kind::mn, Kind::mc, Kind::nd});
}

std::string with_older_characters(std::string_view text) {
  std::string changed;
  for (std::size_t at = 0; at < text.size();) {
    if (static_cast<unsigned char>(text[at]) < 0xE0) {  // the additions have three or four bytes
      ++at;
      continue;
    }
    const Decoded d = decode_utf8(text.substr(at));
    const Added* r = find_added(d.code_point);
    if (r != nullptr) {
      if (changed.empty()) changed = text;
      const StandIn other = stand_in(r->kind);
      std::string bytes;
      append_utf8(bytes, d.size_bytes == 3 ? other.three_bytes : other.four_bytes);
      changed.replace(at, d.size_bytes, bytes);
    }
    at += d.size_bytes;
  }
  return changed;
}

}  // namespace gloss::text
