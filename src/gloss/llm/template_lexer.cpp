#include "gloss/llm/template_lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "gloss/base/error.h"
#include "gloss/base/utf8.h"

namespace gloss::llm {
namespace {

constexpr std::array<std::string_view, 6> kLongSigns = {"==", "!=", "<=", ">=", "//", "**"};
constexpr std::string_view kSigns = "+-*/%~<>=()[]{}.,:|";
constexpr std::string_view kSpace = " \t\r\n\f\v";

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

class Lexer {
 public:
  Lexer(std::string_view source, const std::string& where) : where_(where) {
    for (std::size_t i = 0; i < source.size(); ++i) {  // every line ends with "\n", as Jinja has it
      const bool crlf = source[i] == '\r' && i + 1 < source.size() && source[i + 1] == '\n';
      if (!crlf) plain_ += source[i] == '\r' ? '\n' : source[i];
    }
    source_ = plain_;
    if (source_.ends_with('\n')) source_.remove_suffix(1);  // Jinja keeps no last newline
  }

  std::vector<Word> read() {
    while (at_ < source_.size()) read_text();
    return std::move(words_);
  }

 private:
  [[noreturn]] void fail(std::string_view what) const { fail_template(where_, line_, what); }

  /// Text up to the next tag, then the tag.
  void read_text() {
    const std::size_t begin = at_;
    std::size_t open = begin;
    for (;; ++open) {
      open = source_.find('{', open);
      if (open == std::string_view::npos || open + 1 >= source_.size()) {
        open = source_.size();
        break;
      }
      const char next = source_[open + 1];
      if (next == '{' || next == '%' || next == '#') break;
    }
    std::string_view text = source_.substr(begin, open - begin);
    if (open == source_.size()) {
      add_text(text);
      at_ = open;
      return;
    }
    const char kind = source_[open + 1];
    const char mark = open + 2 < source_.size() ? source_[open + 2] : '\0';
    if (mark == '-') {
      text = text.substr(0, text.find_last_not_of(kSpace) + 1);
    } else if (kind != '{' && mark != '+') {
      // White space between the beginning of a line and a tag is the template's own layout.
      const std::size_t last = text.find_last_not_of(" \t\f\v");
      const bool line_begins = last == std::string_view::npos ? begin == 0 || at_line_begin_ : text[last] == '\n';
      if (line_begins) text = text.substr(0, last == std::string_view::npos ? 0 : last + 1);
    }
    add_text(text);
    count_lines(begin, open);
    at_ = open + 2;
    if (mark == '-' || mark == '+') ++at_;
    if (kind == '#') {
      read_comment();
    } else {
      read_tag(kind == '{');
    }
  }

  void add_text(std::string_view text) {
    if (!text.empty()) words_.push_back({WordKind::text, std::string(text), line_});
  }

  void count_lines(std::size_t begin, std::size_t end) {
    line_ += static_cast<std::uint32_t>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(begin),
                                                   source_.begin() + static_cast<std::ptrdiff_t>(end), '\n'));
  }

  /// After a tag's end: takes the white space that `mark` and the kind of tag take away.
  void after_tag(char mark, bool is_output) {
    at_line_begin_ = false;
    const std::size_t begin = at_;
    if (mark == '-') {
      at_ = std::min(source_.find_first_not_of(kSpace, at_), source_.size());
    } else if (!is_output && mark != '+' && at_ < source_.size() && source_[at_] == '\n') {
      ++at_;
    }
    at_line_begin_ = at_ > begin && source_[at_ - 1] == '\n';
    count_lines(begin, at_);
  }

  void read_comment() {
    const std::size_t end = source_.find("#}", at_);
    if (end == std::string_view::npos) fail("the comment does not end");
    const char mark = end > at_ && (source_[end - 1] == '-' || source_[end - 1] == '+') ? source_[end - 1] : '\0';
    count_lines(at_, end);
    at_ = end + 2;
    after_tag(mark, false);
  }

  void read_tag(bool is_output) {
    words_.push_back({is_output ? WordKind::open_output : WordKind::open_tag, "", line_});
    const std::string_view close = is_output ? "}}" : "%}";
    std::string open;  // brackets
    for (;;) {
      const std::size_t next = std::min(source_.find_first_not_of(kSpace, at_), source_.size());
      count_lines(at_, next);
      at_ = next;
      if (at_ == source_.size()) fail(is_output ? "'{{' without '}}'" : "'{%' without '%}'");
      const std::string_view rest = source_.substr(at_);
      const bool marked = (rest[0] == '-' || rest[0] == '+') && rest.substr(1).starts_with(close);
      if (marked || (rest.starts_with(close) && (open.empty() || !is_output))) {
        words_.push_back({is_output ? WordKind::close_output : WordKind::close_tag, "", line_});
        at_ += close.size() + (marked ? 1 : 0);
        after_tag(marked ? rest[0] : '\0', is_output);
        return;
      }
      read_word(rest, open);
    }
  }

