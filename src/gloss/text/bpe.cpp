#include "gloss/text/bpe.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/base/utf8.h"
#include "gloss/formats/json_file.h"
#include "gloss/text/byte_level.h"
#include "gloss/text/word_cache.h"

namespace gloss::text {
namespace {

using Json = nlohmann::json;

/// "a b", or ["a", "b"].
std::pair<std::string, std::string> read_pair(const Json& merge, const std::string& where) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string())
    return {merge[0].get<std::string>(), merge[1].get<std::string>()};
  const std::string text = merge.is_string() ? merge.get<std::string>() : std::string();
  const std::size_t space = text.find(' ');
  if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos)
    fail_input(where, fmt::format("{} is not a pair of tokens", merge.is_string() ? merge.dump() : merge.type_name()));
  return {text.substr(0, space), text.substr(space + 1)};
}

void refuse_dropout(const formats::Fields& model) {
  const double dropout = model.number("dropout", 0.0);
  if (dropout != 0.0)
    fail_input(model.where(), fmt::format("'dropout' is {}: the ids of a text would be random", dropout),
               "set it to null");
}

}  // namespace

/// Characters outside the vocabulary met last and not yet written down.
struct Bpe::Unknown {
  bool pending = false;
};

Bpe Bpe::parse(const Json& json, const std::string& where) {
  const formats::Fields model(json, where);
  const std::string type = model.string("type", model.has("merges") ? "BPE" : "of no name");
  if (type != "BPE") fail_input(where, fmt::format("is of type '{}', wanted BPE", type));
  refuse_dropout(model);
  Bpe b;
  b.vocabulary_ = Vocabulary::parse(model.at("vocab"), where + ".vocab");
  b.ignore_merges_ = model.boolean("ignore_merges", false);
  b.byte_fallback_ = model.boolean("byte_fallback", false);
  b.fuse_unknown_ = model.boolean("fuse_unk", false);
  if (model.has("unk_token")) b.unknown_id_ = b.vocabulary_.id_of(model.string("unk_token")).value_or(kNone);
  b.inside_prefix_ = model.string("continuing_subword_prefix", "");
  b.end_suffix_ = model.string("end_of_word_suffix", "");
  b.read_alphabet();
  b.read_merges(model.at("merges"), where + ".merges");
  b.cache_owner_ = WordCache::next_owner();
  return b;
}

void Bpe::read_alphabet() {
  const auto id = [&](std::string_view token) { return vocabulary_.id_of(token).value_or(kNone); };
  for (unsigned byte = 0; byte < 256; ++byte) {
    raw_id_[byte] = id(byte_level_character(static_cast<std::uint8_t>(byte)));
    fallback_id_[byte] = id(fmt::format("<0x{:02X}>", byte));
    if (byte < ascii_id_.size()) ascii_id_[byte] = id(std::string(1, static_cast<char>(byte)));
  }
}

void Bpe::read_merges(const Json& json, const std::string& where) {
  if (!json.is_array()) fail_input(where, fmt::format("is {}, wanted an array", json.type_name()));
  if (json.size() > kMaxTokens) fail_input(where, fmt::format("{} merges are too many", json.size()));
  merges_ = MergeTable(json.size());
  std::vector<std::uint32_t> products;
  products.reserve(json.size());
  for (std::size_t rank = 0; rank < json.size(); ++rank) {
    const std::string here = fmt::format("{}[{}]", where, rank);
    const auto [left, right] = read_pair(json[rank], here);
    const auto id = [&](const std::string& token) {
      const std::optional<std::uint32_t> found = vocabulary_.id_of(token);
      if (!found) fail_input(here, fmt::format("token '{}' is not in the vocabulary", token));
      return *found;
    };
    if (right.size() < inside_prefix_.size()) fail_input(here, fmt::format("token '{}' has no prefix", right));
    const Merge merge{static_cast<std::uint32_t>(rank), id(left + right.substr(inside_prefix_.size()))};
    merges_.set(pair_key(id(left), id(right)), merge);
    products.push_back(merge.id);
  }
  find_starters(products);
}

/// A character starts words when no product of a merge has it behind another character: then no merge, whatever it
/// does, can join it to what stands before it, and what stands before and behind can be encoded apart. In the Llama
/// family, where a whole text is one piece, the mark of a space is such a character. Not so when unknown characters
/// vanish, for then others meet that did not touch; or when characters are other tokens inside a word and at its end.
void Bpe::find_starters(const std::vector<std::uint32_t>& products) {
  const bool all_bytes = std::find(fallback_id_.begin(), fallback_id_.end(), kNone) == fallback_id_.end();
  if (has_affixes() || (unknown_id_ == kNone && !(byte_fallback_ && all_bytes))) return;
  for (std::uint32_t c = 0; c < starters_.size(); ++c) {
    std::string text;
    if (c < 0xD800 || c >= 0xE000) append_utf8(text, c);
    starters_.set(c, !text.empty() && vocabulary_.id_of(text).has_value());
  }
  for (const std::uint32_t id : products) {
    std::string_view text = *vocabulary_.token(id);
    char32_t before = 0;
    for (bool first = true; !text.empty(); first = false) {
      const Decoded d = decode_utf8(text);
      if (!first && d.code_point != before && d.code_point < starters_.size()) starters_.reset(d.code_point);
      before = d.code_point;
      text.remove_prefix(d.size_bytes);
    }
  }
}

