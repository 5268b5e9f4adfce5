// Latents planted in invented text, each with the sentence that must come of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "gloss/base/error.h"
#include "gloss/base/utf8.h"
#include "gloss/explain/pattern.h"
#include "gloss/explain/pattern_fixture.h"
#include "gloss/explain/pattern_render.h"

namespace gloss::explain {
namespace {

using testing::HasSubstr;
using Words = std::vector<std::string>;

std::filesystem::path folder() { return testing::TempDir(); }

/// Learns and says what was learned.
std::string learned(Lab& lab) { return render_rules(lab.vocabulary().impl(), lab.learn()); }

/// Windows without the latent's pattern.
void add_plain(Lab& lab, int count) {
  for (int i = 0; i < count; ++i) lab.silent(lab.planted({}));
}

TEST(PlantedPattern, ALiteralWithItsCounts) {
  Lab lab;
  for (int i = 0; i < 30; ++i) lab.fires(lab.planted({"* moon"}, 0.5F));
  add_plain(lab, 30);
  const std::vector<Rule> rules = lab.learn();
  EXPECT_EQ(render_rules(lab.vocabulary().impl(), rules), "the token \" moon\"");
  ASSERT_EQ(rules.size(), 1U);
  EXPECT_EQ(rules[0].support, 30U);
  EXPECT_EQ(rules[0].matched, 30U);
  EXPECT_DOUBLE_EQ(rules[0].level, 0.5);
}

TEST(PlantedPattern, ALiteralInAnyCaseAndSpacing) {
  Lab lab;
  for (int i = 0; i < 10; ++i) {
    for (const char* form : {"* stop", "* Stop", "* STOP"}) lab.fires(lab.planted({form}));
  }
  add_plain(lab, 30);
  EXPECT_EQ(learned(lab), "the token \"stop\" in any case");
}

TEST(PlantedPattern, SiblingsThatDifferInAWordBecomeASet) {
  Lab lab;
  for (int i = 0; i < 15; ++i) {
    lab.fires(lab.planted({" don", "'t", "* stop"}));
    lab.fires(lab.planted({" won", "'t", "* stop"}));
    lab.silent(lab.planted({" can", "'t", " stop", " to", " stop"}));
    lab.silent(lab.planted({" don", "'t", " won", "'t", " the", " stop"}));
  }
  EXPECT_EQ(learned(lab), "the token \" stop\" after \"don't\" or \"won't\"");
}

TEST(PlantedPattern, ASuffixOfManyWords) {
  Lab lab;
  const Words verbs = {" jumped", " walked", " painted", " looked", " smiled", " opened",  " wanted", " asked",
                       " helped", " played", " climbed", " rested", " talked", " visited", " called", " washed"};
  for (int round = 0; round < 2; ++round) {
    for (const std::string& verb : verbs) lab.fires(lab.planted({"*" + verb}));
  }
  add_plain(lab, 30);
  EXPECT_EQ(learned(lab), "a word so far ending in \"ed\"");
}

TEST(PlantedPattern, WordsInPiecesByTheirLettersSoFar) {
  Lab lab;
  for (int i = 0; i < 30; ++i) {
    lab.fires(lab.planted({" f", "*a", "st"}));
    lab.silent(lab.planted({" c", "a", "t", " f", "i", "sh"}));
  }
  EXPECT_EQ(learned(lab), "a word that so far reads \"fa\"");
}

TEST(PlantedPattern, NumberWordsBeforeAUnit) {
  Lab lab;
  const Words numbers = {" two", " three", " four", " five", " seven", " nine", " ten", " twelve", " twenty", " sixty"};
  for (int round = 0; round < 3; ++round) {
    for (const std::string& number : numbers) {
      lab.fires(lab.planted({number, "* miles"}));
      lab.silent(lab.planted({" many", " miles", number, " dogs"}));
    }
  }
  EXPECT_EQ(learned(lab), "the token \" miles\" right after a number word");
}

TEST(PlantedPattern, Classes) {
  struct Case {
    Words fires;
    std::string said;
  };
  const std::vector<Case> cases = {
      {{"* 12", "* 345", "* 7", "* 1999", "* 60", "* 81", "* 4", "* 23"}, "a number in digits"},
      {{"* Anna", "* Ben", "* Carol", "* Dora", "* Emil", "* Fritz", "* Greta", "* Hans"}, "a capitalised word"},
      {{"*,", "*;", "*:", "*-", "*--", "*/", "*&", "*,,"}, "punctuation"},
      {{"*\n", "*\n\n", "*\n ", "*\n\n\n", "*  \n", "* \n", "*\n\n ", "* \n\n"}, "a newline"},
      {{"* мир", "* дом", "* лес", "* сад", "* море", "* небо", "* река", "* поле"}, "a non-Latin letter"},
  };
  for (const Case& c : cases) {
    Lab lab;
    for (int round = 0; round < 4; ++round) {
      for (const std::string& token : c.fires) lab.fires(lab.planted({token}));
    }
    for (int i = 0; i < 30; ++i) lab.silent(lab.planted({" x"}));
    EXPECT_THAT(learned(lab), testing::StartsWith(c.said));
  }
}

TEST(PlantedPattern, AnyTokenAfterAnother) {
  Lab lab;
  // Words, numbers and signs: no class of the token itself covers them.
  const Words tokens = {" sun", ",", " 12", "\n", " milk", ".", "ing", ";"};
  for (int round = 0; round < 4; ++round) {
    for (const std::string& token : tokens) {
      lab.fires(lab.planted({" zu", "*" + token}));
      lab.silent(lab.planted({token}));
    }
  }
  EXPECT_EQ(learned(lab), "any token right after the token \" zu\"");
}

TEST(PlantedPattern, APosition) {
  Lab lab;
  const Words words = {" sun", " cup", " old", " ran", " milk", " road", " bird", " blue"};
  for (int i = 0; i < 40; ++i) {
    Words tokens;
    for (int t = 0; t < 32; ++t) tokens.push_back(words[lab.random().below(words.size())]);
    tokens[0].insert(0, "*");
    lab.fires(lab.sample(tokens));
  }
  EXPECT_EQ(learned(lab), "the first token shown");
}

TEST(PlantedPattern, Exceptions) {
  Lab lab;
  for (int i = 0; i < 5; ++i) {
    for (const char* head : {" sto", " fi", " mo", " sha", " wi", " ca"}) lab.fires(lab.planted({head, "*re"}));
    for (int k = 0; k < 4; ++k) lab.silent(lab.planted({" a", "re"}));
  }
  const std::string said = learned(lab);
  EXPECT_THAT(said, testing::StartsWith("the token \"re\""));
  EXPECT_THAT(said, testing::AnyOf(HasSubstr("except where the word so far reads \"are\""),
                                   HasSubstr("except right after the token \" a\"")));
}

TEST(PlantedPattern, SeveralCausesAreSeveralRulesTheStrongerFirst) {
  Lab lab;
  for (int i = 0; i < 24; ++i) lab.fires(lab.planted({"* moon"}));
  for (int i = 0; i < 8; ++i) lab.fires(lab.planted({" at", "* 12"}));
  for (int i = 0; i < 8; ++i) lab.fires(lab.planted({" at", "* 47"}));
  for (int i = 0; i < 40; ++i) lab.silent(lab.planted({" at", " six"}));
  EXPECT_EQ(learned(lab), "the token \" moon\"; a number in digits");
}

TEST(PlantedPattern, WeakFiringsAreOfNoAccount) {
  Lab lab;
  for (int i = 0; i < 30; ++i) {
    Lab::Sample s = lab.planted({"* moon", " dust"});
    for (std::size_t t = 0; t < s.ids.size(); ++t) {
      if (s.ids[t] == lab.token(" dust")) s.activation[t] = 0.1F;
    }
    lab.fires(std::move(s));
  }
  add_plain(lab, 30);
  EXPECT_EQ(learned(lab), "the token \" moon\"");
}

TEST(PlantedPattern, IsExecutedWithTheLevelOfTheRule) {
  Lab lab;
  for (int i = 0; i < 30; ++i) lab.fires(lab.planted({"* moon"}, 0.5F));
  add_plain(lab, 30);
  const Vocabulary& vocabulary = lab.vocabulary();
  const Explanation e = explain_pattern(vocabulary, lab.token_file(folder()), "layers.2", lab.examples(), {});
  ASSERT_TRUE(e.ok()) << e.failure;
  EXPECT_EQ(e.latent, LatentId{7});
  EXPECT_EQ(e.text, "the token \" moon\"");
  const PatternProgram program = PatternProgram::parse(vocabulary, e.program);
  EXPECT_EQ(program.predict(std::vector<TokenId>{lab.token(" sun"), lab.token(" moon"), lab.token(" moon")}),
            (std::vector<float>{0.0F, 0.5F, 0.5F}));
  EXPECT_TRUE(program.predict({}).empty());
}

TEST(PlantedPattern, TooFewExamplesIsAFailureWithAReason) {
  Lab lab;
  for (int i = 0; i < 4; ++i) lab.fires(lab.planted({"* moon"}));
  add_plain(lab, 10);
  const Vocabulary& vocabulary = lab.vocabulary();
  const text::TokenFile tokens = lab.token_file(folder());
  for (const Explanation& e : {explain_pattern(vocabulary, tokens, "layers.2", lab.examples(), {}),
                               explain_top_tokens(vocabulary, tokens, lab.examples(), {})}) {
    EXPECT_EQ(e.failure, "too few examples: 4 activating windows to learn from, at least 5 are needed");
    EXPECT_EQ(e.text, "");
    EXPECT_EQ(e.program, "");
  }
}

TEST(PlantedPattern, NoRuleIsAFailureWithAReason) {
  // Every token is " a"; which of them fire is chance.
  Lab lab;
  for (int i = 0; i < 20; ++i) {
    Words tokens(32, " a");
    tokens[20 + lab.random().below(12)] = "* a";
    lab.fires(lab.sample(tokens));
    lab.silent(lab.sample(Words(32, " a")));
  }
  const Explanation e = explain_pattern(lab.vocabulary(), lab.token_file(folder()), "layers.2", lab.examples(), {});
  EXPECT_EQ(e.failure, "no rule is better than none on the explain windows");
  EXPECT_EQ(e.text, "");
  EXPECT_EQ(e.program, "");
}

TEST(PlantedPattern, NeedsNoSilentWindows) {
  Lab lab;
  for (int i = 0; i < 20; ++i) lab.fires(lab.planted({"* moon"}));
  EXPECT_EQ(learned(lab), "the token \" moon\"");
}

TEST(PlantedPattern, HostileTokensAreShownAndDoNoHarm) {
  const Words hostile = {"\"",
                         "\\",
                         "\n",
                         "\x01",
                         "\xFF",
                         "\xE2\x82",
                         "\xE2\x80\xAE",
                         "</script>",
                         "\u00A0x",
                         "\u200D\u0301",
                         std::string(1, '\0')};
  Lab lab;
  for (int i = 0; i < 3; ++i) {
    for (const std::string& token : hostile) lab.fires(lab.planted({" q", "*" + token}));
  }
  for (int i = 0; i < 30; ++i) lab.silent(lab.planted({" q"}));
  const Vocabulary& vocabulary = lab.vocabulary();
  const text::TokenFile tokens = lab.token_file(folder());
  for (const Explanation& e : {explain_pattern(vocabulary, tokens, "layers.2", lab.examples(), {}),
                               explain_top_tokens(vocabulary, tokens, lab.examples(), {})}) {
    ASSERT_TRUE(e.ok()) << e.failure;
    EXPECT_TRUE(is_valid_utf8(e.text));
    EXPECT_TRUE(is_valid_utf8(e.program));
    for (const char c : e.text) EXPECT_GE(static_cast<unsigned char>(c), 0x20U);
    EXPECT_NO_THROW(PatternProgram::parse(vocabulary, e.program));
  }
}

std::string message_of(const Vocabulary& vocabulary, const text::TokenFile& tokens,
                       const examples::LatentExamples& examples) {
  try {
    explain_pattern(vocabulary, tokens, "layers.2", examples, {});
  } catch (const Error& e) {
    return e.what();
  }
  return "(accepted)";
}

TEST(PlantedPattern, WindowsOfAnotherRunAreAnError) {
  Lab lab;
  for (int i = 0; i < 6; ++i) lab.fires(lab.planted({"* moon"}));
  const text::TokenFile tokens = lab.token_file(folder());
  examples::LatentExamples far = lab.examples();
  far.explain[0].start = 170;
  EXPECT_THAT(message_of(lab.vocabulary(), tokens, far),
              HasSubstr("window: begins at token 170 and has 32, the run has 192 tokens"));
  const Vocabulary small(std::make_shared<const Vocabulary::Impl>(Vocabulary::Impl::make({"a", "b"}, {false, false})));
  EXPECT_THAT(message_of(small, tokens, lab.examples()), HasSubstr("the vocabulary has 2"));
}

TEST(BaselineTokens, HaveLevelsOfWhatTheyMatch) {
  // 10 marks: a 5, b 2, c 1, d 1, e 1. a and b cover 7, with c 8 of 10. " a" is marked 5 times and silent 5 times.
  Lab lab;
  for (const char* token : {"a", "a", "a", "a", "a", "b", "b", "c", "d", "e"}) {
    lab.fires(lab.planted({std::string("* ") + token, " the"}));
  }
  for (int i = 0; i < 5; ++i) lab.silent(lab.planted({" a"}));
  const Vocabulary& vocabulary = lab.vocabulary();
  const Explanation e = explain_top_tokens(vocabulary, lab.token_file(folder()), lab.examples(), {});
  ASSERT_TRUE(e.ok()) << e.failure;
  EXPECT_EQ(e.text, "the token \" a\"; the token \" b\"; the token \" c\"");
  EXPECT_EQ(PatternProgram::parse(vocabulary, e.program)
                .predict(std::vector<TokenId>{lab.token(" a"), lab.token(" b"), lab.token(" d")}),
            (std::vector<float>{0.5F, 1.0F, 0.0F}));
}

TEST(BaselineTokens, AreAtMostEight) {
  Lab lab;
  for (int i = 0; i < 20; ++i) lab.fires(lab.planted({"* w" + std::to_string(i)}));
  const Explanation e = explain_top_tokens(lab.vocabulary(), lab.token_file(folder()), lab.examples(), {});
  EXPECT_EQ(std::count(e.text.begin(), e.text.end(), ';'), 7);
}

}  // namespace
}  // namespace gloss::explain
