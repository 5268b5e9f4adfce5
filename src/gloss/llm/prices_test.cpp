#include "gloss/llm/prices.h"

#include <gtest/gtest.h>

#include "gloss/base/error.h"

namespace gloss::llm {
namespace {

TEST(Prices, CountPlainCachedKeptAndWrittenTokensApart) {
  Prices prices;
  prices.input = 3.0;
  prices.cached_input = 0.3;
  prices.kept_input = 3.75;
  prices.output = 15.0;
  // 1000 of the prompt: 600 cached, 100 kept, 300 plain.
  EXPECT_NEAR(dollars(prices, {1000, 600, 100, 50}), (300 * 3.0 + 600 * 0.3 + 100 * 3.75 + 50 * 15.0) / 1e6, 1e-12);
  prices.kept_input = 0.0;
  EXPECT_NEAR(dollars(prices, {1000, 0, 1000, 0}), 1000 * 3.0 / 1e6, 1e-12);
}

TEST(Prices, AreReadAsTwoOrThreeNumbers) {
  const Prices three = parse_prices("0.15,0.075,0.6");
  EXPECT_EQ(three.input, 0.15);
  EXPECT_EQ(three.cached_input, 0.075);
  EXPECT_EQ(three.output, 0.6);
  EXPECT_TRUE(three.known());
  EXPECT_EQ(parse_prices("3,15").cached_input, 3.0);
  EXPECT_FALSE(parse_prices("0,0").known());
  for (const char* bad : {"", "1", "1,2,3,4", "a,b", "1,-2", "1,2x", "1,,2", "nan,1", "1,inf"})
    EXPECT_THROW(parse_prices(bad), Error) << bad;
}

}  // namespace
}  // namespace gloss::llm
