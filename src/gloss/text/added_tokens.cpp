#include "gloss/text/added_tokens.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "gloss/base/error.h"
#include "gloss/base/utf8.h"
#include "gloss/formats/json_file.h"
#include "gloss/text/unicode.h"

namespace gloss::text {
namespace {

AddedToken read_token(const nlohmann::json& json, const std::string& where) {
  const formats::Fields fields(json, where);
  AddedToken t;
  t.content = fields.string("content");
  t.single_word = fields.boolean("single_word", false);
  t.lstrip = fields.boolean("lstrip", false);
  t.rstrip = fields.boolean("rstrip", false);
  t.special = fields.boolean("special", false);
  t.normalized = fields.boolean("normalized", !t.special);
  return t;
}

bool ends_with_word(std::string_view text) {
  while (!text.empty()) {
    std::size_t at = text.size() - 1;
    while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0U) == 0x80) --at;
    return is_word(decode_utf8(text.substr(at)).code_point);
  }
  return false;
}

bool starts_with_word(std::string_view text) { return !text.empty() && is_word(decode_utf8(text).code_point); }

}  // namespace

StringFinder::StringFinder(const std::vector<std::string>& strings) : is_(1) {
  for (std::uint32_t i = 0; i < strings.size(); ++i) {
    if (strings[i].empty()) continue;
    starts_.at(static_cast<unsigned char>(strings[i][0])) = true;
    const std::uint32_t node = trie_.add(strings[i]);
    is_.resize(trie_.size());
    if (!is_[node]) is_[node] = i;
  }
}

std::optional<StringFinder::Match> StringFinder::find(std::string_view text, std::size_t from) const {
  for (std::size_t begin = from; begin < text.size(); ++begin) {
    if (!starts_.at(static_cast<unsigned char>(text[begin]))) continue;
    std::optional<Match> longest;
    std::uint32_t node = ByteTrie::kRoot;
    for (std::size_t at = begin; at < text.size(); ++at) {
      const std::uint32_t* next = trie_.child(node, text[at]);
      if (next == nullptr) break;
      node = *next;
      if (is_[node]) longest = Match{{begin, at + 1}, *is_[node]};
    }
    if (longest) return longest;
  }
  return {};
}

AddedTokens AddedTokens::parse(const nlohmann::json& json, const Vocabulary& vocabulary, const Normalizer& normalizer,
                               const std::string& where) {
  AddedTokens a;
  if (json.is_null()) return a;
  if (!json.is_array()) fail_input(where, fmt::format("is {}, wanted an array", json.type_name()));
  std::vector<AddedToken> special;
  std::vector<AddedToken> plain;
  for (std::size_t i = 0; i < json.size(); ++i) {
    AddedToken token = read_token(json[i], fmt::format("{}[{}]", where, i));
    token.written = token.normalized ? normalizer.apply(token.content) : token.content;
    if (!token.content.empty()) a.add(token, vocabulary, special, plain);
    if (a.end() > kMaxTokens) fail_input(where, fmt::format("more than {} tokens", kMaxTokens));
  }
  std::vector<std::string> raw;
  std::vector<std::string> normalized;
  special.insert(special.end(), plain.begin(), plain.end());
  for (const AddedToken& t : special) {
    (t.normalized ? normalized : raw).push_back(t.written);
    (t.normalized ? a.normalized_ids_ : a.raw_ids_).push_back(a.ids_.at(t.content));
  }
  a.raw_ = StringFinder(raw);
  a.normalized_ = StringFinder(normalized);
  return a;
}

void AddedTokens::add(const AddedToken& token, const Vocabulary& vocabulary, std::vector<AddedToken>& special,
                      std::vector<AddedToken>& plain) {
  if (token.special && special_.insert(token.content).second) special.push_back(token);
  const auto known = ids_.find(token.content);
  if (known != ids_.end() && by_id_.at(known->second) == token) return;
  std::uint32_t id = std::max(vocabulary.count(), end());
  if (known != ids_.end()) {
    id = known->second;
  } else if (const std::optional<std::uint32_t> model_id = vocabulary.id_of(token.content)) {
    id = *model_id;
  }
  ids_[token.content] = id;
  by_id_[id] = token;
  if (!special_.contains(token.content)) plain.push_back(token);
}

std::optional<std::uint32_t> AddedTokens::id_of(std::string_view content) const {
  const auto it = ids_.find(content);
  if (it == ids_.end()) return {};
  return it->second;
}

const AddedToken* AddedTokens::token(std::uint32_t id) const {
  const auto it = by_id_.find(id);
  return it == by_id_.end() ? nullptr : &it->second;
}

/// Adds to `span` the white space that the token takes, none of it before `taken`; false when the token may not stand
/// here.
bool AddedTokens::widen(const AddedToken& token, std::string_view text, std::size_t taken, Span& span) const {
  const std::string_view before = text.substr(0, span.begin);
  const std::string_view behind = text.substr(span.end);
  if (token.single_word && (ends_with_word(before) || starts_with_word(behind))) return false;
  if (token.lstrip) span.begin = std::max(strip_white_space(before, false, true).size(), taken);
  if (token.rstrip) span.end += behind.size() - strip_white_space(behind, true, false).size();
  return true;
}

std::vector<Segment> AddedTokens::split(std::string_view text, const StringFinder& finder,
                                        const std::vector<std::uint32_t>& ids) const {
  std::vector<Segment> segments;
  std::size_t taken = 0;
  for (std::size_t from = 0;;) {
    const std::optional<StringFinder::Match> match = finder.find(text, from);
    if (!match) break;
    from = match->span.end;
    Span span = match->span;
    const std::uint32_t id = ids[match->index];
    if (!widen(by_id_.at(id), text, taken, span)) continue;
    if (taken < span.begin) segments.push_back({{taken, span.begin}, {}});
    if (span.begin < span.end) segments.push_back({span, id});  // else the token before took all of it
    taken = span.end;
  }
  if (taken != text.size()) segments.push_back({{taken, text.size()}, {}});
  return segments;
}

}  // namespace gloss::text
