// What is read from a window, and that learning and executing read the same.
#include "gloss/explain/pattern_window.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "gloss/base/error.h"
#include "gloss/explain/pattern_fixture.h"

namespace gloss::explain {
namespace {

using Words = std::vector<std::string>;

class Reading {
 public:
  explicit Reading(const Words& tokens, const Words& special = {}) {
    for (const std::string& s : special) lab_.token(s, true);
    sample_ = lab_.sample(tokens);
    window_.read(lab_.vocabulary().impl(), sample_.ids);
  }
  const WindowText& window() const { return window_; }
  bool is(std::size_t t, TokenClass c) const { return (window_.token(t).classes & bit_of(c)) != 0; }
  std::string so_far(std::size_t t) const { return std::string(window_.so_far(t)); }
  std::string word(std::size_t t) const { return std::string(window_.text_of(*window_.word_of(t))); }
  std::string before(std::size_t t, std::size_t j) const {
    const WindowText::Word* word = window_.word_before(t, j);
    return word == nullptr ? "-" : std::string(window_.text_of(*word));
  }

 private:
  Lab lab_;
  Lab::Sample sample_;
  WindowText window_;
};

TEST(WindowText, JoinsPiecesToWords) {
  const Reading r({" f", "a", "st", ",", " D", "on", "'", "t", " go", "."});
  EXPECT_EQ(r.so_far(1), "fa");
  EXPECT_EQ(r.word(0), "fast");
  EXPECT_EQ(r.so_far(3), "");
  EXPECT_EQ(r.so_far(6), "don'");
  EXPECT_EQ(r.word(4), "don't");
  EXPECT_EQ(r.before(4, 1), "fast");
  EXPECT_EQ(r.before(8, 1), "don't");
  EXPECT_EQ(r.before(8, 2), "fast");
  EXPECT_EQ(r.before(9, 1), "go");
  EXPECT_EQ(r.before(0, 1), "-");
  EXPECT_TRUE(r.is(0, TokenClass::word_start));
  EXPECT_TRUE(r.is(1, TokenClass::continuation));
  EXPECT_TRUE(r.is(5, TokenClass::capitalised));
  EXPECT_TRUE(r.is(9, TokenClass::sentence_end));
  EXPECT_TRUE(r.is(3, TokenClass::punctuation));
  EXPECT_FALSE(r.is(3, TokenClass::sentence_end));
}

TEST(WindowText, KnowsWordsThatTheEdgeCuts) {
  const Reading r({"ing", " home", " ag", "a"});
  EXPECT_TRUE(r.window().word_of(0)->cut);
  EXPECT_TRUE(r.is(0, TokenClass::continuation));
  EXPECT_FALSE(r.window().word_of(1)->cut);
  EXPECT_TRUE(r.window().word_of(3)->open);
  const explain::Test ends{Where::here, 0, What::suffix, {}, {"ng"}}, begins{Where::here, 0, What::prefix, {}, {"in"}};
  EXPECT_TRUE(holds(ends, r.window(), 0));
  EXPECT_FALSE(holds(begins, r.window(), 0));
  EXPECT_FALSE(holds({Where::here, 0, What::word, {}, {"aga"}}, r.window(), 2));
  EXPECT_TRUE(holds({Where::here, 0, What::so_far, {}, {"aga"}}, r.window(), 3));
}

TEST(WindowText, TellsOpeningFromClosingQuotes) {
  const Reading r({" said", ",", " \"", "Yes", ".\"", " he", "\n", "\"", "No", "\"", "'s", " (", "a", ")"});
  EXPECT_TRUE(r.is(2, TokenClass::opening_quote));
  EXPECT_FALSE(r.is(2, TokenClass::in_quotation));
  EXPECT_TRUE(r.is(3, TokenClass::in_quotation));
  EXPECT_TRUE(r.is(4, TokenClass::closing_quote));
  EXPECT_FALSE(r.is(5, TokenClass::in_quotation));
  EXPECT_TRUE(r.is(7, TokenClass::opening_quote));
  EXPECT_TRUE(r.is(9, TokenClass::closing_quote));
  EXPECT_TRUE(r.is(11, TokenClass::opening_bracket));
  EXPECT_TRUE(r.is(13, TokenClass::closing_bracket));
}

TEST(WindowText, KnowsTheFirstWordOfASentence) {
  const Reading r({" a", ".", " W", "e", " go", "<s>", " Tim", " x"}, {"<s>"});
  EXPECT_FALSE(r.is(0, TokenClass::sentence_start));  // what stands before is not known
  EXPECT_TRUE(r.is(2, TokenClass::sentence_start));
  EXPECT_TRUE(r.is(3, TokenClass::sentence_start));
  EXPECT_FALSE(r.is(4, TokenClass::sentence_start));
  EXPECT_TRUE(r.is(5, TokenClass::special));
  EXPECT_TRUE(r.is(6, TokenClass::sentence_start));
  EXPECT_FALSE(r.is(7, TokenClass::sentence_start));
  EXPECT_TRUE(r.is(0, TokenClass::window_start));
  EXPECT_FALSE(r.is(1, TokenClass::window_start));
}

TEST(WindowText, ACharacterBelongsToTheTokenThatCompletesIt) {
  const Reading r({" caf", "\xC3", "\xA9", " \xD0", "\x9C", "\xD0\xB8\xD1\x80", "\xFF", "\xC3"});
  EXPECT_EQ(r.so_far(1), "caf");
  EXPECT_EQ(r.so_far(2), "café");
  EXPECT_EQ(r.so_far(3), "");
  EXPECT_EQ(r.so_far(4), "м");
  EXPECT_EQ(r.so_far(5), "мир");
  EXPECT_TRUE(r.is(5, TokenClass::non_latin));
  EXPECT_EQ(r.so_far(6), "");
}

TEST(WindowText, NumbersAndCapitals) {
  const Reading r({" Twenty", " USA", " 42", " A", " fifth"});
  EXPECT_TRUE(r.is(0, TokenClass::number_word));
  EXPECT_TRUE(r.is(1, TokenClass::all_caps));
  EXPECT_TRUE(r.is(2, TokenClass::digit));
  EXPECT_FALSE(r.is(3, TokenClass::all_caps));
  EXPECT_FALSE(r.is(4, TokenClass::number_word));
}

TEST(WindowText, AnUnknownTokenIsAnError) {
  Lab lab;
  lab.token("a");
  WindowText window;
  try {
    window.read(lab.vocabulary().impl(), std::vector<TokenId>{TokenId{0}, TokenId{5}});
    FAIL() << "accepted token 5 of a vocabulary of 1";
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), testing::HasSubstr("window: token 1 is 5, the vocabulary has 1"));
  }
}

