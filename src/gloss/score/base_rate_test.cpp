#include "gloss/score/base_rate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

#include "gloss/base/random.h"

namespace gloss::score {
namespace {

using examples::WindowKind;

void add(std::vector<Judgement>& all, std::size_t count, std::uint8_t quantile, Verdict verdict, float p = -1.0F) {
  for (std::size_t i = 0; i < count; ++i) {
    Judgement j;
    j.start = static_cast<std::uint32_t>(all.size());
    j.kind = quantile == 0 ? WindowKind::silent_random : WindowKind::activating;
    j.quantile = quantile;
    j.truth = quantile > 0;
    j.verdict = verdict;
    j.probability = p;
    all.push_back(j);
  }
}

TEST(Strata, HoldAllWindowsAsTheRanksFall) {
  // docs/methods.md 2: n = 25, Q = 10: 3 2 3 2 3 2 3 2 3 2 from the strongest.
  EXPECT_EQ(strata_of(25, 7, 10).activating, (std::vector<std::uint64_t>{2, 3, 2, 3, 2, 3, 2, 3, 2, 3}));
  EXPECT_EQ(strata_of(25, 7, 10).silent, 7U);
  for (std::uint64_t n = 0; n < 80; ++n) {
    for (std::uint32_t q = 1; q <= 12; ++q) {
      std::vector<std::uint64_t> counted(q, 0);
      for (std::uint64_t r = 0; r < n; ++r) ++counted[q - r * q / n - 1];
      EXPECT_EQ(strata_of(n, 0, q).activating, counted) << n << " windows, " << q << " quantiles";
    }
  }
}

TEST(BaseRate, GivesTheExampleOfTheMethods) {
  // Fires in 1 % of windows, recall .9, specificity .8: precision .009 / (.009 + .198) = 0.0435.
  std::vector<Judgement> all;
  add(all, 9, 1, Verdict::yes);
  add(all, 1, 1, Verdict::no);
  add(all, 8, 0, Verdict::no);
  add(all, 2, 0, Verdict::yes);
  const BaseRateScore score = at_base_rate(all, {{100}, 9900});
  EXPECT_NEAR(score.precision, 0.009 / (0.009 + 0.198), 1e-12);
  EXPECT_NEAR(score.recall, 0.9, 1e-12);
  EXPECT_NEAR(score.iou, 0.009 / (0.009 + 0.198 + 0.001), 1e-12);
  EXPECT_NEAR(score.f1, 2 * 0.009 / (2 * 0.009 + 0.198 + 0.001), 1e-12);
  EXPECT_TRUE(std::isnan(score.auprc)) << "no probabilities";
}

TEST(BaseRate, AStratumNobodyJudgedMakesItUnknown) {
  std::vector<Judgement> all;
  add(all, 3, 2, Verdict::yes);
  add(all, 3, 0, Verdict::no);
  add(all, 3, 1, Verdict::failed);
  EXPECT_TRUE(std::isnan(at_base_rate(all, {{5, 5}, 90}).recall)) << "the weakest half failed";
  EXPECT_EQ(at_base_rate(all, {{0, 5}, 90}).recall, 1.0) << "an empty stratum asks for nothing";
  EXPECT_TRUE(std::isnan(at_base_rate({}, {{5, 5}, 90}).recall));
}

TEST(BaseRate, OfWholeTextIsThePlainScore) {
  // Every window judged: weights are 1, so the plain confusion table and ranking must come out.
  Random random(3);
  for (int round = 0; round < 50; ++round) {
    std::vector<Judgement> all;
    Strata strata{{0, 0, 0}, 0};
    for (int i = 0; i < 60; ++i) {
      const auto quantile = static_cast<std::uint8_t>(random.below(4));
      const auto p = static_cast<float>(random.below(8)) / 8;
      add(all, 1, quantile, p >= 0.5F ? Verdict::yes : Verdict::no, p);
      ++(quantile == 0 ? strata.silent : strata.activating[quantile - 1U]);
    }
    double tp = 0, fp = 0, fn = 0;
    for (const Judgement& j : all) {
      tp += j.truth && j.verdict == Verdict::yes ? 1 : 0;
      fp += !j.truth && j.verdict == Verdict::yes ? 1 : 0;
      fn += j.truth && j.verdict == Verdict::no ? 1 : 0;
    }
    const BaseRateScore score = at_base_rate(all, strata);
    EXPECT_NEAR(score.precision, tp / (tp + fp), 1e-12);
    EXPECT_NEAR(score.recall, tp / (tp + fn), 1e-12);
    EXPECT_NEAR(score.iou, tp / (tp + fp + fn), 1e-12);
    // Average precision by its definition, threshold by threshold.
    double area = 0, before = 0;
    for (int level = 8; level >= 0; --level) {
      double right = 0, taken = 0, positives = 0;
      for (const Judgement& j : all) {
        positives += j.truth ? 1 : 0;
        if (j.probability < static_cast<float>(level) / 8) continue;
        taken += 1;
        right += j.truth ? 1 : 0;
      }
      if (taken > 0) area += (right / positives - before) * right / taken;
      before = right / positives;
    }
    EXPECT_NEAR(score.auprc, area, 1e-12);
  }
}

}  // namespace
}  // namespace gloss::score
