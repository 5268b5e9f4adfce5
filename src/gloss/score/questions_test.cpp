#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "gloss/base/error.h"
#include "gloss/base/random.h"
#include "gloss/score/judge.h"

namespace gloss::score {
namespace {

using examples::LatentExamples;
using examples::Window;
using examples::WindowKind;

constexpr std::size_t kWidth = 8;

Window window_of(std::uint32_t start, std::uint8_t quantile, std::vector<float> activation) {
  Window w;
  w.start = start;
  w.quantile = quantile;
  w.activation = std::move(activation);
  w.max = *std::max_element(w.activation.begin(), w.activation.end());
  w.kind = w.max > 0 ? WindowKind::activating : WindowKind::silent_random;
  return w;
}

/// `per_quantile` test windows for each of ten quantiles, two tokens active in each, and `silent` silent ones.
LatentExamples examples_of(std::size_t per_quantile, std::size_t silent) {
  LatentExamples e;
  e.latent = LatentId{5};
  Random random(per_quantile);
  std::uint32_t start = 0;
  for (std::uint8_t q = 1; q <= 10; ++q) {
    for (std::size_t i = 0; i < per_quantile; ++i) {
      std::vector<float> a(kWidth, 0.0F);
      for (const std::uint64_t t : random.sample(kWidth, 2)) a[t] = 1.0F;
      e.test.push_back(window_of(start, q, a));
      e.explain.push_back(window_of(start + 100'000, q, a));
      start += kWidth;
    }
  }
  for (std::size_t i = 0; i < silent; ++i, start += kWidth) {
    e.test_silent.push_back(window_of(start, 0, std::vector<float>(kWidth, 0.0F)));
    e.explain_silent.push_back(window_of(start + 100'000, 0, std::vector<float>(kWidth, 0.0F)));
  }
  return e;
}

std::size_t count_marks(const Question& q) {
  return static_cast<std::size_t>(std::count(q.marked.begin(), q.marked.end(), true));
}

void expect_each_window_once_and_of_the_test_split(const std::vector<Question>& questions) {
  std::set<std::uint32_t> seen;
  for (const Question& q : questions) {
    EXPECT_TRUE(seen.insert(q.window.start).second) << "asked twice: window " << q.window.start;
    EXPECT_LT(q.window.start, 100'000U) << "a window shown to the explainer is judged";
  }
}

TEST(DetectionQuestions, AskTheFirstFiveOfEachQuantileAndAllSilentWindows) {
  const LatentExamples e = examples_of(7, 50);
  const std::vector<Question> questions = make_questions(Scorer::detection, "layers.2", e, {});
  ASSERT_EQ(questions.size(), 100U);
  expect_each_window_once_and_of_the_test_split(questions);
  std::map<int, std::size_t> per_quantile;
  for (const Question& q : questions) {
    EXPECT_EQ(count_marks(q), 0U);
    EXPECT_EQ(q.marked.size(), kWidth);
    EXPECT_EQ(q.truth, q.window.kind == WindowKind::activating);
    if (q.truth) {
      EXPECT_LT((q.window.start / kWidth) % 7, 5U);
    }
    ++per_quantile[q.window.quantile];
  }
  EXPECT_EQ(per_quantile[0], 50U);
  for (int q = 1; q <= 10; ++q) EXPECT_EQ(per_quantile[q], 5U);
}

TEST(DetectionQuestions, TakeWhatThereIsWhenWindowsAreShort) {
  EXPECT_EQ(make_questions(Scorer::detection, "h", examples_of(2, 3), {}).size(), 23U);
  EXPECT_TRUE(make_questions(Scorer::detection, "h", LatentExamples{}, {}).empty());
}

TEST(FuzzQuestions, MarkFiveRightAndTwoWrongPerQuantile) {
  const std::vector<Question> questions = make_questions(Scorer::fuzz, "layers.2", examples_of(9, 50), {});
  ASSERT_EQ(questions.size(), 70U);
  expect_each_window_once_and_of_the_test_split(questions);
  std::map<std::pair<int, bool>, std::size_t> counts;
  for (const Question& q : questions) {
    ++counts[{q.window.quantile, q.truth}];
    EXPECT_EQ(count_marks(q), 2U);
    const std::size_t place = (q.window.start / kWidth) % 9;
    EXPECT_EQ(q.truth, place < 5) << "the first five are marked rightly, the next two wrongly";
    for (std::size_t i = 0; i < kWidth; ++i) {
      if (q.truth) {
        EXPECT_EQ(q.marked[i], q.window.activation[i] > 0);
      }
      if (!q.truth && q.marked[i]) {
        EXPECT_EQ(q.window.activation[i], 0.0F);
      }
    }
  }
  for (int q = 1; q <= 10; ++q) {
    EXPECT_EQ((counts[{q, true}]), 5U);
    EXPECT_EQ((counts[{q, false}]), 2U);
  }
}

TEST(FuzzQuestions, KeepTheRatioWhenWindowsAreShort) {
  const std::size_t wrong_of[] = {0, 0, 1, 1, 1, 1, 2, 2};
  for (std::size_t m = 1; m <= 7; ++m) {
    const std::vector<Question> questions = make_questions(Scorer::fuzz, "h", examples_of(m, 0), {});
    ASSERT_EQ(questions.size(), 10 * m);
    const auto wrong = std::count_if(questions.begin(), questions.end(), [](const Question& q) { return !q.truth; });
    EXPECT_EQ(static_cast<std::size_t>(wrong), 10 * wrong_of[m]) << m << " windows per quantile";
  }
}

TEST(FuzzQuestions, MarkAsManyWrongAsAreMarkedRightOnAverage) {
  // Marked tokens (a >= 0.3 * max): 1, 1, 4, and firings below the threshold that do not count: mean 2, not 2.67.
  LatentExamples e;
  e.test.push_back(window_of(0, 10, {1, 0, 0, 0, 0, 0, 0, 0.1F}));
  e.test.push_back(window_of(8, 10, {1, 0.2F, 0, 0, 0, 0, 0, 0}));
  e.test.push_back(window_of(16, 10, {1, 1, 1, 1, 0, 0, 0, 0}));
  QuestionOptions options;
  options.fuzz_right_per_quantile = 0;
  options.fuzz_wrong_per_quantile = 3;
  for (const Question& q : make_questions(Scorer::fuzz, "h", e, options)) {
    EXPECT_EQ(count_marks(q), 2U);
    for (std::size_t i = 0; i < kWidth; ++i) EXPECT_FALSE(q.marked[i] && q.window.activation[i] > 0);
  }
}

TEST(FuzzQuestions, MarkAtMostTheSilentTokens) {
  LatentExamples e;
  for (std::uint32_t i = 0; i < 7; ++i) e.test.push_back(window_of(8 * i, 10, {1, 1, 1, 1, 1, 1, 1, 0}));
  const std::vector<Question> questions = make_questions(Scorer::fuzz, "h", e, {});
  ASSERT_EQ(questions.size(), 7U);
  for (const Question& q : questions) EXPECT_EQ(count_marks(q), q.truth ? 7U : 1U);
}

TEST(FuzzQuestions, NeverCallAWindowWithoutSilentTokensWronglyMarked) {
  LatentExamples e;
  for (std::uint32_t i = 0; i < 7; ++i) {
    std::vector<float> a(kWidth, 1.0F);
    if (i == 2) a[3] = 0.0F;
    e.test.push_back(window_of(8 * i, 10, a));
  }
  const std::vector<Question> questions = make_questions(Scorer::fuzz, "h", e, {});
  ASSERT_EQ(questions.size(), 6U);  // one wrong, five right; a second wrong one cannot be made
  for (const Question& q : questions) EXPECT_EQ(q.truth, q.window.start != 16U);
}

TEST(FuzzQuestions, SpreadWrongMarksOverAllPlaces) {
  // Fault 6 of the Python program: one offset was always among the wrong marks.
  std::vector<std::size_t> at(kWidth, 0);
  std::size_t wrong = 0;
  for (std::uint32_t latent = 0; latent < 200; ++latent) {
    LatentExamples e;
    e.latent = LatentId{latent};
    for (std::uint32_t i = 0; i < 7; ++i) e.test.push_back(window_of(8 * i, 10, {1, 0, 0, 0, 0, 0, 0, 0}));
    for (const Question& q : make_questions(Scorer::fuzz, "h", e, {})) {
      if (q.truth) continue;
      ++wrong;
      for (std::size_t i = 0; i < kWidth; ++i) at[i] += q.marked[i] ? 1 : 0;
    }
  }
  ASSERT_EQ(wrong, 400U);
  EXPECT_EQ(at[0], 0U);
  for (std::size_t i = 1; i < kWidth; ++i) EXPECT_NEAR(static_cast<double>(at[i]), 400.0 / 7, 25) << "place " << i;
}

bool same(const std::vector<Question>& a, const std::vector<Question>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Question& x, const Question& y) {
    return x.window.start == y.window.start && x.marked == y.marked && x.truth == y.truth;
  });
}

TEST(Questions, DependOnSeedHookpointAndLatentAlone) {
  LatentExamples e = examples_of(7, 20);
  QuestionOptions other_seed;
  other_seed.seed = 2;
  for (const Scorer scorer : {Scorer::detection, Scorer::fuzz}) {
    const std::vector<Question> first = make_questions(scorer, "layers.2", e, {});
    EXPECT_TRUE(same(first, make_questions(scorer, "layers.2", e, {})));
    EXPECT_FALSE(same(first, make_questions(scorer, "layers.1", e, {})));
    EXPECT_FALSE(same(first, make_questions(scorer, "layers.2", e, other_seed)));
    LatentExamples other = e;
    other.latent = LatentId{6};
    EXPECT_FALSE(same(first, make_questions(scorer, "layers.2", other, {})));
  }
}

TEST(Questions, ComeInAMixedOrder) {
  const std::vector<Question> questions = make_questions(Scorer::detection, "layers.2", examples_of(7, 50), {});
  std::size_t changes = 0;
  for (std::size_t i = 1; i < questions.size(); ++i) changes += questions[i].truth != questions[i - 1].truth ? 1 : 0;
  EXPECT_GT(changes, 30U);
}

TEST(ParseScorer, KnowsItsNamesAndSuggestsTheNearest) {
  EXPECT_EQ(parse_scorer("detection"), Scorer::detection);
  EXPECT_EQ(parse_scorer("fuzz"), Scorer::fuzz);
  EXPECT_EQ(name_of(Scorer::fuzz), "fuzz");
  try {
    parse_scorer("detektion");
    FAIL() << "accepted an unknown scorer";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::usage);
    EXPECT_THAT(e.what(), testing::AllOf(testing::HasSubstr("detektion"), testing::HasSubstr("detection"),
                                         testing::HasSubstr("fuzz")));
  }
}

}  // namespace
}  // namespace gloss::score
