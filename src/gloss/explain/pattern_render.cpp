#include "gloss/explain/pattern_render.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <vector>

#include "gloss/base/utf8.h"

namespace gloss::explain {
namespace {

constexpr std::size_t kShownValues = 6;

/// Shows on its own, and changes nothing around it.
bool is_visible(char32_t c) {
  if (c == U' ') return true;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      return false;
    default:
      return true;
  }
}

/// A mark shows on the letter before it; without one it would sit on the quotation mark.
bool is_mark(char32_t c) {
  const utf8proc_category_t category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC || category == UTF8PROC_CATEGORY_ME;
}

void append_shown(std::string& out, char32_t c, bool first) {
  if (c == U'"' || c == U'\\') {
    out += '\\';
    out += static_cast<char>(c);
  } else if (c == U'\n') {
    out += "\\n";
  } else if (c == U'\t') {
    out += "\\t";
  } else if (c == U'\r') {
    out += "\\r";
  } else if (is_visible(c) || (is_mark(c) && !first)) {
    append_utf8(out, c);
  } else {
    out += fmt::format("\\u{{{:X}}}", static_cast<std::uint32_t>(c));
  }
}

/// As the class is named of the token itself, and of a token that has it besides something else.
struct ClassPhrase {
  std::string_view noun, where;
};
constexpr std::array<ClassPhrase, kClassCount> kClassPhrases{{
    {"the first token of a word", "at the beginning of a word"},
    {"a token inside a word", "inside a word"},
    {"a capitalised word", "in a capitalised word"},
    {"a word in capitals", "in a word in capitals"},
    {"a number in digits", "in a number in digits"},
    {"a number word", "in a number word"},
    {"punctuation", "in punctuation"},
    {"the end of a sentence (. ! ?)", "at the end of a sentence"},
    {"a newline", "with a newline"},
    {"an opening quotation mark", "with an opening quotation mark"},
    {"a closing quotation mark", "with a closing quotation mark"},
    {"an opening bracket", "with an opening bracket"},
    {"a closing bracket", "with a closing bracket"},
    {"a non-Latin letter", "in a word of non-Latin letters"},
    {"a space", "of spaces"},
    {"a special token", "that is special"},
    {"a token inside a quotation", "inside a quotation"},
    {"the first word of a sentence", "in the first word of a sentence"},
    {"the first token shown", "at the beginning of the text shown"},
}};

std::string join(const std::vector<std::string>& values) {
  const std::size_t shown = values.size() > kShownValues ? kShownValues : values.size();
  std::string out;
  for (std::size_t i = 0; i < shown; ++i) {
    if (i > 0) out += i + 1 == values.size() ? " or " : ", ";
    out += values[i];
  }
  if (shown < values.size()) out += fmt::format(" or {} more", values.size() - shown);
  return out;
}

std::string values_of(const Vocabulary::Impl& vocabulary, const Test& test) {
  std::vector<std::string> values;
  for (const std::uint32_t id : test.ids) {
    if (test.what == What::token_class) {
      values.emplace_back(kClassPhrases[id].noun);
    } else {
      values.push_back(in_quotes(test.what == What::token ? vocabulary.tokens[id].bytes : vocabulary.texts[id]));
    }
  }
  for (const std::string& text : test.texts) values.push_back(in_quotes(text));
  return join(values);
}

/// The thing tested, as a noun: "the token "x"", "a word beginning with "un"".
std::string noun(const Vocabulary::Impl& vocabulary, const Test& test) {
  std::string values = values_of(vocabulary, test);
  const bool several = test.ids.size() + test.texts.size() > 1;
  switch (test.what) {
    case What::any:
      return "any token";
    case What::token:
      return (several ? "the tokens " : "the token ") + values;
    case What::text:
      return (several ? "the tokens " : "the token ") + values + " in any case";
    case What::so_far:
      return "a word that so far reads " + values;
    case What::word:
      return (several ? "the words " : "the word ") + values;
    case What::prefix:
      return "a word beginning with " + values;
    case What::suffix:
      return (test.where == Where::word_before ? "a word ending in " : "a word so far ending in ") + values;
    case What::token_class:
      return values;
  }
  return {};
}

/// A further test of the token itself: "in the word "x"".
std::string also_here(const Vocabulary::Impl& vocabulary, const Test& test) {
  const std::string values = values_of(vocabulary, test);
  switch (test.what) {
    case What::so_far:
      return "where the word so far reads " + values;
    case What::suffix:
      return "where the word so far ends in " + values;
    case What::word:
    case What::prefix:
      return "in " + noun(vocabulary, test);
    case What::token_class: {
      std::vector<std::string> phrases;
      for (const std::uint32_t id : test.ids) phrases.emplace_back(kClassPhrases[id].where);
      return join(phrases);
    }
    default:
      return "that is " + noun(vocabulary, test);
  }
}

std::string context(const Vocabulary::Impl& vocabulary, const Test& test) {
  // Words stand for themselves: after "don't" or "won't".
  const std::string thing = test.what == What::word ? values_of(vocabulary, test) : noun(vocabulary, test);
  switch (test.where) {
    case Where::here:
      return also_here(vocabulary, test);
    case Where::before:
      return test.distance == 1 ? "right after " + thing : fmt::format("{} tokens after {}", test.distance, thing);
    case Where::word_before:
      return test.distance == 1 ? "after " + thing : fmt::format("{} words after {}", test.distance, thing);
    case Where::within:
      return fmt::format("after {} (within {} token{})", thing, test.distance, test.distance == 1 ? "" : "s");
  }
  return {};
}

std::string render_rule(const Vocabulary::Impl& vocabulary, const Rule& rule) {
  std::string out = noun(vocabulary, rule.tests[0]);
  for (std::size_t i = 1; i < rule.tests.size(); ++i) {
    out += i > 1 ? " and " : " ";
    out += context(vocabulary, rule.tests[i]);
  }
  for (const Test& test : rule.exceptions) out += ", except " + context(vocabulary, test);
  return out;
}

}  // namespace

std::string in_quotes(std::string_view bytes) {
  std::string out = "\"";
  for (std::size_t at = 0; at < bytes.size();) {
    const Decoded decoded = decode_utf8(bytes.substr(at));
    if (decoded.valid) {
      append_shown(out, decoded.code_point, at == 0);
    } else {
      for (const char byte : bytes.substr(at, decoded.size_bytes)) {
        out += fmt::format("\\x{:02X}", static_cast<unsigned>(static_cast<unsigned char>(byte)));
      }
    }
    at += decoded.size_bytes;
  }
  return out + "\"";
}

std::string render_rules(const Vocabulary::Impl& vocabulary, std::span<const Rule> rules) {
  std::string out;
  for (const Rule& rule : rules) {
    if (!out.empty()) out += "; ";
    out += render_rule(vocabulary, rule);
  }
  return out;
}

}  // namespace gloss::explain
