#include "gloss/text/pre_tokenizer.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/base/utf8.h"
#include "gloss/formats/json_file.h"
#include "gloss/text/byte_level.h"
#include "gloss/text/unicode.h"

namespace gloss::text {
namespace {

constexpr int kMaxDepth = 8;

/// Words, numbers and punctuation, each with the space before it. Source: Radford et al. 2019, GPT-2's encoder.
constexpr std::string_view kGpt2Words = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

SplitBehavior parse_behavior(const std::string& name, const std::string& where) {
  static constexpr std::array<std::pair<std::string_view, SplitBehavior>, 5> kNames{
      {{"Removed", SplitBehavior::removed},
       {"Isolated", SplitBehavior::isolated},
       {"MergedWithPrevious", SplitBehavior::merged_with_previous},
       {"MergedWithNext", SplitBehavior::merged_with_next},
       {"Contiguous", SplitBehavior::contiguous}}};
  for (const auto& [known, behavior] : kNames) {
    if (name == known) return behavior;
  }
  fail_input(where, fmt::format("behavior '{}' is not known", name));
}

/// Cuts every piece at the matches that `find` gives for it.
template <class Find>
void split_pieces(Pieces& pieces, SplitBehavior behavior, bool invert, const Find& find) {
  std::vector<Span> matches;
  std::vector<Span> local;
  std::vector<Span> result;
  result.reserve(pieces.spans.size());
  for (const Span& piece : pieces.spans) {
    const std::string_view text = pieces.text.substr(piece.begin, piece.end - piece.begin);
    find(text, matches);
    local.clear();
    cut(sections_of(matches, text.size(), invert), behavior, local);
    for (const Span& s : local) result.push_back({piece.begin + s.begin, piece.begin + s.end});
  }
  // pieces that are removed at the beginning take the document's beginning with them
  if (!result.empty() && result.front().begin > 0) pieces.at_start = false;
  pieces.spans = std::move(result);
}

/// Matches are the characters that `is` likes.
template <class Is>
auto finder_of(const Is& is) {
  return [is](std::string_view text, std::vector<Span>& out) {
    out.clear();
    for (std::size_t at = 0; at < text.size();) {
      const Decoded d = decode_utf8(text.substr(at));
      if (is(d.code_point)) out.push_back({at, at + d.size_bytes});
      at += d.size_bytes;
    }
  };
}

/// Matches are runs of characters of one kind, `kind_of` != 0.
template <class KindOf>
auto run_finder_of(const KindOf& kind_of) {
  return [kind_of](std::string_view text, std::vector<Span>& out) {
    out.clear();
    int last = 0;
    for (std::size_t at = 0; at < text.size();) {
      const Decoded d = decode_utf8(text.substr(at));
      const int kind = kind_of(d.code_point);
      if (kind != 0 && kind == last) {
        out.back().end = at + d.size_bytes;
      } else if (kind != 0) {
        out.push_back({at, at + d.size_bytes});
      }
      last = kind;
      at += d.size_bytes;
    }
  };
}

/// Writes every piece anew: append(out, piece, index).
template <class Append>
void rewrite_pieces(Pieces& pieces, const Append& append) {
  std::string out;
  out.reserve(pieces.text.size() + pieces.text.size() / 4);
  for (std::size_t i = 0; i < pieces.spans.size(); ++i) {
    Span& s = pieces.spans[i];
    const std::size_t begin = out.size();
    append(out, pieces.text.substr(s.begin, s.end - s.begin), i);
    s = {begin, out.size()};
  }
  pieces.owned = std::move(out);
  pieces.text = pieces.owned;
}

}  // namespace

Pieces::Pieces(std::string_view whole, bool at_document_start) : text(whole), at_start(at_document_start) {
  if (!whole.empty()) spans.push_back({0, whole.size()});
}

PreTokenizer PreTokenizer::parse(const nlohmann::json& json, const std::string& where) {
  PreTokenizer p;
  if (!json.is_null()) p.add(json, where, 0);
  if (!p.steps_.empty()) {
    if (auto* b = std::get_if<ByteLevel>(&p.steps_.back())) b->last = true;
  }
  return p;
}

PreTokenizer::ByteLevel PreTokenizer::parse_byte_level(const nlohmann::json& json, const std::string& where) {
  const formats::Fields fields(json, where);
  return {fields.boolean("add_prefix_space", true), fields.boolean("use_regex", true),
          Regex::compile(kGpt2Words, where)};
}

PreTokenizer::Metaspace PreTokenizer::parse_metaspace(const nlohmann::json& json, const std::string& where) {
  const formats::Fields fields(json, where);
  const std::string replacement = fields.string("replacement");
  if (replacement.empty() || decode_utf8(replacement).size_bytes != replacement.size())
    fail_input(where, "'replacement' is not one character");
  const bool legacy = fields.boolean("add_prefix_space", true);
  const std::string scheme = fields.string("prepend_scheme", legacy ? "always" : "never");
  PrependScheme prepend = PrependScheme::always;
  if (scheme == "first") {
    prepend = PrependScheme::first;
  } else if (scheme == "never") {
    prepend = PrependScheme::never;
  } else if (scheme != "always") {
    fail_input(where, fmt::format("prepend_scheme '{}' is not known", scheme));
  }
  return {replacement, prepend, fields.boolean("split", true)};
}

void PreTokenizer::add(const nlohmann::json& json, const std::string& where, int depth) {
  const formats::Fields fields(json, where);
  const std::string type = fields.string("type");
  if (type == "Sequence" && depth < kMaxDepth) {
    const nlohmann::json& list = fields.at("pretokenizers");
    if (!list.is_array()) fail_input(where, "'pretokenizers' is no array");
    for (std::size_t i = 0; i < list.size(); ++i)
      add(list[i], fmt::format("{}.pretokenizers[{}]", where, i), depth + 1);
  } else if (type == "ByteLevel") {
    steps_.emplace_back(parse_byte_level(json, where));
  } else if (type == "Split") {
    steps_.emplace_back(Split{Pattern::parse(fields.at("pattern"), where + ".pattern"),
                              parse_behavior(fields.string("behavior"), where), fields.boolean("invert", false)});
  } else if (type == "Digits") {
    steps_.emplace_back(Digits{fields.boolean("individual_digits", false)});
  } else if (type == "Punctuation") {
    steps_.emplace_back(Punctuation{parse_behavior(fields.string("behavior", "Isolated"), where)});
  } else if (type == "Metaspace") {
    steps_.emplace_back(parse_metaspace(json, where));
  } else if (type == "CharDelimiterSplit") {
    steps_.emplace_back(
        Split{Pattern::of_string(fields.string("delimiter"), where + ".delimiter"), SplitBehavior::removed, false});
  } else if (!add_simple(type)) {
    fail_input(where, fmt::format("type '{}' is not supported; supported: ByteLevel, Split, Digits, Punctuation, "
                                  "Metaspace, Whitespace, WhitespaceSplit, BertPreTokenizer, CharDelimiterSplit, "
                                  "Sequence",
                                  type));
  }
}

/// Types without settings.
bool PreTokenizer::add_simple(const std::string& type) {
  if (type == "Whitespace") {
    steps_.emplace_back(Whitespace{});
  } else if (type == "WhitespaceSplit") {
    steps_.emplace_back(WhitespaceSplit{});
  } else if (type == "BertPreTokenizer") {
    steps_.emplace_back(Bert{});
  } else {
    return false;
  }
  return true;
}

void PreTokenizer::run(const ByteLevel& step, Pieces& pieces) {
  if (step.add_prefix_space) {
    rewrite_pieces(pieces, [](std::string& out, std::string_view piece, std::size_t) {
      if (!piece.starts_with(' ')) out += ' ';
      out += piece;
    });
  }
  if (step.use_regex) {
    split_pieces(pieces, SplitBehavior::isolated, false,
                 [&](std::string_view text, std::vector<Span>& out) { step.words.find_all(text, out); });
  }
  if (step.last) {
    pieces.raw_bytes = true;
  } else {
    rewrite_pieces(pieces,
                   [](std::string& out, std::string_view piece, std::size_t) { append_byte_level(out, piece); });
  }
}

void PreTokenizer::run(const Split& step, Pieces& pieces) {
  split_pieces(pieces, step.behavior, step.invert,
               [&](std::string_view text, std::vector<Span>& out) { step.pattern.find_all(text, out); });
}

void PreTokenizer::run(const Digits& step, Pieces& pieces) {
  split_pieces(pieces, step.individual ? SplitBehavior::isolated : SplitBehavior::contiguous, false,
               finder_of(is_numeric));
}

void PreTokenizer::run(const Punctuation& step, Pieces& pieces) {
  split_pieces(pieces, step.behavior, false, finder_of(is_punctuation));
}

void PreTokenizer::run(const Metaspace& step, Pieces& pieces) {
  rewrite_pieces(pieces, [&](std::string& out, std::string_view piece, std::size_t index) {
    const bool wanted =
        step.scheme == PrependScheme::always || (step.scheme == PrependScheme::first && pieces.at_start && index == 0);
    if (wanted && !piece.starts_with(' ') && !piece.starts_with(step.replacement)) out += step.replacement;
    for (const char c : piece) {
      if (c == ' ') {
        out += step.replacement;
      } else {
        out += c;
      }
    }
  });
  if (!step.split) return;
  const char32_t mark = decode_utf8(step.replacement).code_point;
  split_pieces(pieces, SplitBehavior::merged_with_next, false, finder_of([mark](char32_t c) { return c == mark; }));
}

void PreTokenizer::run(const Whitespace&, Pieces& pieces) {
  const auto kind_of = [](char32_t c) { return is_white_space(c) ? 0 : is_word(c) ? 1 : 2; };
  split_pieces(pieces, SplitBehavior::removed, true, run_finder_of(kind_of));
}

void PreTokenizer::run(const WhitespaceSplit&, Pieces& pieces) {
  split_pieces(pieces, SplitBehavior::removed, false, finder_of(is_white_space));
}

void PreTokenizer::run(const Bert&, Pieces& pieces) {
  split_pieces(pieces, SplitBehavior::removed, false, finder_of(is_white_space));
  split_pieces(pieces, SplitBehavior::isolated, false, finder_of(is_punctuation));
}

void PreTokenizer::apply(Pieces& pieces) const {
  for (const Step& step : steps_) {
    std::visit([&](const auto& s) { run(s, pieces); }, step);
  }
}

}  // namespace gloss::text
