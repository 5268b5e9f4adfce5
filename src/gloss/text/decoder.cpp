#include "gloss/text/decoder.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/base/utf8.h"
#include "gloss/formats/json_file.h"
#include "gloss/text/byte_level.h"

namespace gloss::text {
namespace {

constexpr int kMaxDepth = 8;
constexpr std::uint64_t kMaxStrip = 1024;
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

/// The byte of a token like <0x0A>.
std::optional<char> fallback_byte(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || !token.ends_with('>')) return {};
  std::string_view digits = token.substr(3, 2);
  if (digits.starts_with('+')) digits.remove_prefix(1);  // the reference's number parser takes a sign
  unsigned value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  if (error != std::errc() || end != digits.data() + digits.size()) return {};
  return static_cast<char>(value);
}

/// `token` with every `from`, which is not empty, replaced.
std::string replace_string(const std::string& token, std::string_view from, std::string_view to) {
  std::string out;
  std::size_t at = 0;
  for (std::size_t hit = token.find(from); hit != std::string::npos; hit = token.find(from, at)) {
    out.append(token, at, hit - at).append(to);
    at = hit + from.size();
  }
  return out.append(token, at);
}

/// English contractions and punctuation as they are written, in the reference's order.
std::string clean_up(std::string token) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 11> kRules{{{" .", "."},
                                                                                         {" ?", "?"},
                                                                                         {" !", "!"},
                                                                                         {" ,", ","},
                                                                                         {" ' ", "'"},
                                                                                         {" n't", "n't"},
                                                                                         {" 'm", "'m"},
                                                                                         {" do not", " don't"},
                                                                                         {" 's", "'s"},
                                                                                         {" 've", "'ve"},
                                                                                         {" 're", "'re"}}};
  if (token.find(' ') == std::string::npos) return token;
  for (const auto& [from, to] : kRules) token = replace_string(token, from, to);
  return token;
}

bool is_one_character(const std::string& text) { return !text.empty() && decode_utf8(text).size_bytes == text.size(); }

}  // namespace

Decoder Decoder::parse(const nlohmann::json& json, const std::string& where) {
  Decoder d;
  if (!json.is_null()) d.add(json, where, 0);
  return d;
}

void Decoder::add(const nlohmann::json& json, const std::string& where, int depth) {
  const formats::Fields fields(json, where);
  const std::string type = fields.string("type");
  if (type == "Sequence" && depth < kMaxDepth) {
    const nlohmann::json& list = fields.at("decoders");
    if (!list.is_array()) fail_input(where, "'decoders' is no array");
    for (std::size_t i = 0; i < list.size(); ++i) add(list[i], fmt::format("{}.decoders[{}]", where, i), depth + 1);
  } else if (type == "ByteLevel") {
    steps_.emplace_back(ByteLevel{});
  } else if (type == "ByteFallback") {
    steps_.emplace_back(ByteFallback{});
  } else if (type == "Fuse") {
    steps_.emplace_back(Fuse{});
  } else if (type == "Strip") {
    Strip s{fields.string("content"), fields.integer("start", 0, kMaxStrip), fields.integer("stop", 0, kMaxStrip)};
    if (!is_one_character(s.content)) fail_input(where, "'content' is not one character");
    steps_.emplace_back(std::move(s));
  } else if (type == "Replace") {
    steps_.emplace_back(Replace{Pattern::parse(fields.at("pattern"), where + ".pattern"), fields.string("content")});
  } else if (type == "Metaspace") {
    const bool legacy = fields.boolean("add_prefix_space", true);
    Metaspace m{fields.string("replacement"), fields.string("prepend_scheme", legacy ? "always" : "never") != "never"};
    if (!is_one_character(m.replacement)) fail_input(where, "'replacement' is not one character");
    steps_.emplace_back(std::move(m));
  } else if (type == "WordPiece") {
    steps_.emplace_back(WordPiece{fields.string("prefix", "##"), fields.boolean("cleanup", true)});
  } else if (type == "BPEDecoder") {
    steps_.emplace_back(Bpe{fields.string("suffix", "</w>")});
  } else {
    fail_input(where, fmt::format("type '{}' is not supported; supported: ByteLevel, ByteFallback, Fuse, Strip, "
                                  "Replace, Metaspace, WordPiece, BPEDecoder, Sequence",
                                  type));
  }
}

std::string Decoder::middle(const ByteLevel&, const std::string& token) {
  return from_byte_level(token).value_or(token);  // a token with other characters is text
}

