#include "gloss/text/unigram.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/base/utf8.h"
#include "gloss/formats/json_file.h"
#include "gloss/text/word_cache.h"

namespace gloss::text {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMostKept = std::size_t{1} << 20;  // steps of work memory, between two texts
constexpr double kLargestSum = 100000.0;                 // with single precision
constexpr double kUnknownPenalty = 10.0;                 // below the least score

/// A score as the reference reads it: its JSON library takes the digits as one whole number, which is rounded, and then
/// divides by a power of ten, which is rounded again; the last bit decides between segmentations of equal score. JSON
/// holds the shortest digits that mean a number, so they can be had back from it.
/// Source: serde_json without its feature float_roundtrip.
double as_reference_reads(double score) {
  const std::string text = fmt::format("{}", score);
  std::uint64_t digits = 0;
  int exponent = 0;
  bool after_point = false;
  std::size_t at = 0;
  for (; at < text.size() && text[at] != 'e'; ++at) {
    if (text[at] == '.') after_point = true;
    if (text[at] < '0' || text[at] > '9') continue;
    digits = digits * 10 + static_cast<std::uint64_t>(text[at] - '0');  // shortest digits: at most 17 of them
    exponent -= after_point ? 1 : 0;
  }
  if (at < text.size() || exponent < -300) return score;
  const double size = static_cast<double>(digits) / std::pow(10.0, -exponent);
  return std::signbit(score) ? -size : size;
}

/// ["token", score]
std::pair<std::string, double> read_entry(const Json& entry, const std::string& where) {
  if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number())
    fail_input(where, "is not [token, score]");
  return {entry[0].get<std::string>(), entry[1].get<double>()};
}

}  // namespace

Unigram Unigram::parse(const Json& json, const std::string& where) {
  const formats::Fields model(json, where);
  const Json& vocab = model.at("vocab");
  const std::string in_vocab = where + ".vocab";
  if (!vocab.is_array()) fail_input(in_vocab, fmt::format("is {}, wanted an array", vocab.type_name()));
  if (vocab.empty()) fail_input(in_vocab, "is empty");
  if (vocab.size() > kMaxTokens) fail_input(in_vocab, fmt::format("{} tokens are too many", vocab.size()));
  Unigram u;
  u.single_precision_ = model.boolean("single_precision", false);
  u.byte_fallback_ = model.boolean("byte_fallback", false);
  std::vector<std::string> tokens;
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t id = 0; id < vocab.size(); ++id) {
    auto [token, score] = read_entry(vocab[id], fmt::format("{}[{}]", in_vocab, id));
    const std::uint32_t node = u.trie_.add(token);
    u.id_at_.resize(u.trie_.size(), kNone);
    if (node != ByteTrie::kRoot) u.id_at_[node] = static_cast<std::uint32_t>(id);  // of equal tokens the last counts
    if (!u.single_precision_) score = as_reference_reads(score);
    u.score_.push_back(score);
    least = std::min(least, score);
    tokens.push_back(std::move(token));
  }
  u.vocabulary_ = Vocabulary::of_tokens(tokens);
  u.unknown_score_ = u.sum(least, -kUnknownPenalty);
  if (model.has("unk_id")) u.unknown_id_ = static_cast<std::uint32_t>(model.integer("unk_id", 0, vocab.size() - 1));
  for (unsigned byte = 0; byte < 256; ++byte) u.add_byte_token(byte);
  u.cache_owner_ = WordCache::next_owner();
  return u;
}

/// SentencePiece itself does not find byte tokens in a text, as the reference does.
void Unigram::add_byte_token(unsigned byte) {
  const std::string token = fmt::format("<0x{:02X}>", byte);
  fallback_id_.at(byte) = vocabulary_.id_of(token).value_or(kNone);
  if (single_precision_ && byte_fallback_ && fallback_id_.at(byte) != kNone) id_at_[trie_.add(token)] = kNone;
}

