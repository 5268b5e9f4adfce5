#include "gloss/score/paired.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "gloss/base/random.h"

namespace gloss::score {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

Judgement judged(std::uint32_t start, bool truth, Verdict verdict, float p = -1.0F) {
  Judgement j;
  j.start = start;
  j.truth = truth;
  j.verdict = verdict;
  j.probability = p;
  return j;
}

TEST(MeanDifference, IsOfThePairsThatBothKnow) {
  const std::vector<double> a = {0.5, 0.6, kNaN, 0.7}, b = {0.6, 0.7, 0.9, kNaN};
  const Interval d = mean_difference(a, b, 1);
  EXPECT_NEAR(d.value, 0.1, 1e-12);
  EXPECT_NEAR(d.low, 0.1, 1e-12) << "both pairs differ by the same";
  EXPECT_TRUE(std::isnan(mean_difference(a, std::vector<double>(4, kNaN), 1).value));
  EXPECT_TRUE(std::isnan(mean_difference(std::vector<double>{1.0}, std::vector<double>{2.0}, 1).low));
}

TEST(MeanDifference, CoversTheTruthAboutNineteenTimesInTwenty) {
  Random random(11);
  int covered = 0;
  constexpr int kRounds = 200;
  for (int round = 0; round < kRounds; ++round) {
    std::vector<double> a(60), b(60);
    for (std::size_t i = 0; i < a.size(); ++i) {
      a[i] = random.normal();
      b[i] = a[i] + 0.3 + random.normal();
    }
    const Interval d = mean_difference(a, b, static_cast<std::uint64_t>(round));
    covered += d.low <= 0.3 && 0.3 <= d.high ? 1 : 0;
  }
  EXPECT_GE(covered, 178);  // 190 expected, deviation 3.1
}

TEST(Match, TakesOnlyWindowsThatBothAnswered) {
  const std::vector<Judgement> a = {judged(0, true, Verdict::yes),    judged(1, true, Verdict::no),
                                    judged(2, false, Verdict::yes),   judged(3, false, Verdict::no),
                                    judged(4, true, Verdict::failed), judged(5, true, Verdict::yes)};
  const std::vector<Judgement> b = {judged(3, false, Verdict::yes), judged(2, false, Verdict::no),
                                    judged(1, true, Verdict::no),   judged(0, true, Verdict::yes),
                                    judged(4, true, Verdict::yes),  judged(6, true, Verdict::yes)};
  const Agreement m = match(a, b);
  EXPECT_EQ(m.both_right, 1U);
  EXPECT_EQ(m.only_a, 1U);
  EXPECT_EQ(m.only_b, 1U);
  EXPECT_EQ(m.both_wrong, 1U);
  EXPECT_EQ(m.windows(), 4U);
}

TEST(McNemar, IsTheExactBinomialTest) {
  EXPECT_EQ(mcnemar(0, 0), 1.0);
  EXPECT_EQ(mcnemar(4, 4), 1.0);
  EXPECT_NEAR(mcnemar(0, 5), 0.0625, 1e-12);  // 2 / 2^5
  EXPECT_NEAR(mcnemar(5, 0), 0.0625, 1e-12);
  EXPECT_NEAR(mcnemar(1, 9), 2 * 11.0 / 1024, 1e-12);  // 2 (1 + 10) / 2^10
  EXPECT_LT(mcnemar(400, 600), 1e-9);
  EXPECT_GT(mcnemar(400, 600), 0.0);
}

TEST(Pearson, GivesTheExampleOfTheMethods) {
  const std::vector<double> truth = {0, 0, 8, 2, 0}, predicted = {0, 1, 6, 3, 0};
  EXPECT_NEAR(pearson(truth, predicted, 1).value, 0.9624, 5e-5);
}

TEST(Pearson, IsUndefinedForConstantsAndTwoPoints) {
  EXPECT_TRUE(std::isnan(pearson(std::vector<double>{1, 2}, std::vector<double>{1, 2}, 1).value));
  EXPECT_TRUE(std::isnan(pearson(std::vector<double>{1, 1, 1}, std::vector<double>{1, 2, 3}, 1).value));
  EXPECT_TRUE(std::isnan(pearson(std::vector<double>{0.1, 0.1, 0.1, 0.1}, std::vector<double>{1, 2, 3, 4}, 1).value));
}

TEST(Spearman, SeesOnlyTheOrder) {
  const std::vector<double> a = {1, 2, 3, 4, 5}, b = {1, 10, 100, 1000, 10000}, tied = {1, 1, 2, 3, 3};
  EXPECT_NEAR(spearman(a, b, 1).value, 1.0, 1e-12);
  // Mid-ranks 1.5 1.5 3 4.5 4.5 against 1..5: sum of products 9 over sqrt(10 * 9).
  EXPECT_NEAR(spearman(a, tied, 1).value, 9.0 / std::sqrt(10.0 * 9.0), 1e-12);
}

TEST(Correlation, IntervalsCoverTheTruth) {
  Random random(5);
  int covered = 0;
  for (int round = 0; round < 100; ++round) {
    std::vector<double> a(100), b(100);
    for (std::size_t i = 0; i < a.size(); ++i) {
      a[i] = random.normal();
      b[i] = 0.6 * a[i] + 0.8 * random.normal();  // correlation 0.6
    }
    const Interval r = pearson(a, b, static_cast<std::uint64_t>(round));
    covered += r.low <= 0.6 && 0.6 <= r.high ? 1 : 0;
  }
  EXPECT_GE(covered, 86);  // 95 expected, deviation 2.2
}

TEST(Calibration, CountsErrorsByTenths) {
  std::vector<Judgement> all;
  for (std::uint32_t i = 0; i < 10; ++i) all.push_back(judged(i, i < 8, Verdict::yes, 0.75F));  // 80 % of .75
  all.push_back(judged(20, false, Verdict::no, 0.0F));
  all.push_back(judged(21, true, Verdict::yes, 1.0F));
  all.push_back(judged(22, true, Verdict::failed, 0.9F));
  all.push_back(judged(23, true, Verdict::yes));
  const Calibration c = calibrate(all);
  EXPECT_EQ(c.judgements, 12U);
  EXPECT_EQ(c.bins[7].count, 10U);
  EXPECT_NEAR(c.bins[7].mean_probability, 0.75, 1e-6);
  EXPECT_NEAR(c.bins[7].positive.value, 0.8, 1e-12);
  EXPECT_EQ(c.bins[9].count, 1U) << "1 belongs to the last tenth";
  EXPECT_NEAR(c.expected_error, 10.0 / 12 * 0.05, 1e-6);
  EXPECT_NEAR(c.brier, (8 * 0.0625 + 2 * 0.5625) / 12, 1e-6);
  EXPECT_TRUE(std::isnan(calibrate(std::span<const Judgement>{}).brier));
}

TEST(AucInterval, IsThatOfDeLong) {
  // docs/methods.md 7: p+ = .9 .8 .4, p- = .7 .4 .1. Placements of the positives 1, 1, 1/2 and of the negatives
  // 1/3, 1/6, 0 (shares of positives below): variances 1/12 and 1/36.
  std::vector<Judgement> all;
  for (const float p : {0.9F, 0.8F, 0.4F})
    all.push_back(judged(static_cast<std::uint32_t>(all.size()), true, Verdict::yes, p));
  for (const float p : {0.7F, 0.4F, 0.1F})
    all.push_back(judged(static_cast<std::uint32_t>(all.size()), false, Verdict::no, p));
  const Interval area = auc_interval(all);
  EXPECT_NEAR(area.value, 7.5 / 9, 1e-9);
  const double deviation = std::sqrt((1.0 / 12 + 1.0 / 36) / 3);
  EXPECT_NEAR(area.low, 7.5 / 9 - 1.959963984540054 * deviation, 1e-9);
  EXPECT_EQ(area.high, 1.0);
}

TEST(AucInterval, CoversTheTruth) {
  Random random(7);
  int covered = 0;
  const double truth = 0.5 * std::erfc(-1.0 / 2.0);  // two normals one apart: Phi(1 / sqrt 2)
  for (int round = 0; round < 300; ++round) {
    std::vector<Judgement> all;
    for (std::uint32_t i = 0; i < 80; ++i) {
      const double score = random.normal() + (i % 2 == 0 ? 1.0 : 0.0);
      all.push_back(judged(i, i % 2 == 0, Verdict::yes, static_cast<float>(1 / (1 + std::exp(-score)))));
    }
    const Interval area = auc_interval(all);
    covered += area.low <= truth && truth <= area.high ? 1 : 0;
  }
  EXPECT_GE(covered, 269);  // 285 expected, deviation 3.8; DeLong's is a little too narrow at this size
}

}  // namespace
}  // namespace gloss::score
