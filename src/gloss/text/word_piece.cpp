#include "gloss/text/word_piece.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "gloss/base/error.h"
#include "gloss/formats/json_file.h"
#include "gloss/text/word_cache.h"

namespace gloss::text {
namespace {

constexpr std::uint64_t kMostCharacters = std::uint64_t{1} << 31;

std::size_t count_characters(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80; }));
}

}  // namespace

WordPiece WordPiece::parse(const nlohmann::json& json, const std::string& where) {
  const formats::Fields model(json, where);
  WordPiece w;
  w.vocabulary_ = Vocabulary::parse(model.at("vocab"), where + ".vocab");
  const std::string unknown = model.string("unk_token", "[UNK]");
  const std::optional<std::uint32_t> id = w.vocabulary_.id_of(unknown);
  if (!id) fail_input(where, fmt::format("'unk_token' is '{}', which is not in the vocabulary", unknown));
  w.unknown_id_ = *id;
  w.longest_word_ = model.integer("max_input_chars_per_word", 0, kMostCharacters, 100);
  w.inside_ = w.trie_.add(model.string("continuing_subword_prefix", "##"));
  for (std::uint32_t i = 0; i < w.vocabulary_.end(); ++i) {
    const std::optional<std::string_view> token = w.vocabulary_.token(i);
    const std::uint32_t node = token ? w.trie_.add(*token) : ByteTrie::kRoot;
    w.id_at_.resize(w.trie_.size(), kNone);
    if (node != ByteTrie::kRoot) w.id_at_[node] = i;
  }
  w.cache_owner_ = WordCache::next_owner();
  return w;
}

void WordPiece::find_tokens(std::string_view word, std::vector<std::uint32_t>& ids) const {
  const auto unknown = [&] { ids.assign(1, unknown_id_); };
  if (count_characters(word) > longest_word_) return unknown();
  for (std::size_t begin = 0; begin < word.size();) {
    std::uint32_t node = begin == 0 ? ByteTrie::kRoot : inside_;
    std::uint32_t longest = kNone;
    std::size_t end = begin;
    for (std::size_t at = begin; at < word.size(); ++at) {
      const std::uint32_t* next = trie_.child(node, word[at]);
      if (next == nullptr) break;
      node = *next;
      if (id_at_[node] == kNone) continue;
      longest = id_at_[node];
      end = at + 1;
    }
    if (longest == kNone) return unknown();
    ids.push_back(longest);
    begin = end;
  }
}

void WordPiece::encode(std::string_view word, std::vector<TokenId>& out) const {
  if (word.empty()) return;
  WordCache::of_this_thread().encode(cache_owner_, word, out,
                                     [&](std::vector<std::uint32_t>& ids) { find_tokens(word, ids); });
}

WordLevel WordLevel::parse(const nlohmann::json& json, const std::string& where) {
  const formats::Fields model(json, where);
  WordLevel w;
  w.vocabulary_ = Vocabulary::parse(model.at("vocab"), where + ".vocab");
  w.unknown_id_ = w.vocabulary_.id_of(model.string("unk_token", "<unk>"));
  return w;
}

void WordLevel::encode(std::string_view word, std::vector<TokenId>& out) const {
  if (word.empty()) return;
  std::optional<std::uint32_t> id = vocabulary_.id_of(word);
  if (!id) id = unknown_id_;
  if (!id)
    fail_input("text", fmt::format("the tokenizer has no token for '{}'", word), "its vocabulary has no unk_token");
  out.push_back(TokenId{*id});
}

}  // namespace gloss::text
