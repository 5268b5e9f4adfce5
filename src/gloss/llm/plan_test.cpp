#include "gloss/llm/plan.h"

#include <gtest/gtest.h>

#include <vector>

namespace gloss::llm {
namespace {

/// The table of the paper whose method this is: tokens of a request, and dollars of a million features at two prices.
/// Source: docs/providers.md, "Before anything is sent".
TEST(Plan, GivesTheKnownTableFromItsInputs) {
  struct Row {
    LatentCost each;
    double cheap, dear;
  };
  const Row rows[] = {{{1, 397.0, 566.45, 29.90}, 162, 3339},
                      {{1, 725.0, 53.13, 11.99}, 124, 2514},
                      {{1, 0.0, 24074.85, 1598.1}, 4570, 96196}};
  for (const Row& row : rows) {
    const std::vector<LatentCost> sample(50, row.each);
    EXPECT_NEAR(extrapolate(sample, 1'000'000, parse_prices("0.15,0.6")).full.value, row.cheap, 0.5);
    EXPECT_NEAR(extrapolate(sample, 1'000'000, parse_prices("3,15")).full.value, row.dear, 0.5);
  }
}

TEST(Plan, CachedTokensHaveTheirPrice) {
  const std::vector<LatentCost> sample = {{2, 1000, 100, 10}};
  const Plan plan = extrapolate(sample, 500, parse_prices("2,1,4"));
  EXPECT_DOUBLE_EQ(plan.sum.calls, 1000);
  EXPECT_DOUBLE_EQ(plan.full.value, 500 * (1100 * 2 + 10 * 4) / 1e6);
  EXPECT_DOUBLE_EQ(plan.cached.value, 500 * (1000 * 1 + 100 * 2 + 10 * 4) / 1e6);
}

TEST(Plan, TheIntervalIsThatOfASampleWithoutReplacement) {
  const std::vector<LatentCost> sample = {{1, 0, 100, 0}, {1, 0, 300, 0}};  // mean 200, variance 20000
  const Prices prices = parse_prices("1000000,0");                          // a dollar a token
  const Plan plan = extrapolate(sample, 10, prices);
  EXPECT_DOUBLE_EQ(plan.full.value, 2000);
  const double error = 10 * 1.959964 * 100 * 0.894427191;  // sqrt(20000 / 2) = 100; sqrt(1 - 2 / 10)
  EXPECT_NEAR(plan.full.low, 2000 - error, 1e-3);
  EXPECT_NEAR(plan.full.high, 2000 + error, 1e-3);
  EXPECT_DOUBLE_EQ(extrapolate(sample, 2, prices).full.low, 400) << "all were seen";
  EXPECT_DOUBLE_EQ(extrapolate({}, 10, prices).full.value, 0);
}

}  // namespace
}  // namespace gloss::llm