double Unigram::sum(double a, double b) const {
  if (!single_precision_) return a + b;
  return static_cast<double>(static_cast<float>(a) + static_cast<float>(b));
}

/// Viterbi's algorithm, from the left. A character that is no token of its own may be unknown.
void Unigram::find_best(std::string_view text, std::vector<Step>& best) const {
  best.assign(text.size() + 1, Step{0.0, kNone, 0});
  std::size_t reached = 0;
  const auto offer = [&](std::size_t begin, std::size_t end, double score, std::uint32_t id) {
    Step& step = best[end];
    reached = std::max(reached, end);
    if (step.begin == kNone || score > step.score) step = {score, static_cast<std::uint32_t>(begin), id};
  };
  for (std::size_t begin = 0; begin < text.size();) {
    if (single_precision_ && std::abs(best[begin].score) > kLargestSum) lower_sums(best, begin, reached);
    const std::size_t character = decode_utf8(text.substr(begin)).size_bytes;
    const double until_here = best[begin].score;
    bool is_known = false;
    std::uint32_t node = ByteTrie::kRoot;
    for (std::size_t at = begin; at < text.size(); ++at) {
      const std::uint32_t* next = trie_.child(node, text[at]);
      if (next == nullptr) break;
      node = *next;
      const std::uint32_t id = id_at_[node];
      if (id == kNone) continue;
      offer(begin, at + 1, sum(score_[id], until_here), id);
      is_known = is_known || at + 1 - begin == character;
    }
    if (!is_known) {
      if (unknown_id_ == kNone)
        fail_input("text", fmt::format("the tokenizer has no token for '{}'", text.substr(begin, character)),
                   "its model has no unk_id");
      offer(begin, begin + character, sum(unknown_score_, until_here), unknown_id_);
    }
    begin += character;
  }
}

/// Makes the sum at `begin` 0 and those behind it, which are all that still count, less by as much: 32 bits hold small
/// numbers better.
void Unigram::lower_sums(std::vector<Step>& best, std::size_t begin, std::size_t reached) const {
  const double offset = best[begin].score;
  for (std::size_t i = begin; i <= reached; ++i) {
    if (best[i].begin != kNone) best[i].score = sum(best[i].score, -offset);
  }
}

/// Unknown characters in a row are one token, or their bytes.
void Unigram::add_unknown(std::string_view text, std::vector<std::uint32_t>& ids) const {
  if (const std::optional<std::uint32_t> id = vocabulary_.id_of(text)) return ids.push_back(*id);
  const auto fallback = [&](char byte) { return fallback_id_[static_cast<unsigned char>(byte)]; };
  if (byte_fallback_ && std::none_of(text.begin(), text.end(), [&](char b) { return fallback(b) == kNone; })) {
    for (const char byte : text) ids.push_back(fallback(byte));
  } else {
    ids.push_back(unknown_id_);
  }
}

/// Follows the best way back from the end, and turns it around.
void Unigram::collect(std::string_view text, const std::vector<Step>& best, std::vector<std::uint32_t>& ids) const {
  std::vector<std::uint32_t> ends;  // of steps, from the last
  for (std::size_t end = text.size(); end > 0; end = best[end].begin) ends.push_back(static_cast<std::uint32_t>(end));
  for (std::size_t i = ends.size(); i-- > 0;) {
    const Step& step = best[ends[i]];
    if (step.id != unknown_id_) {
      ids.push_back(step.id);
      continue;
    }
    while (i > 0 && best[ends[i - 1]].id == unknown_id_) --i;
    add_unknown(text.substr(step.begin, ends[i] - step.begin), ids);
  }
}

void Unigram::encode(std::string_view piece, std::vector<TokenId>& out) const {
  if (piece.empty()) return;
  thread_local std::vector<Step> best;
  WordCache::of_this_thread().encode(cache_owner_, piece, out, [&](std::vector<std::uint32_t>& ids) {
    find_best(piece, best);
    collect(piece, best, ids);
    if (best.size() > kMostKept) best = {};
  });
}

}  // namespace gloss::text
