#include "gloss/llm/token_choice.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace gloss::llm {
namespace {

TEST(TokenChoice, LogSumHoldsForLogitsOfAnySize) {
  EXPECT_NEAR(log_sum(std::vector<float>{0.0F, std::log(3.0F)}), std::log(4.0), 1e-7);
  EXPECT_NEAR(log_sum(std::vector<float>{1000.0F, 1000.0F}), 1000.0 + std::log(2.0), 1e-9);
  EXPECT_NEAR(log_sum(std::vector<float>{-1000.0F}), -1000.0, 1e-9);
}

TEST(TokenChoice, GreedyTakesTheFirstOfTheMostProbable) {
  Random random(1);
  EXPECT_EQ(choose_token(std::vector<float>{1.0F, 3.0F, 3.0F, 2.0F}, 0.0, random), TokenId{1});
  EXPECT_EQ(random.next_u64(), Random(1).next_u64()) << "nothing is drawn";
}

TEST(TokenChoice, DrawsWithTheProbabilitiesOfTheTemperature) {
  const std::vector<float> logits = {0.0F, 1.0F, 2.0F, -50.0F};
  for (const double temperature : {0.5, 1.0, 2.0}) {
    Random random(5);
    std::vector<double> found(logits.size()), wanted(logits.size());
    double total = 0.0;
    for (std::size_t i = 0; i < logits.size(); ++i) total += wanted[i] = std::exp(double{logits[i]} / temperature);
    constexpr int kDraws = 40'000;
    for (int i = 0; i < kDraws; ++i) found[to_index(choose_token(logits, temperature, random))] += 1.0 / kDraws;
    // Five standard deviations of a share of 1/2, the widest.
    for (std::size_t i = 0; i < logits.size(); ++i)
      EXPECT_NEAR(found[i], wanted[i] / total, 5.0 * std::sqrt(0.25 / kDraws)) << temperature << " " << i;
  }
}

}  // namespace
}  // namespace gloss::llm