std::uint32_t Bpe::character_id(std::string_view character) const {
  if (character.size() == 1) return ascii_id_[static_cast<unsigned char>(character[0]) & 0x7FU];
  return vocabulary_.id_of(character).value_or(kNone);
}

/// Appends the symbol or symbols of one character. An unknown one is held back until a known one comes, so that several
/// can be one symbol; bytes do not count as known ones (as in the reference).
void Bpe::add_character(std::string_view character, std::uint32_t id, Unknown& unknown,
                        std::vector<std::uint32_t>& ids) const {
  if (id != kNone) {
    if (std::exchange(unknown.pending, false)) ids.push_back(unknown_id_);
    ids.push_back(id);
    return;
  }
  const auto fallback = [&](char byte) { return fallback_id_[static_cast<unsigned char>(byte)]; };
  if (byte_fallback_ &&
      std::none_of(character.begin(), character.end(), [&](char b) { return fallback(b) == kNone; })) {
    for (const char byte : character) ids.push_back(fallback(byte));
    return;
  }
  if (unknown_id_ == kNone) return;
  if (unknown.pending && !fuse_unknown_) ids.push_back(unknown_id_);
  unknown.pending = true;
}

/// The symbols of a word whose characters are other tokens inside it and at its end.
void Bpe::affixed_symbols(std::string_view word, bool raw_bytes, std::vector<std::uint32_t>& ids) const {
  std::string characters;
  if (raw_bytes) {
    append_byte_level(characters, word);
    word = characters;
  }
  Unknown unknown;
  std::string symbol;
  for (std::size_t at = 0; at < word.size();) {
    const std::size_t size = decode_utf8(word.substr(at)).size_bytes;
    symbol = at == 0 ? "" : inside_prefix_;
    symbol += word.substr(at, size);
    at += size;
    if (at == word.size()) symbol += end_suffix_;
    add_character(symbol, vocabulary_.id_of(symbol).value_or(kNone), unknown, ids);
  }
  if (unknown.pending) ids.push_back(unknown_id_);
}

void Bpe::symbols(std::string_view word, bool raw_bytes, std::vector<std::uint32_t>& ids) const {
  if (has_affixes()) return affixed_symbols(word, raw_bytes, ids);
  Unknown unknown;
  if (raw_bytes) {
    for (const char c : word) {
      const auto byte = static_cast<std::uint8_t>(c);
      add_character(byte_level_character(byte), raw_id_[byte], unknown, ids);
    }
  }
  for (std::size_t at = 0; !raw_bytes && at < word.size();) {
    const std::string_view character = word.substr(at, decode_utf8(word.substr(at)).size_bytes);
    add_character(character, character_id(character), unknown, ids);
    at += character.size();
  }
  if (unknown.pending) ids.push_back(unknown_id_);
}

void Bpe::encode_word(std::string_view word, bool raw_bytes, std::vector<TokenId>& out) const {
  WordCache::of_this_thread().encode(cache_owner_, word, out, [&](std::vector<std::uint32_t>& ids) {
    symbols(word, raw_bytes, ids);
    apply_merges(merges_, ids);
  });
}

std::optional<std::uint32_t> Bpe::whole_piece(std::string_view piece, bool raw_bytes) const {
  if (!raw_bytes) return vocabulary_.id_of(piece);
  std::string text;
  append_byte_level(text, piece);
  return vocabulary_.id_of(text);
}

void Bpe::encode(std::string_view piece, bool raw_bytes, std::vector<TokenId>& out) const {
  if (piece.empty()) return;
  if (ignore_merges_) {
    if (const std::optional<std::uint32_t> id = whole_piece(piece, raw_bytes)) {
      out.push_back(TokenId{*id});
      return;
    }
  }
  if (raw_bytes) return encode_word(piece, true, out);
  std::size_t begin = 0;
  char32_t before = 0;
  for (std::size_t at = 0; at < piece.size();) {
    const Decoded d = decode_utf8(piece.substr(at));
    if (at > begin && d.code_point != before && d.code_point < starters_.size() && starters_.test(d.code_point)) {
      encode_word(piece.substr(begin, at - begin), false, out);
      begin = at;
    }
    before = d.code_point;
    at += d.size_bytes;
  }
  encode_word(piece.substr(begin), false, out);
}

}  // namespace gloss::text
