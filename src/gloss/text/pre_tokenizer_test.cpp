#include "gloss/text/pre_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "gloss/text/added_tokens.h"
#include "gloss/text/byte_level.h"
#include "gloss/text/decoder.h"
#include "gloss/text/normalizer.h"
#include "gloss/text/test_support.h"

namespace gloss::text {
namespace {

using Json = nlohmann::json;
using ::testing::ElementsAre;

std::vector<std::string> pieces(const char* json, std::string_view text, bool at_start = true) {
  Pieces p(text, at_start);
  PreTokenizer::parse(Json::parse(json), "t").apply(p);
  std::vector<std::string> out;
  for (const Span& s : p.spans) out.emplace_back(p.text.substr(s.begin, s.end - s.begin));
  return out;
}

std::string normalized(const char* json, std::string_view text) {
  return Normalizer::parse(Json::parse(json), "t").apply(text);
}

std::string decoded(const char* json, std::vector<std::string> tokens) {
  return Decoder::parse(Json::parse(json), "t").decode(std::move(tokens));
}

TEST(PreTokenizer, CutsWordsAsGpt2) {
  EXPECT_THAT(pieces(R"({"type": "ByteLevel", "add_prefix_space": false})", "I'll  pay 12$ now\n\n x"),
              ElementsAre("I", "'ll", " ", " pay", " 12", "$", " now", "\n\n", " x"));
  EXPECT_THAT(pieces(R"({"type": "ByteLevel"})", "a b"), ElementsAre(" a", " b"));
  EXPECT_THAT(pieces(R"({"type": "ByteLevel", "use_regex": false})", "a b"), ElementsAre(" a b"));
}

TEST(PreTokenizer, WritesBytesOutWhenStepsFollow) {
  EXPECT_THAT(pieces(R"({"type": "Sequence", "pretokenizers": [{"type": "ByteLevel", "add_prefix_space": false},
                         {"type": "Digits", "individual_digits": true}]})",
                     "é 12"),
              ElementsAre("Ã©", "Ġ", "1", "2"));
}

struct SplitCase {
  const char* behavior;
  bool invert;
  std::vector<std::string> wanted;
};

TEST(PreTokenizer, SplitsInFiveWays) {
  const std::vector<SplitCase> cases = {
      {"Removed", false, {"a", "bc"}},
      {"Removed", true, {"-", "-", "-", "-"}},
      {"Isolated", false, {"-", "a", "-", "-", "bc", "-"}},
      {"MergedWithPrevious", false, {"-", "a-", "-", "bc-"}},
      {"MergedWithNext", false, {"-a", "-", "-bc", "-"}},
      {"Contiguous", false, {"-", "a", "--", "bc", "-"}},
  };
  for (const SplitCase& c : cases) {
    const Json json = {
        {"type", "Split"}, {"pattern", {{"String", "-"}}}, {"behavior", c.behavior}, {"invert", c.invert}};
    EXPECT_EQ(pieces(json.dump().c_str(), "-a--bc-"), c.wanted) << c.behavior << c.invert;
  }
}

TEST(PreTokenizer, DigitsAndPunctuation) {
  EXPECT_THAT(pieces(R"({"type": "Digits", "individual_digits": false})", "a12b²"), ElementsAre("a", "12", "b", "²"));
  EXPECT_THAT(pieces(R"({"type": "Punctuation"})", "a,.b。"), ElementsAre("a", ",", ".", "b", "。"));
  EXPECT_THAT(pieces(R"({"type": "Punctuation", "behavior": "Contiguous"})", "a,.b"), ElementsAre("a", ",.", "b"));
}

TEST(PreTokenizer, MetaspacePrependsAsItsSchemeSays) {
  const char* always = R"({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true})";
  EXPECT_THAT(pieces(always, "a b  c"), ElementsAre("▁a", "▁b", "▁", "▁c"));
  EXPECT_THAT(pieces(always, " a"), ElementsAre("▁a"));
  const char* first = R"({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false})";
  EXPECT_THAT(pieces(first, "a b", true), ElementsAre("▁a▁b"));
  EXPECT_THAT(pieces(first, "a b", false), ElementsAre("a▁b"));
  const char* legacy = R"({"type": "Metaspace", "replacement": "▁", "add_prefix_space": false})";
  EXPECT_THAT(pieces(legacy, "a b"), ElementsAre("a", "▁b"));
}

TEST(PreTokenizer, ADocumentsBeginningGoesWithThePieceThatIsRemoved) {
  const char* json = R"({"type": "Sequence", "pretokenizers": [{"type": "Punctuation", "behavior": "Removed"},
      {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first"}]})";
  EXPECT_THAT(pieces(json, "a.b"), ElementsAre("▁a", "b"));
  EXPECT_THAT(pieces(json, ".a.b"), ElementsAre("a", "b"));
}

TEST(Normalizer, DoesItsStepsInOrder) {
  EXPECT_EQ(normalized("null", "a b"), "a b");
  EXPECT_EQ(normalized(R"({"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"},
                           {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]})",
                       " a b"),
            "▁▁a▁b");
  EXPECT_EQ(normalized(R"({"type": "Prepend", "prepend": "▁"})", ""), "");
  EXPECT_EQ(normalized(R"({"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": "$1"})", "a  b "), "a$1b$1");
  EXPECT_EQ(normalized(R"({"type": "Strip", "strip_left": true, "strip_right": true})", "\u3000 a \n"), "a");
  EXPECT_EQ(normalized(R"({"type": "NFC"})", "e\u0301"), "\u00E9");
}

