#include "gloss/text/charsmap.h"

#include <fmt/format.h>

#include "gloss/base/error.h"
#include "gloss/base/utf8.h"
#include "gloss/text/unicode.h"

namespace gloss::text {
namespace {

constexpr std::size_t kLongestGrapheme = 5;  // of those looked up as a whole

std::uint32_t read_u32(std::string_view bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = 4; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

/// Where the children of a unit begin, relative to it.
std::uint32_t offset_of(std::uint32_t unit) { return unit >> 10 << ((unit & (1U << 9)) >> 6); }
bool has_leaf(std::uint32_t unit) { return (unit >> 8 & 1U) != 0; }
/// A byte; no byte for a leaf.
std::uint32_t label_of(std::uint32_t unit) { return unit & (1U << 31 | 0xFFU); }
std::uint32_t value_of(std::uint32_t leaf) { return leaf & 0x7FFFFFFFU; }

}  // namespace

Charsmap Charsmap::parse(std::string_view blob, const std::string& where) {
  if (blob.size() < 4) fail_input(where, fmt::format("{} bytes, wanted a size of 4 bytes and more", blob.size()));
  const std::size_t trie_bytes = read_u32(blob);
  blob.remove_prefix(4);
  if (trie_bytes > blob.size() || trie_bytes % 4 != 0 || trie_bytes == 0)
    fail_input(where, fmt::format("a trie of {} bytes in {} bytes", trie_bytes, blob.size()));
  Charsmap map;
  map.units_.reserve(trie_bytes / 4);
  for (std::size_t at = 0; at < trie_bytes; at += 4) map.units_.push_back(read_u32(blob.substr(at, 4)));
  map.replacements_ = blob.substr(trie_bytes);
  if (!is_valid_utf8(map.replacements_)) fail_input(where, "replacements that are no UTF-8");
  return map;
}

/// Nothing for a place that is no beginning of a character.
std::optional<std::string_view> Charsmap::replacement_at(std::size_t place) const {
  if (place >= replacements_.size() || (static_cast<unsigned char>(replacements_[place]) & 0xC0U) == 0x80) return {};
  const std::string_view rest = std::string_view(replacements_).substr(place);
  return rest.substr(0, rest.find('\0'));
}

/// The shortest or longest beginning of `text` that is in the table. Units that point outside end the search.
std::optional<Charsmap::Match> Charsmap::find(std::string_view text, bool longest) const {
  std::optional<Match> found;
  std::size_t at = offset_of(units_[0]);
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    at ^= byte;
    if (byte == 0 || at >= units_.size() || label_of(units_[at]) != byte) break;
    const std::uint32_t unit = units_[at];
    at ^= offset_of(unit);
    if (!has_leaf(unit)) continue;
    const auto replacement = at < units_.size() ? replacement_at(value_of(units_[at])) : std::nullopt;
    if (!replacement) break;
    found = Match{i + 1, *replacement};
    if (!longest) break;
  }
  return found;
}

std::string Charsmap::apply(std::string_view text) const {
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  while (!text.empty()) {
    std::string_view grapheme = text.substr(0, first_grapheme(text));
    text.remove_prefix(grapheme.size());
    const auto whole = grapheme.size() <= kLongestGrapheme ? find(grapheme, false) : std::nullopt;
    if (whole) {
      out += whole->replacement;
      continue;
    }
    while (!grapheme.empty()) {
      const std::size_t size = decode_utf8(grapheme).size_bytes;
      const auto found = find(grapheme.substr(0, size), false);
      out += found ? found->replacement : grapheme.substr(0, size);
      grapheme.remove_prefix(size);
    }
  }
  return out;
}

std::string Charsmap::apply_longest(std::string_view text) const {
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  while (!text.empty()) {
    const std::size_t size = decode_utf8(text).size_bytes;
    // a beginning that ends inside a character can only come of a damaged table
    const auto found = find(text, true);
    const bool whole =
        found && (found->size == text.size() || (static_cast<unsigned char>(text[found->size]) & 0xC0U) != 0x80);
    out += whole ? found->replacement : text.substr(0, size);
    text.remove_prefix(whole ? found->size : size);
  }
  return out;
}

}  // namespace gloss::text
