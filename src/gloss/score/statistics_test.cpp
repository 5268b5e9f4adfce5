#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "gloss/base/random.h"
#include "gloss/score/judgement.h"

namespace gloss::score {
namespace {

using testing::DoubleNear;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

std::vector<Judgement> judgements_of(std::size_t tp, std::size_t fn, std::size_t tn, std::size_t fp,
                                     std::size_t failed = 0) {
  std::vector<Judgement> all;
  const auto add = [&](std::size_t count, bool truth, Verdict verdict) {
    for (std::size_t i = 0; i < count; ++i) {
      Judgement j;
      j.start = static_cast<std::uint32_t>(32 * all.size());
      j.truth = truth;
      j.verdict = verdict;
      j.quantile = truth ? static_cast<std::uint8_t>(1 + i % 10) : std::uint8_t{0};
      all.push_back(j);
    }
  };
  add(tp, true, Verdict::yes);
  add(fn, true, Verdict::no);
  add(tn, false, Verdict::no);
  add(fp, false, Verdict::yes);
  add(failed, true, Verdict::failed);
  return all;
}

void expect_interval(const Interval& got, double value, double low, double high, double tolerance = 5e-4) {
  EXPECT_NEAR(got.value, value, tolerance);
  EXPECT_NEAR(got.low, low, tolerance);
  EXPECT_NEAR(got.high, high, tolerance);
}

TEST(Wilson, AgreesWithTheExamplesOfTheMethods) {
  expect_interval(wilson(45, 50), 0.9, 0.786, 0.957);
  expect_interval(wilson(16, 20), 0.8, 0.584, 0.919);
  expect_interval(wilson(0, 20), 0.0, 0.0, 0.161);
}

TEST(Wilson, OfNothingIsNotANumber) {
  EXPECT_TRUE(std::isnan(wilson(0, 0).value));
  EXPECT_TRUE(std::isnan(wilson(0, 0).low));
  EXPECT_TRUE(std::isnan(wilson(0, 0).high));
}

TEST(Wilson, IsSymmetricOrderedAndInsideZeroToOne) {
  for (std::uint64_t n = 1; n <= 60; ++n) {
    for (std::uint64_t hits = 0; hits <= n; ++hits) {
      const Interval a = wilson(hits, n);
      const Interval b = wilson(n - hits, n);
      EXPECT_GE(a.low, 0.0);
      EXPECT_LE(a.low, a.value);
      EXPECT_LE(a.value, a.high);
      EXPECT_LE(a.high, 1.0);
      EXPECT_NEAR(a.low, 1 - b.high, 1e-12);
    }
  }
}

TEST(Wilson, SolvesItsDefiningEquation) {
  // The bounds are the p at which the observed rate is 1.96 standard errors away.
  for (const auto& [hits, n] : {std::pair{3U, 11U}, {45U, 50U}, {1U, 7U}}) {
    const Interval i = wilson(hits, n);
    for (const double p : {i.low, i.high}) {
      EXPECT_NEAR(std::abs(i.value - p) / std::sqrt(p * (1 - p) / n), 1.959963984540054, 1e-9);
    }
  }
}

TEST(Summarize, AgreesWithTheExampleOfTheMethods) {
  const LatentScore s = summarize(LatentId{7}, judgements_of(45, 5, 16, 4), 10);
  EXPECT_EQ(s.latent, LatentId{7});
  EXPECT_EQ(s.tp, 45U);
  EXPECT_EQ(s.fn, 5U);
  EXPECT_EQ(s.tn, 16U);
  EXPECT_EQ(s.fp, 4U);
  expect_interval(s.recall, 0.9, 0.786, 0.957);
  expect_interval(s.specificity, 0.8, 0.584, 0.919);
  expect_interval(s.balanced_accuracy, 0.85, 0.728, 0.916);
  EXPECT_NEAR(s.precision.value, 45.0 / 49.0, 1e-12);
  EXPECT_NEAR(s.f1, 0.909, 5e-4);
}

TEST(Summarize, CountsFailuresApartAndLeavesThemOutOfTheRates) {
  const LatentScore s = summarize(LatentId{0}, judgements_of(8, 2, 9, 1, 30), 10);
  EXPECT_EQ(s.failed, 30U);
  EXPECT_DOUBLE_EQ(s.recall.value, 0.8);
  EXPECT_DOUBLE_EQ(s.specificity.value, 0.9);
  EXPECT_DOUBLE_EQ(s.balanced_accuracy.value, 0.85);
}

TEST(Summarize, GivesNoNumberWithoutADenominator) {
  const LatentScore no_negatives = summarize(LatentId{0}, judgements_of(8, 2, 0, 0), 10);
  EXPECT_DOUBLE_EQ(no_negatives.recall.value, 0.8);
  EXPECT_TRUE(std::isnan(no_negatives.specificity.value));
  EXPECT_TRUE(std::isnan(no_negatives.balanced_accuracy.value));
  EXPECT_TRUE(std::isnan(no_negatives.balanced_accuracy.low));
  const LatentScore never_yes = summarize(LatentId{0}, judgements_of(0, 5, 5, 0), 10);
  EXPECT_TRUE(std::isnan(never_yes.precision.value));
  EXPECT_DOUBLE_EQ(never_yes.f1, 0.0);
  const LatentScore nothing = summarize(LatentId{0}, {}, 10);
  EXPECT_TRUE(std::isnan(nothing.f1));
  EXPECT_TRUE(std::isnan(nothing.auc));
  EXPECT_EQ(nothing.per_quantile.size(), 10U);
  EXPECT_TRUE(std::isnan(nothing.per_quantile[3].value));
}

TEST(Summarize, GivesAccuracyPerQuantileOfWindowsWhoseAnswerIsYes) {
  std::vector<Judgement> all;
  const auto add = [&](std::uint8_t quantile, bool truth, Verdict verdict) {
    Judgement j;
    j.quantile = quantile;
    j.truth = truth;
    j.verdict = verdict;
    all.push_back(j);
  };
  add(1, true, Verdict::no);
  add(1, true, Verdict::yes);
  add(1, false, Verdict::yes);  // wrongly marked: not part of it
  add(3, true, Verdict::yes);
  add(3, true, Verdict::failed);
  add(9, true, Verdict::yes);  // no such quantile
  const LatentScore s = summarize(LatentId{0}, all, 3);
  ASSERT_EQ(s.per_quantile.size(), 3U);
  EXPECT_DOUBLE_EQ(s.per_quantile[0].value, 0.5);
  EXPECT_TRUE(std::isnan(s.per_quantile[1].value));
  EXPECT_DOUBLE_EQ(s.per_quantile[2].value, 1.0);
  EXPECT_EQ(s.tp, 3U);
}

std::vector<Judgement> with_probabilities(const std::vector<float>& positive, const std::vector<float>& negative) {
  std::vector<Judgement> all;
  for (const bool truth : {true, false}) {
    for (const float p : truth ? positive : negative) {
      Judgement j;
      j.truth = truth;
      j.verdict = p > 0.5F ? Verdict::yes : Verdict::no;
      j.probability = p;
      all.push_back(j);
    }
  }
  return all;
}

TEST(Auc, AgreesWithTheExampleOfTheMethods) {
  EXPECT_NEAR(auc(with_probabilities({.9F, .8F, .4F}, {.7F, .4F, .1F})), 7.5 / 9, 1e-12);
}

TEST(Auc, AgreesWithComparingEveryPair) {
  Random random(3);
  for (int round = 0; round < 50; ++round) {
    std::vector<float> sides[2];
    for (auto& side : sides) {
      side.resize(1 + random.below(12));
      for (float& p : side) p = static_cast<float>(random.below(6)) / 5.0F;  // few values: many ties
    }
    double wins = 0;
    for (const float p : sides[0]) {
      for (const float n : sides[1]) wins += p > n ? 1.0 : p == n ? 0.5 : 0.0;
    }
    EXPECT_NEAR(auc(with_probabilities(sides[0], sides[1])),
                wins / static_cast<double>(sides[0].size() * sides[1].size()), 1e-12);
  }
}

TEST(Auc, IsUndefinedWithoutProbabilitiesOrWithOneSide) {
  EXPECT_TRUE(std::isnan(auc(judgements_of(3, 3, 3, 3))));
  EXPECT_TRUE(std::isnan(auc(with_probabilities({.5F}, {}))));
}

TEST(MeanOverLatents, LeavesOutWhatIsNotANumber) {
  const std::vector<double> values{0.5, kNaN, 0.7, kNaN};
  EXPECT_DOUBLE_EQ(mean_over_latents(values, 1).value, 0.6);
}

TEST(MeanOverLatents, OfNoneIsUndefinedAndOfOneHasNoInterval) {
  EXPECT_TRUE(std::isnan(mean_over_latents({}, 1).value));
  const std::vector<double> one{0.25};
  const Interval i = mean_over_latents(one, 1);
  EXPECT_DOUBLE_EQ(i.value, 0.25);
  EXPECT_TRUE(std::isnan(i.low));
  EXPECT_TRUE(std::isnan(i.high));
}

TEST(MeanOverLatents, DependsOnTheSeedAloneAndOnItOnlySlightly) {
  Random random(5);
  std::vector<double> values(301);
  for (double& v : values) v = random.uniform();
  const Interval a = mean_over_latents(values, 1);
  const Interval b = mean_over_latents(values, 1);
  const Interval c = mean_over_latents(values, 2);
  EXPECT_EQ(a.low, b.low);
  EXPECT_EQ(a.high, b.high);
  EXPECT_NE(a.low, c.low);
  EXPECT_NEAR(a.low, c.low, 0.01);
}

TEST(MeanOverLatents, HasTheWidthOfTheNormalIntervalForManyValues) {
  Random random(6);
  for (const std::size_t n : {1000U, 4999U, 5001U}) {
    std::vector<double> values(n);
    for (double& v : values) v = random.normal();
    double squares = 0;
    const Interval i = mean_over_latents(values, 1);
    for (const double v : values) squares += (v - i.value) * (v - i.value);
    const double half = 1.959964 * std::sqrt(squares / static_cast<double>((n - 1) * n));
    EXPECT_NEAR(i.value - i.low, half, 0.08 * half) << n;
    EXPECT_NEAR(i.high - i.value, half, 0.08 * half) << n;
  }
}

TEST(MeanOverLatents, CoversTheTrueMeanNineteenTimesInTwenty) {
  Random random(7);
  int covered = 0;
  constexpr int kRounds = 400;
  for (int round = 0; round < kRounds; ++round) {
    std::vector<double> values(60);
    for (double& v : values) v = random.uniform() * random.uniform();  // skewed, mean 1/4
    const Interval i = mean_over_latents(values, static_cast<std::uint64_t>(round));
    covered += i.low <= 0.25 && 0.25 <= i.high ? 1 : 0;
  }
  // 95 % of 400 within three standard errors (1.1 % each), less 1 % for the small sample.
  EXPECT_GE(covered, static_cast<int>(kRounds * 0.907));
  EXPECT_LE(covered, static_cast<int>(kRounds * 0.985));
}

// A judge whose sensitivity and specificity are known, over simulated latents.
struct ScriptedJudge {
  double sensitivity, specificity;

