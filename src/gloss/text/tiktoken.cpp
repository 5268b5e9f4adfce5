#include "gloss/text/tiktoken.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "gloss/base/error.h"
#include "gloss/text/base64.h"
#include "gloss/text/byte_level.h"
#include "gloss/text/vocabulary.h"

namespace gloss::text {
namespace {

using Json = nlohmann::json;
using Ranks = std::unordered_map<std::string, std::uint32_t>;

constexpr std::size_t kMaxToken = 1024;  // bytes

struct Line {
  std::string token;
  std::uint32_t rank;
};

std::optional<Line> read_line(std::string_view line) {
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos) return {};
  std::optional<std::string> token = from_base64(line.substr(0, space));
  const std::string_view digits = line.substr(space + 1);
  std::uint32_t rank = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), rank);
  if (!token || token->empty() || token->size() > kMaxToken) return {};
  if (error != std::errc() || end != digits.data() + digits.size() || rank >= kMaxTokens) return {};
  return Line{std::move(*token), rank};
}

/// Takes the first line off `text`, without its end.
std::string_view take_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

Ranks read_ranks(std::string_view text, const std::string& where) {
  Ranks ranks;
  std::vector<bool> taken;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::string_view line = take_line(text);
    if (line.empty()) continue;
    std::optional<Line> read = read_line(line);
    const std::string here = fmt::format("{}, line {}", where, number);
    if (!read) fail_input(here, fmt::format("is not base64, a space and a rank below {}", kMaxTokens));
    if (read->rank >= taken.size()) taken.resize(read->rank + 1);
    if (taken[read->rank]) fail_input(here, fmt::format("rank {} is there twice", read->rank));
    taken[read->rank] = true;
    if (!ranks.emplace(std::move(read->token), read->rank).second) fail_input(here, "the token is there twice");
  }
  for (unsigned byte = 0; byte < 256; ++byte) {
    if (!ranks.contains(std::string(1, static_cast<char>(byte))))
      fail_input(where, fmt::format("no token for byte 0x{:02X}", byte));
  }
  return ranks;
}

std::string written(std::string_view bytes) {
  std::string text;
  append_byte_level(text, bytes);
  return text;
}

struct Split {
  std::uint32_t whole;
  std::uint32_t left;
  std::uint32_t right;
  const std::string* token;
  std::size_t cut;
};

std::vector<Split> splits_of(const Ranks& ranks) {
  std::vector<Split> splits;
  for (const auto& [token, rank] : ranks) {
    for (std::size_t cut = 1; cut < token.size(); ++cut) {
      const auto left = ranks.find(token.substr(0, cut));
      if (left == ranks.end()) continue;
      const auto right = ranks.find(token.substr(cut));
      if (right != ranks.end()) splits.push_back({rank, left->second, right->second, &token, cut});
    }
  }
  std::sort(splits.begin(), splits.end(), [](const Split& a, const Split& b) {
    return std::tie(a.whole, a.left, a.right) < std::tie(b.whole, b.left, b.right);
  });
  return splits;
}

Json model_of(const Ranks& ranks) {
  Json vocab = Json::object();
  for (const auto& [token, rank] : ranks) vocab[written(token)] = rank;
  Json merges = Json::array();
  for (const Split& s : splits_of(ranks)) {
    const std::string_view token = *s.token;
    merges.push_back({written(token.substr(0, s.cut)), written(token.substr(s.cut))});
  }
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", nullptr},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", false},
          {"byte_fallback", false},
          {"ignore_merges", true},
          {"vocab", vocab},
          {"merges", merges}};
}

}  // namespace

bool looks_like_tiktoken(std::string_view text) { return read_line(take_line(text)).has_value(); }

Json from_tiktoken(std::string_view text, const Tiktoken& family, const std::string& where) {
  const Json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}};
  const Json split = {
      {"type", "Split"}, {"pattern", {{"Regex", family.words}}}, {"behavior", "Isolated"}, {"invert", false}};
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", Json::array()},
          {"normalizer", family.nfc ? Json{{"type", "NFC"}} : Json()},
          {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", {split, byte_level}}}},
          {"post_processor", nullptr},
          {"decoder", byte_level},
          {"model", model_of(read_ranks(text, where))}};
}

}  // namespace gloss::text
