#pragma once
/// The regular expressions of tokenizer.json: Oniguruma's syntax there, PCRE2 with just-in-time compilation here.
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace gloss::text {

/// Bytes [begin, end) of a text.
struct Span {
  std::size_t begin = 0;
  std::size_t end = 0;

  bool empty() const { return begin == end; }
  bool operator==(const Span&) const = default;
};

/// Immutable; any thread may use any copy.
class Regex {
 public:
  /// Errors: bad_input, beginning with `where`, when `pattern` is malformed or uses what the two syntaxes read
  /// differently and this does not translate (see to_pcre2).
  static Regex compile(std::string_view pattern, const std::string& where);

  /// Puts all matches in `text`, from the left, not overlapping, into `out` (its content is replaced). An empty match
  /// just behind the match before it does not count. Requires: well-formed UTF-8. Errors: failed when a match takes too
  /// much work.
  void find_all(std::string_view text, std::vector<Span>& out) const;

 private:
  std::shared_ptr<const void> code_;
  std::string pattern_;
};

/// `pattern` in PCRE2's syntax. \s \d \w are written out, because their members differ; `^` and `$` match at every line
/// (compile with PCRE2_MULTILINE); not translated are nested and intersected classes, POSIX classes, \b, \h and other
/// escapes with another meaning, possessive {n,m}+, {,n}, and options other than (?i:...) or (?i) at the very
/// beginning. Source: Oniguruma's doc/RE (syntax Ruby); pcre2pattern(3).
std::string to_pcre2(std::string_view pattern, const std::string& where);

}  // namespace gloss::text
