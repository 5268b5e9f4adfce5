#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <string_view>

#include "gloss/base/error.h"
#include "gloss/text/regex.h"

namespace gloss::text {
namespace {

// Members of the shorthands, to stand inside [ ].
constexpr std::string_view kSpace =
    R"(\t-\r \x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";
// Oniguruma takes small figures and fractions for words where Latin-1 has them, and nowhere else.
constexpr std::string_view kWord = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE})";
constexpr std::string_view kSameEscapes = "nrtfaexAzZ0";

/// Reads the pattern once, from the left, and writes the other.
class Translator {
 public:
  Translator(std::string_view pattern, const std::string& where) : in_(pattern), where_(where) {}

  std::string run() {
    while (at_ < in_.size()) {
      switch (in_[at_]) {
        case '\\':
          escape(false);
          break;
        case '[':
          character_class();
          break;
        case '(':
          group();
          break;
        case '{':
          braces();
          break;
        default:
          out_ += in_[at_++];
      }
    }
    return std::move(out_);
  }

 private:
  bool starts(std::string_view text) const { return in_.substr(at_).starts_with(text); }

  [[noreturn]] void fail(std::string_view what) const {
    fail_input(where_, fmt::format("regular expression '{}', byte {}: {} is not supported yet", in_, at_, what));
  }

  void copy(std::size_t count) {
    out_ += in_.substr(at_, count);
    at_ += count;
  }

  /// A shorthand: bare inside a class, in brackets outside.
  void shorthand(std::string_view members, bool negated, bool in_class) {
    at_ += 2;
    if (in_class && negated) fail("a negated shorthand in a class");
    if (in_class) {
      out_ += members;
    } else {
      out_ += fmt::format("[{}{}]", negated ? "^" : "", members);
    }
  }

  void escape(bool in_class) {
    const char c = at_ + 1 < in_.size() ? in_[at_ + 1] : '\0';
    if (c == 's' || c == 'S') return shorthand(kSpace, c == 'S', in_class);
    if (c == 'w' || c == 'W') return shorthand(kWord, c == 'W', in_class);
    if (c == 'd' || c == 'D') {
      out_ += c == 'd' ? R"(\p{Nd})" : R"(\P{Nd})";
      at_ += 2;
    } else if (c == 'v') {
      out_ += R"(\x0B)";
      at_ += 2;
    } else if (c == 'u') {
      const std::string_view digits = in_.substr(at_ + 2).substr(0, 4);
      if (digits.size() != 4 ||
          !std::all_of(digits.begin(), digits.end(), [](unsigned char d) { return std::isxdigit(d); }))
        fail("\\u without four digits");
      out_ += fmt::format(R"(\x{{{}}})", digits);
      at_ += 6;
    } else if (c == 'p' || c == 'P') {
      const std::size_t end = in_.find('}', at_);
      copy(end == std::string_view::npos ? 2 : end + 1 - at_);
    } else if (std::isalnum(static_cast<unsigned char>(c)) != 0 && kSameEscapes.find(c) == std::string_view::npos) {
      fail(fmt::format("\\{}", c));
    } else {
      copy(2);
    }
  }

  void character_class() {
    copy(1);
    if (starts("^")) copy(1);
    if (starts("]")) copy(1);
    while (at_ < in_.size() && in_[at_] != ']') {
      if (in_[at_] == '[') fail("a class in a class");
      if (starts("&&")) fail("an intersection of classes");
      if (in_[at_] == '\\') {
        escape(true);
      } else {
        copy(1);
      }
    }
    copy(1);
  }

  void group() {
    static constexpr std::array<std::string_view, 8> kSame{"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:", "(?-i:"};
    if (!starts("(?") || (at_ == 0 && starts("(?i)"))) return copy(1);
    for (const std::string_view prefix : kSame) {
      if (starts(prefix)) return copy(prefix.size());
    }
    fail("this kind of group");
  }

  void braces() {
    const std::size_t end = in_.find('}', at_);
    if (starts("{,")) fail("{,n}");
    if (end == std::string_view::npos) return copy(1);
    copy(end + 1 - at_);
    if (starts("+")) fail("{n,m}+");
  }

  std::string_view in_;
  const std::string& where_;
  std::size_t at_ = 0;
  std::string out_;
};

}  // namespace

std::string to_pcre2(std::string_view pattern, const std::string& where) { return Translator(pattern, where).run(); }

}  // namespace gloss::text
