#include "gloss/llm/pace.h"

#include <gtest/gtest.h>

#include <set>

namespace gloss::llm {
namespace {

using std::chrono::milliseconds;

TEST(Pace, HalvesOnceForAllThatWereSentBeforeAndGrowsByOneARound) {
  const Pace::Time start{milliseconds(1000)};
  Pace pace(64);
  EXPECT_EQ(pace.limit(), 64U);
  pace.busy(start, start + milliseconds(10));
  pace.busy(start + milliseconds(5), start + milliseconds(11));  // sent before the cut: the same complaint
  EXPECT_EQ(pace.limit(), 32U);
  EXPECT_EQ(pace.cuts(), 1U);
  pace.busy(start + milliseconds(20), start + milliseconds(30));
  EXPECT_EQ(pace.limit(), 16U);
  for (int i = 0; i < 17; ++i) pace.answered();
  EXPECT_EQ(pace.limit(), 17U);
  for (int i = 0; i < 10'000; ++i) pace.answered();
  EXPECT_EQ(pace.limit(), 64U);
  for (int i = 1; i < 20; ++i) pace.busy(start + milliseconds(100 * i), start + milliseconds(100 * i + 50));
  EXPECT_EQ(pace.limit(), 1U);
}

TEST(Backoff, IsUniformUpToADoublingBoundAndDependsOnItsArgumentsAlone) {
  for (std::uint32_t tries = 1; tries <= 5; ++tries) {
    const milliseconds bound(100 << (tries - 1));
    milliseconds sum{0};
    std::set<std::int64_t> different;
    for (int i = 0; i < 1000; ++i) {
      const milliseconds pause = backoff(7, std::to_string(i), tries, 100);
      EXPECT_EQ(pause, backoff(7, std::to_string(i), tries, 100));
      EXPECT_GE(pause.count(), 0);
      EXPECT_LT(pause, bound);
      sum += pause;
      different.insert(pause.count());
    }
    EXPECT_NEAR(static_cast<double>(sum.count()) / 1000, static_cast<double>(bound.count()) / 2,
                0.05 * static_cast<double>(bound.count()));
    EXPECT_GT(different.size(), 50U);
  }
  EXPECT_NE(backoff(7, "x", 3, 1000), backoff(8, "x", 3, 1000));
  EXPECT_LE(backoff(1, "x", 90, 60'000), milliseconds(60'000));
}

}  // namespace
}  // namespace gloss::llm