Decoder::Tokens Decoder::run(const ByteLevel& step, const Tokens& tokens) {
  std::string bytes;
  for (const std::string& t : tokens) bytes += middle(step, t);
  return {replace_invalid_utf8(bytes)};
}

std::string Decoder::middle(const ByteFallback&, const std::string& token) {
  const std::optional<char> byte = fallback_byte(token);
  return byte ? std::string(1, *byte) : token;
}

/// Byte tokens in a row are one character or more; if they are not, each of them is U+FFFD.
Decoder::Tokens Decoder::run(const ByteFallback&, const Tokens& tokens) {
  Tokens out;
  std::string bytes;
  const auto flush = [&] {
    if (is_valid_utf8(bytes)) {
      if (!bytes.empty()) out.push_back(bytes);
    } else {
      for (std::size_t i = 0; i < bytes.size(); ++i) out.emplace_back(kReplacement);
    }
    bytes.clear();
  };
  for (const std::string& t : tokens) {
    if (const std::optional<char> byte = fallback_byte(t)) {
      bytes += *byte;
    } else {
      flush();
      out.push_back(t);
    }
  }
  flush();
  return out;
}

Decoder::Tokens Decoder::run(const Fuse&, const Tokens& tokens) { return {fmt::format("{}", fmt::join(tokens, ""))}; }

Decoder::Tokens Decoder::run(const Strip& step, const Tokens& tokens) {
  Tokens out;
  for (std::string_view t : tokens) {
    for (std::size_t i = 0; i < step.start && t.starts_with(step.content); ++i) t.remove_prefix(step.content.size());
    for (std::size_t i = 0; i < step.stop && t.ends_with(step.content); ++i) t.remove_suffix(step.content.size());
    out.emplace_back(t);
  }
  return out;
}

std::string Decoder::middle(const Replace& step, const std::string& token) {
  return step.pattern.replace_all(token, step.content);
}

Decoder::Tokens Decoder::run(const Replace& step, const Tokens& tokens) {
  Tokens out;
  for (const std::string& t : tokens) out.push_back(middle(step, t));
  return out;
}

std::string Decoder::middle(const Metaspace& step, const std::string& token) {
  return replace_string(token, step.replacement, " ");
}

Decoder::Tokens Decoder::run(const Metaspace& step, const Tokens& tokens) {
  Tokens out;
  for (const std::string& t : tokens)
    out.push_back(replace_string(t, step.replacement, out.empty() && step.prepends ? "" : " "));
  return out;
}

std::string Decoder::middle(const WordPiece& step, const std::string& token) {
  const std::string joined = token.starts_with(step.prefix) ? token.substr(step.prefix.size()) : " " + token;
  return step.cleanup ? clean_up(joined) : joined;
}

Decoder::Tokens Decoder::run(const WordPiece& step, const Tokens& tokens) {
  Tokens out;
  for (const std::string& t : tokens) {
    if (out.empty()) {
      out.push_back(step.cleanup ? clean_up(t) : t);
    } else {
      out.push_back(middle(step, t));
    }
  }
  return out;
}

std::string Decoder::middle(const Bpe& step, const std::string& token) {
  return step.suffix.empty() ? token : replace_string(token, step.suffix, " ");
}

Decoder::Tokens Decoder::run(const Bpe& step, const Tokens& tokens) {
  Tokens out;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const bool last = i + 1 == tokens.size();
    out.push_back(last && !step.suffix.empty() ? replace_string(tokens[i], step.suffix, "") : middle(step, tokens[i]));
  }
  return out;
}

std::string Decoder::decode(std::vector<std::string> tokens) const {
  if (steps_.empty()) return fmt::format("{}", fmt::join(tokens, " "));
  for (const Step& step : steps_) {
    tokens = std::visit([&](const auto& s) { return run(s, tokens); }, step);
  }
  return fmt::format("{}", fmt::join(tokens, ""));
}

std::string Decoder::bytes_of(std::string_view token) const {
  std::string bytes(token);
  for (const Step& step : steps_) {
    bytes = std::visit([&](const auto& s) { return middle(s, bytes); }, step);
    if (!is_valid_utf8(bytes)) break;  // part of a character, which later steps cannot read
  }
  return bytes;
}

std::string Decoder::bytes_of_added(std::string_view token) const {
  const auto is_byte_level = [](const Step& s) { return std::holds_alternative<ByteLevel>(s); };
  if (std::any_of(steps_.begin(), steps_.end(), is_byte_level)) return std::string(token);
  return bytes_of(token);
}

}  // namespace gloss::text
