#include "gloss/sparse/logit_weights.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "gloss/base/random.h"
#include "gloss/sparse/logit_histograms.h"
#include "gloss/sparse/test_coder.h"

namespace gloss::sparse {
namespace {

struct Problem {
  std::size_t latents, tokens, width;
  std::vector<float> decoder, unembedding;

  double weight(std::size_t f, std::size_t v) const {
    double sum = 0.0;
    for (std::size_t d = 0; d < width; ++d) sum += double{decoder[f * width + d]} * double{unembedding[v * width + d]};
    return sum;
  }
};

Problem make(std::size_t latents, std::size_t tokens, std::size_t width, bool whole) {
  Random random = Random::for_purpose(latents + tokens, "logit weights test");
  Problem p{latents, tokens, width, std::vector<float>(latents * width), std::vector<float>(tokens * width)};
  for (std::vector<float>* values : {&p.decoder, &p.unembedding}) {
    for (float& v : *values)
      v = whole ? static_cast<float>(static_cast<int>(random.below(7)) - 3) : static_cast<float>(random.normal());
  }
  return p;
}

LogitWeights weigh(const Problem& p, LogitOptions options, const Kernels& with = kernels()) {
  SilentReporter reporter;
  return logit_weights(RowSource::of(p.decoder, p.width), RowSource::of(p.unembedding, p.width), options, reporter,
                       with);
}

/// Tokens by descending (sign 1) or ascending (sign -1) weight, ties to the lower one.
std::vector<std::uint32_t> order_of(const Problem& p, std::size_t f, double sign) {
  std::vector<std::uint32_t> order(p.tokens);
  std::iota(order.begin(), order.end(), 0U);
  std::vector<double> z(p.tokens);
  for (std::size_t v = 0; v < p.tokens; ++v) z[v] = sign * p.weight(f, v);
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return z[a] > z[b]; });
  return order;
}

void expect_moments(const Problem& p, std::size_t f, const LogitWeights& found, double tolerance) {
  double mean = 0.0;
  for (std::size_t v = 0; v < p.tokens; ++v) mean += p.weight(f, v) / static_cast<double>(p.tokens);
  double m[3]{};
  for (std::size_t v = 0; v < p.tokens; ++v) {
    for (int power = 2; power <= 4; ++power)
      m[power - 2] += std::pow(p.weight(f, v) - mean, power) / static_cast<double>(p.tokens);
  }
  const float* got = found.moments.data() + f * 4;
  EXPECT_NEAR(got[0], mean, tolerance * (1.0 + std::abs(mean))) << "mean of latent " << f;
  EXPECT_NEAR(got[1], std::sqrt(m[0]), tolerance * (1.0 + std::sqrt(m[0]))) << "deviation of latent " << f;
  if (m[0] < 1e-9) return;
  EXPECT_NEAR(got[2], m[1] / std::pow(m[0], 1.5), 10 * tolerance) << "skewness of latent " << f;
  EXPECT_NEAR(got[3], m[2] / (m[0] * m[0]), 10 * tolerance) << "kurtosis of latent " << f;
}

/// Weights of whole numbers are exact, so that everything must agree, ties included.
void expect_brute_force(const Problem& p, const LogitWeights& found) {
  const std::size_t n = found.n;
  for (std::size_t f = 0; f < p.latents; ++f) {
    const bool zero = std::all_of(p.decoder.begin() + static_cast<std::ptrdiff_t>(f * p.width),
                                  p.decoder.begin() + static_cast<std::ptrdiff_t>((f + 1) * p.width),
                                  [](float v) { return v == 0.0F; });
    const std::vector<std::uint32_t> high = order_of(p, f, 1.0);
    const std::vector<std::uint32_t> low = order_of(p, f, -1.0);
    for (std::size_t i = 0; i < n; ++i) {
      const bool is = i < p.tokens && !zero;
      EXPECT_EQ(found.promoted[f * n + i], is ? high[i] : kNoId) << f << " " << i;
      EXPECT_EQ(found.suppressed[f * n + i], is ? low[i] : kNoId) << f << " " << i;
      EXPECT_EQ(found.promoted_weight[f * n + i], is ? static_cast<float>(p.weight(f, high[i])) : 0.0F);
      EXPECT_EQ(found.suppressed_weight[f * n + i], is ? static_cast<float>(p.weight(f, low[i])) : 0.0F);
    }
    if (!zero) expect_moments(p, f, found, 1e-5);
  }
}

TEST(LogitWeights, AreThoseOfBruteForceAtOddSizesTiesIncluded) {
  struct Size {
    std::size_t latents, tokens, width, n;
  };
  for (const Size& s :
       {Size{1, 1, 1, 3}, Size{3, 2, 5, 10}, Size{13, 33, 7, 4}, Size{97, 31, 20, 10}, Size{200, 501, 16, 10}}) {
    SCOPED_TRACE(std::to_string(s.latents) + " x " + std::to_string(s.tokens));
    const Problem p = make(s.latents, s.tokens, s.width, true);
    for (const Kernels* with : available_kernels()) expect_brute_force(p, weigh(p, {s.n, 2, 1 << 20, "x"}, *with));
  }
}

TEST(LogitWeights, MomentsHoldFarFromZero) {
  Problem p = make(5, 4001, 6, false);
  // A constant column puts all weights near 1000.
  for (std::size_t v = 0; v < p.tokens; ++v) p.unembedding[v * p.width] = 1000.0F;
  for (std::size_t f = 0; f < p.latents; ++f) p.decoder[f * p.width] = 1.0F;
  const LogitWeights found = weigh(p, {10, 2, 1 << 20, "x"});
  for (std::size_t f = 0; f < p.latents; ++f) expect_moments(p, f, found, 1e-4);
}

