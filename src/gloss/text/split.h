#pragma once
/// Cutting a text where a pattern matches, in the five ways that tokenizer.json knows.
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/text/regex.h"

namespace gloss::text {

enum class SplitBehavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };

/// Part of a text: a match of the pattern, or what lies between two of them.
struct Section {
  Span span;
  bool is_match = false;
};

/// Appends the pieces that remain of `sections` (which cover a text without gaps) to `out`; empty ones are left out.
void cut(const std::vector<Section>& sections, SplitBehavior behavior, std::vector<Span>& out);

/// A string or a regular expression: {"String": ...} or {"Regex": ...}.
class Pattern {
 public:
  /// Errors: bad_input beginning with `where`.
  static Pattern parse(const nlohmann::json& json, const std::string& where);
  static Pattern of_string(std::string text, const std::string& where);

  /// Matches in `text`, from the left, not overlapping; replaces the content of `out`.
  void find_all(std::string_view text, std::vector<Span>& out) const;
  /// `text` with every match replaced.
  std::string replace_all(std::string_view text, std::string_view content) const;

 private:
  std::string literal_;
  std::optional<Regex> regex_;
};

/// Matches and what lies between them, covering a text of `size` bytes.
std::vector<Section> sections_of(const std::vector<Span>& matches, std::size_t size, bool inverted);

}  // namespace gloss::text
