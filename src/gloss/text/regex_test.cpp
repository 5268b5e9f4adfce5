#include "gloss/text/regex.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gloss/base/utf8.h"
#include "gloss/text/test_support.h"
#include "gloss/text/unicode.h"

namespace gloss::text {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> matches(std::string_view pattern, std::string_view text) {
  std::vector<Span> spans;
  Regex::compile(pattern, "t").find_all(text, spans);
  std::vector<std::string> out;
  for (const Span& s : spans) out.emplace_back(text.substr(s.begin, s.end - s.begin));
  return out;
}

bool is_match(const Regex& regex, char32_t c) {
  std::string text;
  append_utf8(text, c);
  std::vector<Span> spans;
  regex.find_all(text, spans);
  return !spans.empty();
}

TEST(RegexSyntax, WritesOutWhatDiffers) {
  EXPECT_EQ(to_pcre2(R"(\d\D\v\u0041\n)", "t"), R"(\p{Nd}\P{Nd}\x0B\x{0041}\n)");
  EXPECT_EQ(to_pcre2(R"([^\w\p{L}\]]+)", "t"),
            R"([^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE}\p{L}\]]+)");
  EXPECT_EQ(to_pcre2(R"(\S)", "t").substr(0, 4), R"([^\t)");
  EXPECT_EQ(to_pcre2(R"((?i:'s|'t)|(?=a)(?!b)(?<=c)(?<!d)(?>e)(f){1,3}?)", "t"),
            R"((?i:'s|'t)|(?=a)(?!b)(?<=c)(?<!d)(?>e)(f){1,3}?)");
}

TEST(RegexSyntax, RefusesWhatItDoesNotTranslate) {
  const std::vector<std::pair<const char*, const char*>> faults = {
      {R"(a[b[c]])", "byte 3: a class in a class"},
      {R"([a-z&&[^b]])", "byte 4: an intersection of classes"},
      {R"([[:alpha:]])", "byte 1: a class in a class"},
      {R"(\bword)", R"(byte 0: \b)"},
      {R"(\h)", R"(byte 0: \h)"},
      {R"(\d{1,3}+)", "byte 7: {n,m}+"},
      {R"(a{,2})", "byte 1: {,n}"},
      {R"((?m:.))", "byte 0: this kind of group"},
      {R"(a(?i)b)", "byte 1: this kind of group"},
      {R"([\S])", "byte 3: a negated shorthand in a class"},
      {R"(\u12)", R"(byte 0: \u without four digits)"},
      {R"(\1)", R"(byte 0: \1)"},
  };
  for (const auto& [pattern, what] : faults) {
    EXPECT_EQ(error_of([&, p = pattern] { (void)to_pcre2(p, "t"); }),
              fmt::format("t: regular expression '{}', {} is not supported yet", pattern, what));
  }
  EXPECT_EQ(error_of([] { (void)Regex::compile("[a", "t"); }),
            "t: regular expression '[a', byte 2: missing terminating ] for character class");
}

TEST(Regex, FindsFromTheLeftWithoutOverlap) {
  EXPECT_THAT(matches("ab|a", "aab ab"), ElementsAre("a", "ab", "ab"));
  EXPECT_THAT(matches("", ""), ElementsAre(""));
  EXPECT_THAT(matches("é+", "xééy"), ElementsAre("éé"));
}

TEST(Regex, AnEmptyMatchBehindAMatchDoesNotCount) { EXPECT_THAT(matches("x*", "axxé"), ElementsAre("", "xx", "")); }

TEST(Regex, LinesBeginAndEndAtEveryLineFeed) {
  EXPECT_THAT(matches("^a|b$", "a b\na b"), ElementsAre("a", "b", "a", "b"));
  EXPECT_THAT(matches(".+", "ab\r\ncd"), ElementsAre("ab\r", "cd"));
}

TEST(Regex, IgnoringCaseKnowsTheLongS) { EXPECT_THAT(matches("(?i:'s)", "'s 'S 'ſ"), ElementsAre("'s", "'S", "'ſ")); }

TEST(Regex, ClassesAgreeWithOurTablesOnEveryCharacter) {
  const Regex space = Regex::compile(R"(\s)", "t");
  const Regex number = Regex::compile(R"(\p{N})", "t");
  const Regex word = Regex::compile(R"(\w)", "t");
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    if (is_match(space, c) != is_white_space(c))
      ADD_FAILURE() << "space U+" << std::hex << static_cast<std::uint32_t>(c);
    const bool unicode_17 = (c >= 0x11DE0 && c <= 0x11DE9) || (c >= 0x16FF4 && c <= 0x16FF6);
    if (is_match(number, c) != (is_numeric(c) && !unicode_17))
      ADD_FAILURE() << "number U+" << std::hex << static_cast<std::uint32_t>(c);
    const bool joiner = c == 0x200C || c == 0x200D;
    const bool latin_number = c == 0xB2 || c == 0xB3 || c == 0xB9 || (c >= 0xBC && c <= 0xBE);
    if (is_match(word, c) != ((is_word(c) && !joiner) || latin_number))
      ADD_FAILURE() << "word U+" << std::hex << static_cast<std::uint32_t>(c);
  }
}

TEST(Regex, LongRunsAreNoTrouble) {
  const std::string spaces(1U << 20, ' ');
  std::vector<Span> spans;
  Regex::compile(R"(\s*[\r\n]+|\s+(?!\S)|\s+)", "t").find_all(spaces + "x", spans);
  EXPECT_THAT(spans, ElementsAre(Span{0, spaces.size() - 1}, Span{spaces.size() - 1, spaces.size()}));
}

TEST(Unicode, TakesNewerCharactersForOlderOnes) {
  EXPECT_EQ(with_older_characters("plain, é, 日本, 😀"), "");
  EXPECT_EQ(with_older_characters("a\U00031350b"), "a\U00020000b");  // Han of Unicode 15
  EXPECT_EQ(with_older_characters("\u1C89"), "\u1E00");              // a capital letter of Unicode 16
  for (char32_t c = 0x80; c < 0x110000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string text;
    append_utf8(text, c);
    const std::string older = with_older_characters(text);
    if (!older.empty()) {
      ASSERT_EQ(older.size(), text.size()) << static_cast<std::uint32_t>(c);
    }
  }
}

TEST(Unicode, ComposesWithoutCharactersThatCameLater) {
  EXPECT_EQ(normalize("Ko\u0308ln plain", NormalForm::nfc), "K\u00F6ln plain");
  EXPECT_EQ(normalize("\u1100\u1161\u11A8", NormalForm::nfc), "\uAC01");
  EXPECT_EQ(normalize("x\u0345\u0301", NormalForm::nfc), "x\u0301\u0345");              // marks are put in order
  EXPECT_EQ(normalize("x\u0345\u0897\u0301", NormalForm::nfc), "x\u0345\u0897\u0301");  // not past a mark of Unicode 16
  EXPECT_EQ(normalize("\U00011935\U00011930", NormalForm::nfc), "\U00011935\U00011930");  // composes since Unicode 13
}

TEST(Unicode, PunctuationIsThatOfUnicode8) {
  for (const char32_t c : {U'!', U'$', U'+', U'~', U'\u00A1', U'\u3002', U'\u166D'}) EXPECT_TRUE(is_punctuation(c));
  for (const char32_t c : {U'a', U' ', U'\u20AC', U'\u2E52', U'1'}) EXPECT_FALSE(is_punctuation(c));
}

}  // namespace
}  // namespace gloss::text
