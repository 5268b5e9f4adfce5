#include "gloss/score/baselines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>

#include "gloss/base/random.h"

namespace gloss::score {
namespace {

struct Latents {
  std::vector<LatentId> id;
  std::vector<double> density;
};

Latents latents_of(std::size_t n) {
  Latents all;
  Random random(n);
  for (std::size_t i = 0; i < n; ++i) {
    all.id.push_back(LatentId{static_cast<std::uint32_t>(10 * i)});
    all.density.push_back(random.uniform());
  }
  return all;
}

TEST(Derange, IsAPermutationInWhichNobodyKeepsHisOwn) {
  for (std::size_t n = 2; n < 120; ++n) {
    const Latents all = latents_of(n);
    std::vector<std::size_t> from = derange(1, "layers.2", all.id, all.density);
    ASSERT_EQ(from.size(), n);
    for (std::size_t i = 0; i < n; ++i) EXPECT_NE(from[i], i) << n;
    std::sort(from.begin(), from.end());
    for (std::size_t i = 0; i < n; ++i) ASSERT_EQ(from[i], i) << n;
  }
}

TEST(Derange, TradesAmongLatentsOfTheSameTenthByDensity) {
  const Latents all = latents_of(300);
  const std::vector<std::size_t> from = derange(1, "layers.2", all.id, all.density);
  std::vector<double> sorted = all.density;
  std::sort(sorted.begin(), sorted.end());
  const auto tenth = [&](std::size_t i) {
    return (std::lower_bound(sorted.begin(), sorted.end(), all.density[i]) - sorted.begin()) / 30;
  };
  for (std::size_t i = 0; i < from.size(); ++i) EXPECT_EQ(tenth(i), tenth(from[i]));
}

TEST(Derange, DoesNotDependOnTheOrderOfTheLatents) {
  const Latents all = latents_of(57);
  const std::vector<std::size_t> from = derange(3, "layers.2", all.id, all.density);
  Latents reversed = all;
  std::reverse(reversed.id.begin(), reversed.id.end());
  std::reverse(reversed.density.begin(), reversed.density.end());
  const std::vector<std::size_t> other = derange(3, "layers.2", reversed.id, reversed.density);
  for (std::size_t i = 0; i < from.size(); ++i) EXPECT_EQ(all.id[from[i]], reversed.id[other[56 - i]]);
}

TEST(Derange, DependsOnSeedAndHookpoint) {
  const Latents all = latents_of(100);
  EXPECT_NE(derange(1, "layers.2", all.id, all.density), derange(2, "layers.2", all.id, all.density));
  EXPECT_NE(derange(1, "layers.2", all.id, all.density), derange(1, "layers.3", all.id, all.density));
}

TEST(Derange, OfFewerThanTwoDoesNotExist) {
  EXPECT_TRUE(derange(1, "h", {}, {}).empty());
  const Latents one = latents_of(1);
  EXPECT_TRUE(derange(1, "h", one.id, one.density).empty());
}

TEST(ShuffleExplanations, MovesWholeExplanationsAndLeavesFailedOnesOut) {
  std::vector<explain::Explanation> explanations;
  std::vector<double> densities;
  for (std::uint32_t i = 0; i < 30; ++i) {
    explain::Explanation e;
    e.latent = LatentId{i};
    if (i % 5 == 0) {
      e.failure = "too rare";
    } else {
      e.text = "text " + std::to_string(i);
      e.program = "program " + std::to_string(i);
    }
    explanations.push_back(e);
    densities.push_back(1.0 / (1 + i));
  }
  const std::vector<explain::Explanation> moved = shuffle_explanations(1, "layers.2", explanations, densities);
  ASSERT_EQ(moved.size(), 24U);
  for (const explain::Explanation& e : moved) {
    EXPECT_TRUE(e.ok());
    EXPECT_NE(to_index(e.latent) % 5, 0U);
    const std::string number = e.text.substr(5);
    EXPECT_EQ(e.program, "program " + number);
    EXPECT_NE(number, std::to_string(to_index(e.latent)));
  }
}

TEST(ShuffledName, IsRecognised) {
  EXPECT_EQ(shuffled_name("pattern"), "shuffled:pattern");
  EXPECT_TRUE(is_shuffled_name("shuffled:pattern"));
  EXPECT_FALSE(is_shuffled_name("pattern"));
}

}  // namespace
}  // namespace gloss::score
