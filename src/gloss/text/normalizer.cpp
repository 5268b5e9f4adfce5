#include "gloss/text/normalizer.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/base/utf8.h"
#include "gloss/formats/json_file.h"
#include "gloss/text/unicode.h"

namespace gloss::text {
namespace {

constexpr int kMaxDepth = 8;

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;  // clang before 17 needs it said

/// Bytes of the last character of well-formed text.
std::string_view last_character(std::string_view text) {
  std::size_t at = text.size() - 1;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0U) == 0x80) --at;
  return text.substr(at);
}

}  // namespace

std::string_view strip_white_space(std::string_view text, bool left, bool right) {
  while (left && !text.empty()) {
    const Decoded d = decode_utf8(text);
    if (!is_white_space(d.code_point)) break;
    text.remove_prefix(d.size_bytes);
  }
  while (right && !text.empty()) {
    const std::string_view last = last_character(text);
    if (!is_white_space(decode_utf8(last).code_point)) break;
    text.remove_suffix(last.size());
  }
  return text;
}

Normalizer Normalizer::parse(const nlohmann::json& json, const std::string& where) {
  Normalizer n;
  if (!json.is_null()) n.add(json, where, 0);
  return n;
}

void Normalizer::add(const nlohmann::json& json, const std::string& where, int depth) {
  const formats::Fields fields(json, where);
  const std::string type = fields.string("type");
  if (type == "Sequence" && depth < kMaxDepth) {
    const nlohmann::json& list = fields.at("normalizers");
    if (!list.is_array()) fail_input(where, "'normalizers' is no array");
    for (std::size_t i = 0; i < list.size(); ++i) add(list[i], fmt::format("{}.normalizers[{}]", where, i), depth + 1);
  } else if (type == "Prepend") {
    steps_.emplace_back(Prepend{fields.string("prepend")});
  } else if (type == "Replace") {
    steps_.emplace_back(Replace{Pattern::parse(fields.at("pattern"), where + ".pattern"), fields.string("content")});
  } else if (type == "NFC") {
    steps_.emplace_back(Nfc{});
  } else if (type == "Strip") {
    steps_.emplace_back(Strip{fields.boolean("strip_left"), fields.boolean("strip_right")});
  } else {
    fail_input(where,
               fmt::format("type '{}' is not supported yet; supported: Prepend, Replace, NFC, Strip, Sequence", type));
  }
}

std::string Normalizer::run(const Step& step, std::string text) {
  return std::visit(Overloaded{
                        [&](const Prepend& s) { return text.empty() ? text : s.text + text; },
                        [&](const Replace& s) { return s.pattern.replace_all(text, s.content); },
                        [&](const Nfc&) { return to_nfc(text); },
                        [&](const Strip& s) { return std::string(strip_white_space(text, s.left, s.right)); },
                    },
                    step);
}

std::string Normalizer::apply(std::string_view text) const {
  std::string result(text);
  for (const Step& step : steps_) result = run(step, std::move(result));
  return result;
}

}  // namespace gloss::text