TEST(Tests, HoldWhereTheySay) {
  const Reading r({" Tim", " did", " n", "ot", " stop", ",", " Anna", " did"});
  const auto at = [&](const explain::Test& test) {
    std::vector<std::size_t> where;
    for (std::size_t t = 0; t < r.window().size(); ++t) {
      if (holds(test, r.window(), t)) where.push_back(t);
    }
    return where;
  };
  using At = std::vector<std::size_t>;
  EXPECT_EQ(at({Where::before, 1, What::suffix, {}, {"ot"}}), (At{4}));
  EXPECT_EQ(at({Where::word_before, 1, What::word, {}, {"not"}}), (At{4}));
  EXPECT_EQ(at({Where::word_before, 1, What::word, {}, {"not", "did"}}), (At{2, 3, 4}));
  EXPECT_EQ(at({Where::word_before, 2, What::prefix, {}, {"ti"}}), (At{2, 3}));
  EXPECT_EQ(at({Where::within, 3, What::word, {}, {"not"}}), (At{4, 5, 6}));
  EXPECT_EQ(at({Where::here, 0, What::word, {}, {"not"}}), (At{2, 3}));
  EXPECT_EQ(at({Where::here, 0, What::any, {}, {}}).size(), 8U);
  EXPECT_EQ(at({Where::before, 2, What::any, {}, {}}).size(), 6U);
}

/// Random windows over tokens that are words, pieces of words, of characters, quotes and specials.
TEST(Tests, LearningAndExecutingAgreeOnEveryTestAtEveryToken) {
  const Words tokens = {" th",       "e",    "is", "'",    "t",    " don", " \"",           "\"", ".",
                        "\n",        " A",   "NN", "\xC3", "\xA9", " 12",  " two",          "(",  ")",
                        " \xD0\xBC", "\xFF", " ",  "  ",   "-",    "’s",   " \u4E2D\u6587", ","};
  Lab lab;
  lab.token("<s>", true);
  for (const std::string& t : tokens) lab.token(t);
  for (int i = 0; i < 24; ++i) {
    Words window;
    for (int t = 0; t < 32; ++t) {
      const bool special = lab.random().below(20) == 0;
      std::string token = special ? "<s>" : tokens[lab.random().below(tokens.size())];
      if (i >= 12 && token == " two") token = "is";  // " two" tells the windows apart, so there is a rule to learn
      if (i < 12 && (token == " two" || lab.random().below(12) == 0)) token.insert(0, "*");
      window.push_back(std::move(token));
    }
    Lab::Sample s = lab.sample(window);
    i < 12 ? lab.fires(std::move(s)) : lab.silent(std::move(s));
  }
  const Vocabulary::Impl& vocabulary = lab.vocabulary().impl();
  const std::vector<LearnWindow> activating = lab.activating(), silent = lab.silent();
  const Evidence evidence(vocabulary, activating, silent, 0.3F);
  ASSERT_GT(evidence.feature_count(), 300U);
  std::vector<WindowText> windows(activating.size() + silent.size());
  for (std::size_t w = 0; w < windows.size(); ++w) {
    windows[w].read(vocabulary, w < activating.size() ? activating[w].ids : silent[w - activating.size()].ids);
  }
  std::size_t wrong = 0;
  for (Evidence::Feature f = 0; f < evidence.feature_count(); ++f) {
    const explain::Test test = evidence.test(f);
    for (std::size_t i = 0; i < evidence.token_count(); ++i) {
      const bool says = holds(test, windows[evidence.token(i).window], i % 32);
      if (says == evidence.holds(f, i)) continue;
      if (++wrong < 10) ADD_FAILURE() << name_of(test.where) << " " << name_of(test.what) << " at token " << i;
    }
  }
  EXPECT_EQ(wrong, 0U);

  // And the rules' counts are those of executing them.
  const std::vector<Rule> rules = lab.learn();
  ASSERT_FALSE(rules.empty());
  std::vector<std::uint32_t> support(rules.size(), 0), matched(rules.size(), 0);
  for (std::size_t i = 0; i < evidence.token_count(); ++i) {
    for (std::size_t r = 0; r < rules.size(); ++r) {
      if (!matches(rules[r], windows[evidence.token(i).window], i % 32)) continue;
      support[r] += evidence.token(i).label == Label::marked ? 1 : 0;
      matched[r] += evidence.token(i).label != Label::weak ? 1 : 0;
      break;
    }
  }
  for (std::size_t r = 0; r < rules.size(); ++r) {
    EXPECT_EQ(support[r], rules[r].support) << "rule " << r;
    EXPECT_EQ(matched[r], rules[r].matched) << "rule " << r;
  }
}

}  // namespace
}  // namespace gloss::explain
