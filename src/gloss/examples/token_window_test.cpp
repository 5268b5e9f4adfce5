#include "gloss/examples/token_window.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "gloss/base/random.h"
#include "gloss/base/utf8.h"

namespace gloss::examples {
namespace {

/// How byte-level tokenizers spell a byte: printable ones as themselves, the others as code points from 256 on.
void append_byte_as_letter(std::string& out, unsigned byte) {
  const auto printable = [](unsigned b) { return (b > 32 && b < 127) || (b > 160 && b != 173); };
  char32_t letter = byte;
  if (!printable(byte)) {
    letter = 256;
    for (unsigned b = 0; b < byte; ++b) letter += printable(b) ? 0 : 1;
  }
  append_utf8(out, letter);
}

/// Token i stands for bytes[i].
text::Tokenizer tokenizer_of(const std::vector<std::string>& bytes) {
  nlohmann::json vocabulary = nlohmann::json::object();
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    std::string spelt;
    for (const char c : bytes[i]) append_byte_as_letter(spelt, static_cast<unsigned char>(c));
    vocabulary[spelt] = i;
  }
  const nlohmann::json json = {
      {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", nlohmann::json::array()}}},
      {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}},
      {"decoder", {{"type", "ByteLevel"}}}};
  return text::Tokenizer::parse(json.dump(), "made up");
}

/// 0 " and", 1 " he", 2 " was", 3 " over", 4 " the", 5 " moon", 6-8 the bytes of the euro sign, 9 its last two, 10
/// "x\xE2".
const text::Tokenizer& tokenizer() {
  static const text::Tokenizer made =
      tokenizer_of({" and", " he", " was", " over", " the", " moon", "\xE2", "\x82", "\xAC", "\x82\xAC", "x\xE2",
                    "\x82\xAC"
                    "y"});
  return made;
}

std::vector<TokenId> ids(std::initializer_list<std::uint32_t> numbers) {
  std::vector<TokenId> result;
  for (const std::uint32_t n : numbers) result.push_back(TokenId{n});
  return result;
}

std::string marked(std::initializer_list<std::uint32_t> numbers, const std::vector<bool>& marks) {
  return marked_text(tokenizer(), ids(numbers), marks, "<<", ">>");
}

std::vector<std::string> shown(std::initializer_list<std::uint32_t> numbers) {
  std::vector<std::string> result;
  for (const Piece& p : pieces(tokenizer(), ids(numbers)))
    result.push_back(p.text + ":" + std::to_string(p.first) + "-" + std::to_string(p.last));
  return result;
}

using ::testing::ElementsAre;

TEST(MarkedText, PutsARunOfMarkedTokensIntoOnePair) {
  EXPECT_EQ(marked({0, 1, 2, 3, 4, 5, 0}, {false, false, false, true, true, true, false}),
            " and he was<< over the moon>> and");
  EXPECT_EQ(marked({0, 1, 2}, {true, false, true}), "<< and>> he<< was>>");
  EXPECT_EQ(marked({0, 1}, {false, false}), " and he");
  EXPECT_EQ(marked({}, {}), "");
  EXPECT_EQ(marked_text(tokenizer(), ids({0, 1}), {true, true}, "[", "]"), "[ and he]");
}

TEST(MarkedText, MarksACharacterOfSeveralTokensAsAWhole) {
  EXPECT_EQ(marked({6, 7, 8}, {false, true, false}), "<<€>>");
  EXPECT_EQ(marked({6, 9, 0}, {true, false, false}), "<<€>> and");
  EXPECT_EQ(marked({10, 11}, {false, true}), "x<<€y>>");
  EXPECT_EQ(marked({10, 11}, {true, false}), "<<x€>>y");
}

TEST(MarkedText, ShowsIllFormedBytesAsReplacement) {
  EXPECT_EQ(marked({7, 0, 6}, {true, false, true}), "<<\uFFFD>> and<<\uFFFD>>");
  EXPECT_EQ(plain_text(tokenizer(), ids({9, 0, 6, 7})), "\uFFFD\uFFFD and\uFFFD");
}

TEST(MarkedText, ATokenOfAnotherTokenizerIsReplaced) {
  EXPECT_EQ(marked({0, 4000000000}, {false, true}), " and<<\uFFFD>>");
}

TEST(Pieces, AreTokensUnlessTheyShareACharacter) {
  EXPECT_THAT(shown({0, 1}), ElementsAre(" and:0-0", " he:1-1"));
  EXPECT_THAT(shown({0, 6, 7, 8, 1}), ElementsAre(" and:0-0", "€:1-3", " he:4-4"));
  EXPECT_THAT(shown({10, 11, 0}), ElementsAre("x€y:0-1", " and:2-2"));
  EXPECT_THAT(shown({6, 0}), ElementsAre("\uFFFD:0-0", " and:1-1"));
  EXPECT_THAT(shown({0, 6, 7}), ElementsAre(" and:0-0", "\uFFFD:1-2")) << "a character cut off by the window's end";
  EXPECT_THAT(shown({}), ElementsAre());
}

/// Any bytes in any tokens: pieces cover all tokens once and, joined, are the text; so is the marked text without
/// marks.
TEST(Pieces, CoverEveryTokenOnceWhateverTheBytes) {
  Random random = Random::for_purpose(1, "pieces");
  const std::string alphabet = "ab\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\xFF\x80";
  std::vector<std::string> bytes;
  while (bytes.size() < 200) {
    std::string token;
    do {
      token += alphabet[random.below(alphabet.size())];
    } while (random.below(2) == 0);
    if (std::find(bytes.begin(), bytes.end(), token) == bytes.end()) bytes.push_back(token);
  }
  const text::Tokenizer made = tokenizer_of(bytes);
  for (int trial = 0; trial < 3000; ++trial) {
    std::vector<TokenId> window(1 + random.below(12));
    std::vector<bool> marks(window.size());
    std::string joined;
    for (std::size_t i = 0; i < window.size(); ++i) {
      window[i] = TokenId{static_cast<std::uint32_t>(random.below(bytes.size()))};
      marks[i] = random.below(2) == 0;
      joined += bytes[to_index(window[i])];
    }
    const std::string text = plain_text(made, window);
    EXPECT_EQ(text, replace_invalid_utf8(joined));
    std::string together;
    std::uint32_t next = 0;
    for (const Piece& p : pieces(made, window)) {
      EXPECT_EQ(p.first, next);
      EXPECT_TRUE(is_valid_utf8(p.text));
      next = p.last + 1;
      together += p.text;
    }
    EXPECT_EQ(next, window.size());
    EXPECT_EQ(together, text);
    std::string with_marks = marked_text(made, window, marks, "<", ">");
    std::erase_if(with_marks, [](char c) { return c == '<' || c == '>'; });
    EXPECT_EQ(with_marks, text);
  }
}

}  // namespace
}  // namespace gloss::examples