  void read_word(std::string_view rest, std::string& open) {
    const char c = rest[0];
    std::size_t size = 1;
    if (is_letter(c)) {
      while (size < rest.size() && (is_letter(rest[size]) || is_digit(rest[size]))) ++size;
      words_.push_back({WordKind::name, std::string(rest.substr(0, size)), line_});
    } else if (is_digit(c)) {
      while (size < rest.size() && (is_digit(rest[size]) || rest[size] == '_')) ++size;
      if (size + 1 < rest.size() && rest[size] == '.' && is_digit(rest[size + 1])) {
        ++size;
        while (size < rest.size() && is_digit(rest[size])) ++size;
      }
      if (size < rest.size() && (rest[size] == 'e' || rest[size] == 'E')) {
        std::size_t end = size + 1;
        if (end < rest.size() && (rest[end] == '-' || rest[end] == '+')) ++end;
        const std::size_t first_digit = end;
        while (end < rest.size() && is_digit(rest[end])) ++end;
        if (end > first_digit) size = end;
      }
      std::string digits(rest.substr(0, size));
      std::erase(digits, '_');
      words_.push_back({WordKind::number, digits, line_});
    } else if (c == '"' || c == '\'') {
      read_string(rest);
      return;
    } else {
      for (const std::string_view sign : kLongSigns) {
        if (rest.starts_with(sign)) size = sign.size();
      }
      if (size == 1 && kSigns.find(c) == std::string_view::npos) {
        fail(fmt::format("'{}' belongs in no expression", rest.substr(0, decode_utf8(rest).size_bytes)));
      }
      if (c == '(' || c == '[' || c == '{') open += c;
      if ((c == ')' || c == ']' || c == '}') && !open.empty()) open.pop_back();
      words_.push_back({WordKind::sign, std::string(rest.substr(0, size)), line_});
    }
    at_ += size;
  }

  void read_string(std::string_view rest) {
    std::string text;
    for (std::size_t i = 1; i < rest.size(); ++i) {
      if (rest[i] == rest[0]) {
        words_.push_back({WordKind::string, std::move(text), line_});
        count_lines(at_, at_ + i);
        at_ += i + 1;
        return;
      }
      if (rest[i] == '\\' && i + 1 < rest.size()) {
        i += escape(rest.substr(i + 1), text);
      } else {
        text += rest[i];
      }
    }
    fail("a text in quotes does not end");
  }

  /// Appends what a backslash and the head of `rest` stand for; how many bytes of `rest` that took.
  std::size_t escape(std::string_view rest, std::string& text) const {
    constexpr std::string_view kLetters = "nrtbfva0\\'\"";
    constexpr std::string_view kMeanings("\n\r\t\b\f\v\a\0\\'\"", 11);
    const std::size_t known = kLetters.find(rest[0]);
    if (known != std::string_view::npos) {
      text += kMeanings[known];
      return 1;
    }
    if (rest[0] == '\n') return 1;
    const std::size_t digits = rest[0] == 'x' ? 2 : (rest[0] == 'u' ? 4 : (rest[0] == 'U' ? 8 : 0));
    if (digits == 0) {  // as Python, which keeps what it does not know
      text += '\\';
      return 0;
    }
    std::uint32_t code = 0;
    for (std::size_t i = 1; i <= digits; ++i) {
      const std::size_t value = i < rest.size()
                                    ? std::string_view("0123456789abcdef").find(static_cast<char>(rest[i] | 0x20))
                                    : std::string_view::npos;
      if (value == std::string_view::npos) fail(fmt::format("'\\{}' wants {} hexadecimal digits", rest[0], digits));
      code = 16 * code + static_cast<std::uint32_t>(value);
    }
    if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) fail(fmt::format("U+{:X} is no character", code));
    append_utf8(text, static_cast<char32_t>(code));
    return 1 + digits;
  }

  std::string plain_;
  std::string_view source_;  // plain_, or what of it counts
  const std::string& where_;
  std::size_t at_ = 0;
  std::uint32_t line_ = 1;
  bool at_line_begin_ = false;  // a tag before took the newline
  std::vector<Word> words_;
};

}  // namespace

std::vector<Word> read_words(std::string_view source, const std::string& where) { return Lexer(source, where).read(); }

void fail_template(const std::string& where, std::uint32_t line, std::string_view what, std::string_view hint) {
  fail_input(fmt::format("{}, line {}", where, line), what, hint);
}

}  // namespace gloss::llm
