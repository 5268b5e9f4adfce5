#include "gloss/score/pattern_judge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <string>

#include "gloss/base/error.h"
#include "gloss/base/random.h"
#include "gloss/explain/text_fixture.h"

namespace gloss::score {
namespace {

using testing::AllOf;
using testing::HasSubstr;

Question question(std::vector<bool> marked, bool truth) {
  Question q;
  q.window.start = 96;
  q.window.kind = examples::WindowKind::activating;
  q.window.quantile = 7;
  q.window.activation.assign(marked.size(), 0.0F);
  q.marked = std::move(marked);
  q.truth = truth;
  return q;
}

TEST(JudgePrediction, SaysYesToDetectionWhenAnyTokenIsPredicted) {
  const Question q = question({false, false, false}, true);
  const Judgement yes = judge_prediction(Scorer::detection, q, std::vector<float>{0.0F, 0.4F, 0.2F});
  EXPECT_EQ(yes.verdict, Verdict::yes);
  EXPECT_FLOAT_EQ(yes.probability, 0.4F);
  const Judgement no = judge_prediction(Scorer::detection, q, std::vector<float>{0.0F, 0.0F, 0.0F});
  EXPECT_EQ(no.verdict, Verdict::no);
  EXPECT_FLOAT_EQ(no.probability, 0.0F);
}

TEST(JudgePrediction, SaysYesToFuzzWhenHalfAgrees) {
  // Predicted 1 of 3 marked: F1 = 2*1/(1+3) = 0.5; predicted 2, one of them marked, of 3: 2/(2+3) = 0.4.
  const Question q = question({true, true, true, false}, true);
  const Judgement half = judge_prediction(Scorer::fuzz, q, std::vector<float>{0.1F, 0.0F, 0.0F, 0.0F});
  EXPECT_EQ(half.verdict, Verdict::yes);
  EXPECT_FLOAT_EQ(half.probability, 0.5F);
  const Judgement less = judge_prediction(Scorer::fuzz, q, std::vector<float>{0.1F, 0.0F, 0.0F, 0.9F});
  EXPECT_EQ(less.verdict, Verdict::no);
  EXPECT_FLOAT_EQ(less.probability, 0.4F);
  EXPECT_EQ(judge_prediction(Scorer::fuzz, q, std::vector<float>(4, 0.0F)).verdict, Verdict::no);
}

TEST(JudgePrediction, KeepsWhatTheQuestionSays) {
  const Judgement j = judge_prediction(Scorer::fuzz, question({true}, true), std::vector<float>{1.0F});
  EXPECT_EQ(j.start, 96U);
  EXPECT_EQ(j.kind, examples::WindowKind::activating);
  EXPECT_EQ(j.quantile, 7);
  EXPECT_TRUE(j.truth);
  EXPECT_TRUE(j.call_hash.empty());
}

/// Texts of a latent that fires on "cat" and of others; every second one is silent.
struct Cats {
  std::vector<std::string> texts;
  text::Tokenizer tokenizer = explain::byte_tokenizer();
  examples::LatentExamples examples;
  text::TokenFile tokens;

