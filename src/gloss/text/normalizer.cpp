#include "gloss/text/normalizer.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/base/utf8.h"
#include "gloss/formats/json_file.h"
#include "gloss/text/base64.h"
#include "gloss/text/byte_level.h"
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

/// Calls work(character, its bytes) for all of well-formed text.
template <class Work>
void for_each_character(std::string_view text, const Work& work) {
  while (!text.empty()) {
    const Decoded d = decode_utf8(text);
    work(d.code_point, text.substr(0, d.size_bytes));
    text.remove_prefix(d.size_bytes);
  }
}

/// Bytes of the last character of well-formed text.
std::string_view last_character(std::string_view text) {
  std::size_t at = text.size() - 1;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0U) == 0x80) --at;
  return text.substr(at);
}

/// `text` without the characters that `drop` likes.
template <class Drop>
std::string without(std::string_view text, const Drop& drop) {
  std::string out;
  out.reserve(text.size());
  for_each_character(text, [&](char32_t c, std::string_view bytes) {
    if (!drop(c)) out += bytes;
  });
  return out;
}

std::string lower_case(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for_each_character(text, [&](char32_t c, std::string_view) { append_lower_case(out, c); });
  return out;
}

constexpr bool in(char32_t c, char32_t first, char32_t last) { return c >= first && c <= last; }

/// Han letters, in the blocks that BERT's own code names (one of them begins later than Unicode's).
constexpr bool is_bert_han(char32_t c) {
  return in(c, 0x3400, 0x4DBF) || in(c, 0x4E00, 0x9FFF) || in(c, 0xF900, 0xFAFF) || in(c, 0x20000, 0x2A6DF) ||
         in(c, 0x2A700, 0x2B81F) || in(c, 0x2B920, 0x2CEAF) || in(c, 0x2F800, 0x2FA1F);
}

/// Source: SentencePiece's rule set "nmt".
constexpr bool is_nmt_dropped(char32_t c) {
  return in(c, 1, 8) || c == 0xB || in(c, 0xE, 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F;
}
constexpr bool is_nmt_space(char32_t c) {
  return c == 9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 || in(c, 0x200B, 0x200F) || c == 0x2028 ||
         c == 0x2029 || c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
}

std::string run_nmt(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for_each_character(text, [&](char32_t c, std::string_view bytes) {
    if (!is_nmt_dropped(c)) out += is_nmt_space(c) ? " " : bytes;
  });
  return out;
}

std::optional<NormalForm> form_of(std::string_view type) {
  static constexpr std::array<std::pair<std::string_view, NormalForm>, 4> kForms{
      {{"NFC", NormalForm::nfc}, {"NFD", NormalForm::nfd}, {"NFKC", NormalForm::nfkc}, {"NFKD", NormalForm::nfkd}}};
  for (const auto& [name, form] : kForms) {
    if (type == name) return form;
  }
  return {};
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
  } else if (const std::optional<NormalForm> form = form_of(type)) {
    steps_.emplace_back(Form{*form});
  } else if (type == "Lowercase") {
    steps_.emplace_back(Lowercase{});
  } else if (type == "StripAccents") {
    steps_.emplace_back(StripAccents{});
  } else if (type == "BertNormalizer") {
    steps_.emplace_back(parse_bert(fields));
  } else if (type == "Precompiled") {
    add_charsmap(fields);
  } else if (type == "Nmt") {
    steps_.emplace_back(Nmt{});
  } else if (type == "ByteLevel") {
    steps_.emplace_back(ByteLevel{});
  } else if (type == "Strip") {
    steps_.emplace_back(Strip{fields.boolean("strip_left"), fields.boolean("strip_right")});
  } else {
    fail_input(where, fmt::format("type '{}' is not supported; supported: NFC, NFD, NFKC, NFKD, Lowercase, "
                                  "StripAccents, BertNormalizer, Precompiled, Nmt, ByteLevel, Prepend, Replace, Strip, "
                                  "Sequence",
                                  type));
  }
}

void Normalizer::add_charsmap(const formats::Fields& fields) {
  const std::string where = fields.where() + ".precompiled_charsmap";
  if (!fields.has("precompiled_charsmap")) return;  // written by models that replace nothing
  const std::optional<std::string> blob = from_base64(fields.string("precompiled_charsmap"));
  if (!blob) fail_input(where, "is not base64");
  if (!blob->empty())
    steps_.emplace_back(Precompiled{Charsmap::parse(*blob, where), fields.boolean("longest_match", false)});
}

Normalizer::Bert Normalizer::parse_bert(const formats::Fields& fields) {
  const bool lowercase = fields.boolean("lowercase", true);
  return {fields.boolean("clean_text", true), fields.boolean("handle_chinese_chars", true),
          fields.boolean("strip_accents", lowercase), lowercase};
}

/// Source: Devlin et al. 2019, BERT's tokenization.py, as the reference restates it.
std::string Normalizer::run_bert(const Bert& step, std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 4);
  for_each_character(text, [&](char32_t c, std::string_view bytes) {
    const bool kept_control = c == '\t' || c == '\n' || c == '\r';
    if (step.clean && ((is_control(c) && !kept_control) || c == 0xFFFD)) return;
    if (step.clean && is_white_space(c)) {
      out += ' ';
    } else if (step.space_around_han && is_bert_han(c)) {
      out.append(" ").append(bytes).append(" ");
    } else {
      out += bytes;
    }
  });
  if (step.strip_accents) out = without(normalize(out, NormalForm::nfd), is_nonspacing_mark);
  if (step.lowercase) out = lower_case(out);
  return out;
}

std::string Normalizer::run(const Step& step, std::string text) {
  return std::visit(Overloaded{
                        [&](const Prepend& s) { return text.empty() ? text : s.text + text; },
                        [&](const Replace& s) { return s.pattern.replace_all(text, s.content); },
                        [&](const Form& s) { return normalize(text, s.form); },
                        [&](const Lowercase&) { return lower_case(text); },
                        [&](const StripAccents&) { return without(text, is_combining_mark); },
                        [&](const Bert& s) { return run_bert(s, text); },
                        [&](const Precompiled& s) { return s.longest ? s.map.apply_longest(text) : s.map.apply(text); },
                        [&](const Nmt&) { return run_nmt(text); },
                        [&](const ByteLevel&) {
                          std::string out;
                          append_byte_level(out, text);
                          return out;
                        },
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