TEST(Decoder, JoinsWithSpacesWhenThereIsNone) { EXPECT_EQ(decoded("null", {"a", "b"}), "a b"); }

TEST(Decoder, ByteLevelTakesATokenWithOtherCharactersAsText) {
  EXPECT_EQ(decoded(R"({"type": "ByteLevel"})", {"ĠÃ", "©", "日", " x"}), " é日 x");
  EXPECT_EQ(decoded(R"({"type": "ByteLevel"})", {"Ã"}), "\uFFFD");
}

TEST(Decoder, ByteFallbackJoinsRunsOrReplacesEachByte) {
  EXPECT_EQ(decoded(R"({"type": "ByteFallback"})", {"a", "<0xC3>", "<0xA9>", "b"}), "aéb");
  EXPECT_EQ(decoded(R"({"type": "ByteFallback"})", {"<0xC3>", "<0x41>", "b"}), "\uFFFD\uFFFDb");
  EXPECT_EQ(decoded(R"({"type": "ByteFallback"})", {"<0xC3>", "<0xA9>"}), "é");
  EXPECT_EQ(decoded(R"({"type": "ByteFallback"})", {"<0xZZ>", "<0x4>", "<0x411>"}), "<0xZZ><0x4><0x411>");
}

TEST(Decoder, StripsAndMetaspace) {
  EXPECT_EQ(decoded(R"({"type": "Strip", "content": " ", "start": 1, "stop": 1})", {"  a  ", " ", "b"}), " a b");
  EXPECT_EQ(decoded(R"({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"})", {"▁a", "▁b▁"}), "a b ");
  EXPECT_EQ(decoded(R"({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never"})", {"▁a"}), " a");
}

TEST(ByteLevel, EveryByteHasACharacterOfItsOwn) {
  std::string all;
  std::string bytes;
  for (unsigned b = 0; b < 256; ++b) bytes.push_back(static_cast<char>(b));
  append_byte_level(all, bytes);
  EXPECT_EQ(from_byte_level(all), bytes);
  EXPECT_EQ(byte_level_character(' '), "Ġ");
  EXPECT_EQ(byte_level_character('\n'), "Ċ");
  EXPECT_EQ(byte_level_character(0), "Ā");
  EXPECT_EQ(byte_level_byte(U'\u00AD'), std::nullopt);  // soft hyphen: does not print
  EXPECT_EQ(from_byte_level("日"), std::nullopt);
  EXPECT_EQ(from_byte_level("\xFF"), std::nullopt);
}

TEST(StringFinder, TakesTheLeftmostThenTheLongest) {
  const StringFinder finder({"ab", "abcd", "b", "", "ab"});
  const auto first = finder.find("xabcabcd", 0);
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->span, (Span{1, 3}));
  EXPECT_EQ(first->index, 0U);
  const auto second = finder.find("xabcabcd", 3);
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(second->span, (Span{4, 8}));
  EXPECT_EQ(second->index, 1U);
  EXPECT_FALSE(finder.find("xyz", 0).has_value());
}

std::vector<std::string> segments(const Json& token, std::string_view text) {
  Json full = {{"id", 0},         {"single_word", false}, {"lstrip", false},
               {"rstrip", false}, {"normalized", false},  {"special", false}};
  full.update(token);
  const AddedTokens added = AddedTokens::parse(Json::array({full}), Vocabulary(), Normalizer(), "t");
  std::vector<std::string> out;
  for (const Segment& s : added.split_raw(text)) {
    const std::string part(text.substr(s.span.begin, s.span.end - s.span.begin));
    out.push_back(s.id ? "{" + part + "}" : part);
  }
  return out;
}

TEST(AddedTokens, FlagsSayWhereAndHowFar) {
  EXPECT_THAT(segments({{"content", "<x>"}}, "a <x> b"), ElementsAre("a ", "{<x>}", " b"));
  EXPECT_THAT(segments({{"content", "<x>"}, {"lstrip", true}}, "a \t<x> b"), ElementsAre("a", "{ \t<x>}", " b"));
  EXPECT_THAT(segments({{"content", "<x>"}, {"rstrip", true}}, "a <x>\u3000 b"),
              ElementsAre("a ", "{<x>\u3000 }", "b"));
  EXPECT_THAT(segments({{"content", "x"}, {"single_word", true}}, "x xy éx _x x"),
              ElementsAre("{x}", " xy éx _x ", "{x}"));
  EXPECT_THAT(segments({{"content", "<x>"}, {"lstrip", true}, {"rstrip", true}}, "<x> <x>"),
              ElementsAre("{<x> }", "{<x>}"));
}

}  // namespace
}  // namespace gloss::text
