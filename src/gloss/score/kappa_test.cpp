#include "gloss/score/kappa.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace gloss::score {
namespace {

TEST(Kappa, IsThatOfATextbookTable) {
  // 50 windows: 20 both yes, 5 and 10 one alone, 15 both no: p_o = 0.7, p_e = 0.5 * 0.6 + 0.5 * 0.4 = 0.5.
  const std::vector<YesNo> one = {{20, 5, 10, 15}};
  EXPECT_DOUBLE_EQ(kappa(one, 1).value, 0.4);
  EXPECT_TRUE(std::isnan(kappa(one, 1).low)) << "one latent has no interval";
  const std::vector<YesNo> parts = {{10, 5, 0, 5}, {10, 0, 10, 10}};
  EXPECT_DOUBLE_EQ(kappa(parts, 1).value, 0.4);
}

TEST(Kappa, IsOneWhenAlwaysTheSameAndMinusOneWhenNever) {
  EXPECT_DOUBLE_EQ(kappa(std::vector<YesNo>{{5, 0, 0, 5}}, 1).value, 1.0);
  EXPECT_DOUBLE_EQ(kappa(std::vector<YesNo>{{0, 5, 5, 0}}, 1).value, -1.0);
  EXPECT_TRUE(std::isnan(kappa(std::vector<YesNo>{{5, 0, 0, 0}}, 1).value)) << "chance alone gives as much";
  EXPECT_TRUE(std::isnan(kappa({}, 1).value));
}

TEST(Kappa, IntervalHoldsTheValueAndDependsOnTheSeedAlone) {
  std::vector<YesNo> latents;
  for (std::uint64_t i = 0; i < 30; ++i) latents.push_back({8, i % 3, i % 4, 6});
  const Interval k = kappa(latents, 1);
  EXPECT_LT(k.low, k.value);
  EXPECT_GT(k.high, k.value);
  EXPECT_GT(k.high - k.low, 0.01);
  EXPECT_EQ(kappa(latents, 1).low, k.low);
}

TEST(Kappa, WindowsAreMatchedAndFailedOnesLeftOut) {
  const auto judged = [](std::uint32_t start, Verdict verdict) {
    Judgement j;
    j.start = start;
    j.verdict = verdict;
    return j;
  };
  const std::vector<Judgement> a = {judged(0, Verdict::yes), judged(1, Verdict::yes), judged(2, Verdict::no),
                                    judged(3, Verdict::failed), judged(4, Verdict::no)};
  const std::vector<Judgement> b = {judged(4, Verdict::yes), judged(2, Verdict::no),  judged(1, Verdict::no),
                                    judged(0, Verdict::yes), judged(3, Verdict::yes), judged(9, Verdict::yes)};
  const YesNo table = match_verdicts(a, b);
  EXPECT_EQ(table.both_yes, 1U);
  EXPECT_EQ(table.only_a, 1U);
  EXPECT_EQ(table.only_b, 1U);
  EXPECT_EQ(table.both_no, 1U);
}

}  // namespace
}  // namespace gloss::score
