#include "gloss/text/split.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "gloss/base/error.h"
#include "gloss/formats/json_file.h"

namespace gloss::text {
namespace {

/// Joins a match to the section before it; of several matches in a row only the first.
std::vector<Span> merge_with_previous(const std::vector<Section>& sections) {
  std::vector<Span> joined;
  bool after_match = false;
  for (const Section& s : sections) {
    if (s.is_match && !after_match && !joined.empty()) {
      joined.back().end = s.span.end;
    } else {
      joined.push_back(s.span);
    }
    after_match = s.is_match;
  }
  return joined;
}

/// Joins a match to the section behind it; of several matches in a row only the last.
std::vector<Span> merge_with_next(const std::vector<Section>& sections) {
  std::vector<Span> joined;
  bool before_match = false;
  for (auto s = sections.rbegin(); s != sections.rend(); ++s) {
    if (s->is_match && !before_match && !joined.empty()) {
      joined.back().begin = s->span.begin;
    } else {
      joined.push_back(s->span);
    }
    before_match = s->is_match;
  }
  std::reverse(joined.begin(), joined.end());
  return joined;
}

/// Joins neighbours of one kind.
std::vector<Span> merge_alike(const std::vector<Section>& sections) {
  std::vector<Span> joined;
  bool kind = false;
  for (const Section& s : sections) {
    if (s.is_match == kind && !joined.empty()) {
      joined.back().end = s.span.end;
    } else {
      joined.push_back(s.span);
    }
    kind = s.is_match;
  }
  return joined;
}

}  // namespace

void cut(const std::vector<Section>& sections, SplitBehavior behavior, std::vector<Span>& out) {
  const auto append = [&](const std::vector<Span>& spans) {
    std::copy_if(spans.begin(), spans.end(), std::back_inserter(out), [](const Span& s) { return !s.empty(); });
  };
  switch (behavior) {
    case SplitBehavior::merged_with_previous:
      return append(merge_with_previous(sections));
    case SplitBehavior::merged_with_next:
      return append(merge_with_next(sections));
    case SplitBehavior::contiguous:
      return append(merge_alike(sections));
    case SplitBehavior::removed:
    case SplitBehavior::isolated:
      for (const Section& s : sections) {
        const bool kept = behavior == SplitBehavior::isolated || !s.is_match;
        if (kept && !s.span.empty()) out.push_back(s.span);
      }
  }
}

Pattern Pattern::parse(const nlohmann::json& json, const std::string& where) {
  const formats::Fields fields(json, where);
  if (!fields.has("Regex")) return of_string(fields.string("String"), where + ".String");
  Pattern p;
  p.regex_ = Regex::compile(fields.string("Regex"), where);
  return p;
}

Pattern Pattern::of_string(std::string text, const std::string& where) {
  if (text.empty()) fail_input(where, "is empty, wanted text to look for");
  Pattern p;
  p.literal_ = std::move(text);
  return p;
}

void Pattern::find_all(std::string_view text, std::vector<Span>& out) const {
  if (regex_) return regex_->find_all(text, out);
  out.clear();
  for (std::size_t at = text.find(literal_); at != std::string_view::npos; at = text.find(literal_, at)) {
    out.push_back({at, at + literal_.size()});
    at += literal_.size();
  }
}

std::string Pattern::replace_all(std::string_view text, std::string_view content) const {
  std::vector<Span> matches;
  find_all(text, matches);
  std::string out;
  out.reserve(text.size() + matches.size() * content.size());
  std::size_t from = 0;
  for (const Span& m : matches) {
    out += text.substr(from, m.begin - from);
    out += content;
    from = m.end;
  }
  out += text.substr(from);
  return out;
}

std::vector<Section> sections_of(const std::vector<Span>& matches, std::size_t size, bool inverted) {
  std::vector<Section> sections;
  sections.reserve(matches.size() * 2 + 1);
  std::size_t from = 0;
  for (const Span& m : matches) {
    if (from != m.begin) sections.push_back({{from, m.begin}, inverted});
    sections.push_back({m, !inverted});
    from = m.end;
  }
  if (from != size) sections.push_back({{from, size}, inverted});
  return sections;
}

}  // namespace gloss::text