TEST(LogitWeights, PartsOfTheVocabularyAndThreadsChangeNothing) {
  const Problem p = make(250, 700, 12, false);
  const LogitWeights whole = weigh(p, {10, 1, 1 << 20, "x"});
  for (const std::uint64_t memory : {std::uint64_t{0}, std::uint64_t{96 * 12 * 4}, std::uint64_t{1} << 20}) {
    for (const std::size_t threads : {1, 3}) {
      const LogitWeights part = weigh(p, {10, threads, memory, "x"});
      EXPECT_EQ(part.promoted, whole.promoted);
      EXPECT_EQ(part.promoted_weight, whole.promoted_weight);
      EXPECT_EQ(part.suppressed, whole.suppressed);
      EXPECT_EQ(part.suppressed_weight, whole.suppressed_weight);
      for (std::size_t i = 0; i < whole.moments.size(); ++i) EXPECT_NEAR(part.moments[i], whole.moments[i], 1e-5F);
    }
  }
  EXPECT_EQ(weigh(p, {10, 1, 5000, "x"}).moments, weigh(p, {10, 4, 5000, "x"}).moments) << "threads";
}

TEST(LogitWeights, ALatentThatWritesNothingHasNoTokens) {
  Problem p = make(3, 50, 4, true);
  std::fill_n(p.decoder.begin() + 4, 4, 0.0F);
  const LogitWeights found = weigh(p, {2, 1, 1 << 20, "x"});
  expect_brute_force(p, found);
  EXPECT_EQ(found.promoted[2], kNoId);
  EXPECT_EQ(std::vector<float>(found.moments.begin() + 4, found.moments.begin() + 8), std::vector<float>(4, 0.0F));
}

TEST(LogitWeights, FaultsAreNamed) {
  Problem p = make(3, 50, 4, true);
  p.unembedding[21] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(error_of([&] {
              weigh(p, {2, 1, 1 << 20, "layers.1"});
            }),
            "layers.1: W_U: row 5, column 1 is inf, wanted finite numbers\nhint: the weights are damaged: copy the "
            "file again");
  SilentReporter reporter;
  EXPECT_EQ(
      error_of([&] {
        logit_weights(RowSource::of(p.decoder, 2), RowSource::of(p.unembedding, 4), {2, 1, 1, "layers.1"}, reporter);
      }),
      "layers.1: the decoder writes vectors of width 2, the unembedding reads 4\nhint: logit weights belong to "
      "hookpoints that add to the residual stream");
}

TEST(LogitHistograms, CountEveryTokenBetweenTheSmallestAndTheLargestWeight) {
  const Problem p = make(40, 333, 16, false);
  const LogitWeights weights = weigh(p, {});
  std::vector<float> low, high;
  for (std::size_t f = 0; f < p.latents; ++f) {
    low.push_back(weights.suppressed_weight[f * weights.n]);
    high.push_back(weights.promoted_weight[f * weights.n]);
  }
  SilentReporter reporter;
  HistogramOptions options;
  options.bins = 7;
  const auto count = [&](const HistogramOptions& o) {
    return logit_histograms(RowSource::of(p.decoder, p.width), RowSource::of(p.unembedding, p.width), low, high, o,
                            reporter);
  };
  const LogitHistograms all = count(options);
  EXPECT_EQ(all.tokens, 333U);
  for (std::size_t f = 0; f < p.latents; ++f) {
    std::vector<std::uint16_t> wanted(7, 0);
    bool near_an_edge = false;  // where float32 and f64 may differ
    for (std::size_t v = 0; v < p.tokens; ++v) {
      const double place = (p.weight(f, v) - double{low[f]}) / (double{high[f]} - double{low[f]}) * 7.0;
      near_an_edge = near_an_edge || (std::abs(place - std::round(place)) < 1e-5 && place > 0.5 && place < 6.5);
      ++wanted[static_cast<std::size_t>(std::clamp(place, 0.0, 6.0))];
    }
    const std::vector<std::uint16_t> found(all.counts.begin() + static_cast<std::ptrdiff_t>(f * 7),
                                           all.counts.begin() + static_cast<std::ptrdiff_t>(f * 7 + 7));
    if (!near_an_edge) {
      EXPECT_EQ(found, wanted) << f;
    }
    EXPECT_GE(found.front(), 1);
    EXPECT_GE(found.back(), 1);
  }
  options.threads = 3;
  EXPECT_EQ(count(options).counts, all.counts);
  options.tokens = 100;
  const LogitHistograms some = count(options);
  EXPECT_EQ(some.tokens, 100U);
  for (std::size_t f = 0; f < p.latents; ++f) {
    std::size_t sum = 0;
    for (std::size_t b = 0; b < 7; ++b) {
      sum += some.counts[f * 7 + b];
      EXPECT_LE(some.counts[f * 7 + b], all.counts[f * 7 + b]) << "each is one of all";
    }
    EXPECT_EQ(sum, 100U);
  }
}

TEST(LogitHistograms, OfARowOfZerosHasAllInTheFirstBin) {
  Problem p = make(2, 50, 8, false);
  std::fill(p.decoder.begin(), p.decoder.begin() + 8, 0.0F);
  const std::vector<float> low{0.0F, -100.0F}, high{0.0F, 100.0F};
  SilentReporter reporter;
  const LogitHistograms found = logit_histograms(RowSource::of(p.decoder, p.width),
                                                 RowSource::of(p.unembedding, p.width), low, high, {}, reporter);
  EXPECT_EQ(found.counts[0], 50);
  EXPECT_EQ(std::accumulate(found.counts.begin() + 50, found.counts.end(), 0), 50);
}

}  // namespace
}  // namespace gloss::sparse
