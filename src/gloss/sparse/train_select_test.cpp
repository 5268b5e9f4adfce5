// What a training step keeps, against plain loops over all values.
#include "gloss/sparse/train_select.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <tuple>
#include <vector>

#include "gloss/base/random.h"

namespace gloss::sparse {
namespace {

struct Problem {
  std::size_t rows, width, latents;
  AlignedFloats x, weight, bias;

  /// Small whole numbers, so that sums are exact and ties abound.
  static Problem whole(std::size_t rows, std::size_t width, std::size_t latents, std::uint64_t seed) {
    Random random = Random::for_purpose(seed, "train select test");
    Problem p{
        rows, width, latents, AlignedFloats(rows * width), AlignedFloats(latents * width), AlignedFloats(latents)};
    for (AlignedFloats* values : {&p.x, &p.weight, &p.bias}) {
      for (float& v : *values) v = static_cast<float>(random.below(7)) - 3.0F;
    }
    return p;
  }
  double z(std::size_t row, std::size_t latent) const {
    double sum = bias[latent];
    for (std::size_t d = 0; d < width; ++d) sum += double{x[row * width + d]} * double{weight[latent * width + d]};
    return sum;
  }
  template <class Encoder>
  Encoder packed() const {
    Encoder encoder;
    encoder.pack(weight.data(), bias.data(), latents, width, 1);
    return encoder;
  }
};

using Entry = std::tuple<std::size_t, std::uint32_t, float>;  // row, latent, value

std::vector<Entry> entries(const Kept& s) {
  std::vector<Entry> all;
  for (std::size_t row = 0; row < s.begin.size(); ++row) {
    for (std::size_t i = s.begin[row]; i < s.begin[row] + s.active[row]; ++i)
      all.emplace_back(row, s.latent[i], s.value[i]);
  }
  std::sort(all.begin(), all.end());
  return all;
}

std::vector<Entry> largest_of_batch(const Problem& p, std::size_t keep) {
  std::vector<Entry> all;
  for (std::size_t row = 0; row < p.rows; ++row) {
    for (std::size_t latent = 0; latent < p.latents; ++latent) {
      const double z = p.z(row, latent);
      if (z > 0) all.emplace_back(row, static_cast<std::uint32_t>(latent), static_cast<float>(z));
    }
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const Entry& a, const Entry& b) { return std::get<2>(a) > std::get<2>(b); });
  all.resize(std::min(all.size(), keep));
  std::sort(all.begin(), all.end());
  return all;
}

std::vector<Entry> kept(const Problem& p, std::uint32_t k, std::size_t threads = 1) {
  Kept s;
  BatchTopk().select(p.packed<TopkEncoder>(), p.x, k, threads, s);
  EXPECT_EQ(s.slope.size(), s.value.size());
  return entries(s);
}

TEST(BatchTopk, KeepsTheLargestOfTheBatchTiesToTheLowerRowThenLatent) {
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    const Problem p = Problem::whole(70, 5, 90, seed);
    for (const std::uint32_t k : {1U, 3U, 8U, 40U, 90U})
      EXPECT_EQ(kept(p, k), largest_of_batch(p, p.rows * k)) << "seed " << seed << ", K " << k;
  }
}

TEST(BatchTopk, FollowsARowThatTakesNearlyAllOfTheBatch) {
  Problem p = Problem::whole(50, 6, 200, 7);
  for (std::size_t d = 0; d < p.width; ++d) p.x[20 * p.width + d] *= 1000.0F;  // its values are above all others
  std::fill(p.bias.begin(), p.bias.end(), 0.0F);
  const std::vector<Entry> wanted = largest_of_batch(p, 50 * 2);
  const auto of_row = std::count_if(wanted.begin(), wanted.end(), [](const Entry& e) { return std::get<0>(e) == 20; });
  ASSERT_GT(of_row, 64) << "the row must be asked for more several times";
  EXPECT_EQ(kept(p, 2), wanted);
}

TEST(BatchTopk, KeepsAllWhereTooFewArePositive) {
  Problem p = Problem::whole(20, 4, 40, 8);
  std::fill(p.bias.begin(), p.bias.end(), -18.0F);
  const std::vector<Entry> wanted = largest_of_batch(p, 20 * 10);
  ASSERT_GT(wanted.size(), 0U);
  ASSERT_LT(wanted.size(), 200U);
  EXPECT_EQ(kept(p, 10), wanted);
  std::fill(p.bias.begin(), p.bias.end(), -1000.0F);
  EXPECT_TRUE(kept(p, 10).empty());
}

TEST(BatchTopk, DoesNotDependOnTheNumberOfThreads) {
  const Problem p = Problem::whole(1000, 9, 100, 9);
  EXPECT_EQ(kept(p, 6, 4), kept(p, 6, 1));
}

TEST(BatchTopk, CanBeUsedAgainForABatchOfAnotherSize) {
  BatchTopk batch_topk;
  Kept s;
  for (const std::size_t rows : {60, 10, 80}) {
    const Problem p = Problem::whole(rows, 5, 50, rows);
    batch_topk.select(p.packed<TopkEncoder>(), p.x, 4, 1, s);
    EXPECT_EQ(entries(s), largest_of_batch(p, rows * 4));
  }
}

TEST(SmallestKept, IsTheSmallestActiveValueAndZeroForNone) {
  const Problem p = Problem::whole(30, 5, 50, 3);
  Kept s;
  BatchTopk().select(p.packed<TopkEncoder>(), p.x, 4, 1, s);
  float smallest = 1e9F;
  for (const Entry& e : largest_of_batch(p, 120)) smallest = std::min(smallest, std::get<2>(e));
  EXPECT_EQ(smallest_kept(s), smallest);
  EXPECT_EQ(smallest_kept(Kept{{0, 3}, {0, 0}, {1, 2}, {5.0F, 6.0F}, {0, 0}}), 0.0F);
}

TEST(SelectJumprelu, KeepsWhatIsAboveAndWhatIsNearEachThreshold) {
  const Problem p = Problem::whole(40, 5, 70, 4);
  Random random = Random::for_purpose(4, "thresholds");
  std::vector<float> threshold(p.latents);
  for (float& v : threshold) v = 0.25F + static_cast<float>(random.below(8));
  constexpr float kBandwidth = 3.0F;
  std::vector<Entry> above;
  std::vector<Entry> near;
  for (std::size_t row = 0; row < p.rows; ++row) {
    for (std::size_t latent = 0; latent < p.latents; ++latent) {
      const double z = p.z(row, latent);
      const Entry entry{row, static_cast<std::uint32_t>(latent), static_cast<float>(z)};
      if (z > threshold[latent]) above.push_back(entry);
      if (z > 0 && std::abs(z - threshold[latent]) < kBandwidth / 2) near.push_back(entry);
    }
  }
  for (const std::size_t threads : {1, 3}) {
    auto encoder = p.packed<ThresholdEncoder>();
    Kept active;
    Kept edge;
    select_jumprelu(encoder, p.x, threshold, kBandwidth, threads, active, edge);
    EXPECT_EQ(entries(active), above);
    EXPECT_EQ(entries(edge), near);
    EXPECT_EQ(edge.slope.size(), edge.value.size());
  }
}

}  // namespace
}  // namespace gloss::sparse