  Cats() {
    Random random(1);
    const std::vector<std::string> words{"dog", "sun", "tree", "house", "small", "went", "far"};
    for (int i = 0; i < 240; ++i) {
      std::string text;
      for (int w = 0; w < 8; ++w) text += words[random.below(words.size())] + " ";
      if (i % 2 == 0) text.insert(text.find(' ') + 1, "cat ");
      texts.push_back(text);
    }
    tokens = explain::byte_tokens(texts, testing::TempDir());
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const bool explain = i < 120;
      if (i % 2 == 0) {
        examples::Window w = explain::byte_window(texts, i, "cat");
        w.quantile = static_cast<std::uint8_t>(1 + i / 2 % 10);
        (explain ? examples.explain : examples.test).push_back(w);
      } else {
        (explain ? examples.explain_silent : examples.test_silent).push_back(explain::byte_window(texts, i, ""));
      }
    }
    examples.max_activation = 1.0F;
    examples.window_count = 120;
  }
};

TEST(PatternJudge, GivesAGoodPatternAGoodScoreAndAnswersAtOnce) {
  const Cats cats;
  const explain::Vocabulary vocabulary(cats.tokenizer);
  const explain::Explanation explanation = explain_pattern(vocabulary, cats.tokens, "h", cats.examples, {});
  ASSERT_TRUE(explanation.ok()) << explanation.failure;
  PatternJudge judge(vocabulary, cats.tokens);
  EXPECT_EQ(judge.name(), "pattern");
  for (const Scorer scorer : {Scorer::detection, Scorer::fuzz}) {
    const std::vector<Question> questions = make_questions(scorer, "h", cats.examples, {});
    std::vector<Judgement> judgements;
    judge.submit(scorer, explanation, questions,
                 [&](std::vector<Judgement> answered) { judgements = std::move(answered); });
    ASSERT_EQ(judgements.size(), questions.size());
    for (std::size_t i = 0; i < questions.size(); ++i) EXPECT_EQ(judgements[i].start, questions[i].window.start);
    EXPECT_GT(summarize(LatentId{0}, judgements, 10).balanced_accuracy.value, 0.9) << explanation.text;
  }
}

std::vector<Judgement> judged(const Cats& cats, const explain::Vocabulary& vocabulary, Scorer scorer,
                              const explain::Explanation& explanation, const explain::Explanation& other) {
  std::vector<Question> questions = make_questions(scorer, "h", cats.examples, {});
  if (scorer == Scorer::forced_choice) {
    for (Question& q : questions) {
      q.rivals.assign(3, other);
      q.place = q.window.start / 64 % 4;
    }
  }
  PatternJudge judge(vocabulary, cats.tokens);
  std::vector<Judgement> judgements;
  judge.submit(scorer, explanation, std::move(questions), [&](std::vector<Judgement> j) { judgements = std::move(j); });
  return judgements;
}

TEST(PatternJudge, FindsIntrudersAndChoosesTheRightExplanation) {
  const Cats cats;
  const explain::Vocabulary vocabulary(cats.tokenizer);
  const explain::Explanation right = explain_pattern(vocabulary, cats.tokens, "h", cats.examples, {});
  examples::LatentExamples spaces = cats.examples;  // a latent that fires on the first spaces
  for (auto* split : {&spaces.explain, &spaces.explain_silent}) {
    for (examples::Window& w : *split) w.activation.assign(w.activation.size(), 0.0F);
  }
  for (examples::Window& w : spaces.explain) w.activation[60] = 1.0F;
  const explain::Explanation wrong = explain_top_tokens(vocabulary, cats.tokens, spaces, {});
  ASSERT_TRUE(right.ok() && wrong.ok()) << right.failure << wrong.failure;
  for (const Scorer scorer : {Scorer::intruder, Scorer::forced_choice}) {
    const auto good = judged(cats, vocabulary, scorer, right, wrong);
    ASSERT_FALSE(good.empty());
    EXPECT_GT(summarize(LatentId{0}, good, 10).recall.value, 0.95) << name_of(scorer);
  }
  EXPECT_EQ(summarize(LatentId{0}, judged(cats, vocabulary, Scorer::forced_choice, wrong, right), 10).tp, 0U);
}

TEST(PatternJudge, EqualAnswersAreDrawn) {
  const Cats cats;
  const explain::Vocabulary vocabulary(cats.tokenizer);
  const explain::Explanation same = explain_pattern(vocabulary, cats.tokens, "h", cats.examples, {});
  std::uint32_t right = 0;
  std::size_t asked = 0;
  for (std::uint32_t f = 0; f < 40; ++f) {
    explain::Explanation one = same;
    one.latent = LatentId{f};
    const auto j = judged(cats, vocabulary, Scorer::forced_choice, one, same);
    right += summarize(LatentId{f}, j, 10).tp;
    asked += j.size();
    for (const Judgement& answer : j) EXPECT_FLOAT_EQ(answer.probability, 0.25F);
  }
  EXPECT_NEAR(static_cast<double>(right) / static_cast<double>(asked), 0.25, 0.09);
}

TEST(LogLikelihood, IsThatOfIndependentMarks) {
  // Predicted and marked, predicted and not, neither: 0.9 * 0.1 * 0.99.
  EXPECT_NEAR(log_likelihood(std::vector<float>{0.5F, 0.2F, 0.0F}, {true, false, false}), std::log(0.9 * 0.1 * 0.99),
              1e-12);
  EXPECT_NEAR(log_likelihood(std::vector<float>{0.0F}, {true}), std::log(0.01), 1e-12);
}

std::string message_of(const std::function<void()>& action, ErrorKind kind) {
  try {
    action();
  } catch (const Error& e) {
    EXPECT_EQ(static_cast<int>(e.kind()), static_cast<int>(kind));
    return e.what();
  }
  return "no error";
}

TEST(PatternJudge, RefusesProse) {
  const Cats cats;
  PatternJudge judge(explain::Vocabulary(cats.tokenizer), cats.tokens);
  explain::Explanation prose;
  prose.latent = LatentId{17};
  prose.text = "words about cats";
  EXPECT_THAT(
      message_of([&] { judge.submit(Scorer::detection, prose, {}, [](auto) {}); }, ErrorKind::usage),
      AllOf(HasSubstr("--judge pattern: works for pattern explanations only; the explanation of latent 17 is prose"),
            HasSubstr("hint: prose needs a language model as its judge")));
}

TEST(PatternJudge, RefusesWindowsOutsideTheTokens) {
  const Cats cats;
  const explain::Vocabulary vocabulary(cats.tokenizer);
  PatternJudge judge(vocabulary, cats.tokens);
  const explain::Explanation explanation = explain_pattern(vocabulary, cats.tokens, "h", cats.examples, {});
  Question q = question(std::vector<bool>(64), true);
  q.window.start = 240 * 64 - 63;
  EXPECT_THAT(message_of([&] { judge.submit(Scorer::fuzz, explanation, {q}, [](auto) {}); }, ErrorKind::bad_input),
              HasSubstr("window: begins at token 15297 and has 64, the run has 15360 tokens"));
}

}  // namespace
}  // namespace gloss::score
