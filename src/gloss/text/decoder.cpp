#include "gloss/text/decoder.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
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

std::string replace_character(const std::string& token, const std::string& from, std::string_view to) {
  std::string out;
  std::size_t at = 0;
  for (std::size_t hit = token.find(from); hit != std::string::npos; hit = token.find(from, at)) {
    out.append(token, at, hit - at).append(to);
    at = hit + from.size();
  }
  return out.append(token, at);
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
  } else {
    fail_input(where, fmt::format("type '{}' is not supported yet; supported: ByteLevel, ByteFallback, Fuse, Strip, "
                                  "Replace, Metaspace, Sequence",
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
  return replace_character(token, step.replacement, " ");
}

Decoder::Tokens Decoder::run(const Metaspace& step, const Tokens& tokens) {
  Tokens out;
  for (const std::string& t : tokens)
    out.push_back(replace_character(t, step.replacement, out.empty() && step.prepends ? "" : " "));
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