  std::vector<Judgement> judge(Random& random, std::size_t positives, std::size_t negatives) const {
    std::vector<Judgement> all;
    for (std::size_t i = 0; i < positives + negatives; ++i) {
      Judgement j;
      j.truth = i < positives;
      const bool right = random.uniform() < (j.truth ? sensitivity : specificity);
      j.verdict = right == j.truth ? Verdict::yes : Verdict::no;
      all.push_back(j);
    }
    return all;
  }
};

TEST(ScriptedJudge, IsRecoveredWithinTheIntervalOfALatentNineteenTimesInTwenty) {
  Random random(11);
  for (const ScriptedJudge judge : {ScriptedJudge{0.9, 0.8}, {0.7, 0.95}, {0.5, 0.5}, {0.97, 0.6}}) {
    const double truth = (judge.sensitivity + judge.specificity) / 2;
    constexpr int kLatents = 1000;
    int covered = 0;
    for (int latent = 0; latent < kLatents; ++latent) {
      const LatentScore s = summarize(LatentId{0}, judge.judge(random, 50, 50), 10);
      covered += s.balanced_accuracy.low <= truth && truth <= s.balanced_accuracy.high ? 1 : 0;
    }
    // Three standard errors of the simulation are 2.1 %.
    EXPECT_NEAR(covered / double{kLatents}, 0.95, 0.021) << judge.sensitivity << " " << judge.specificity;
  }
}

TEST(ScriptedJudge, IsRecoveredByTheMeanOverLatents) {
  Random random(12);
  const ScriptedJudge judge{0.85, 0.7};
  int covered = 0;
  for (int run = 0; run < 200; ++run) {
    std::vector<double> values;
    for (int latent = 0; latent < 100; ++latent) {
      values.push_back(summarize(LatentId{0}, judge.judge(random, 50, 50), 10).balanced_accuracy.value);
    }
    const Interval i = mean_over_latents(values, static_cast<std::uint64_t>(run));
    covered += i.low <= 0.775 && 0.775 <= i.high ? 1 : 0;
  }
  EXPECT_NEAR(covered / 200.0, 0.95, 0.05);
}

TEST(ScriptedJudge, PerfectIsOneAndAlwaysYesIsAHalf) {
  Random random(13);
  EXPECT_DOUBLE_EQ(summarize(LatentId{0}, ScriptedJudge{1, 1}.judge(random, 50, 50), 10).balanced_accuracy.value, 1.0);
  EXPECT_DOUBLE_EQ(summarize(LatentId{0}, ScriptedJudge{1, 0}.judge(random, 50, 20), 10).balanced_accuracy.value, 0.5);
  EXPECT_DOUBLE_EQ(summarize(LatentId{0}, ScriptedJudge{0, 1}.judge(random, 50, 20), 10).balanced_accuracy.value, 0.5);
}

TEST(ScriptedJudge, ThatKnowsAnotherLatentsAnswersSitsAtAHalf) {
  // Verdicts of a perfect judge, handed to another latent whose truths are drawn independently.
  Random random(14);
  std::vector<double> values;
  for (int latent = 0; latent < 400; ++latent) {
    std::vector<Judgement> all = ScriptedJudge{1, 1}.judge(random, 50, 50);
    std::vector<Verdict> verdicts;
    for (const Judgement& j : all) verdicts.push_back(j.verdict);
    random.shuffle(std::span(verdicts));
    for (std::size_t i = 0; i < all.size(); ++i) all[i].verdict = verdicts[i];
    values.push_back(summarize(LatentId{0}, all, 10).balanced_accuracy.value);
  }
  const Interval i = mean_over_latents(values, 1);
  EXPECT_THAT(i.value, DoubleNear(0.5, 0.01));
}

}  // namespace
}  // namespace gloss::score
