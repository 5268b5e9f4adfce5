#include "gloss/sparse/neighbours.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "gloss/base/random.h"
#include "gloss/sparse/panels.h"
#include "gloss/sparse/test_coder.h"

namespace gloss::sparse {
namespace {

std::vector<float> random_rows(std::size_t rows, std::size_t width, std::uint64_t seed) {
  Random random = Random::for_purpose(seed, "neighbours test");
  std::vector<float> values(rows * width);
  for (float& v : values) v = static_cast<float>(random.normal());
  return values;
}

Neighbours find(std::span<const float> values, std::size_t width, std::size_t n, std::size_t threads = 2,
                const Kernels& with = kernels()) {
  SilentReporter reporter;
  return cosine_neighbours(RowSource::of(values, width), {n, threads, "neighbours"}, reporter, with);
}

double cosine(std::span<const float> values, std::size_t width, std::size_t a, std::size_t b) {
  double dot = 0.0;
  double aa = 0.0;
  double bb = 0.0;
  for (std::size_t d = 0; d < width; ++d) {
    const double x = values[a * width + d];
    const double y = values[b * width + d];
    dot += x * y;
    aa += x * x;
    bb += y * y;
  }
  return aa > 0.0 && bb > 0.0 ? dot / std::sqrt(aa * bb) : std::nan("");
}

/// All others of `a` in f64, best first, ties to the lower one.
std::vector<std::size_t> brute_force(std::span<const float> values, std::size_t width, std::size_t a) {
  std::vector<std::size_t> others;
  for (std::size_t b = 0; b < values.size() / width; ++b) {
    if (b != a && !std::isnan(cosine(values, width, a, b))) others.push_back(b);
  }
  std::vector<double> of(values.size() / width);
  for (const std::size_t b : others) of[b] = cosine(values, width, a, b);
  std::stable_sort(others.begin(), others.end(), [&](std::size_t x, std::size_t y) { return of[x] > of[y]; });
  return others;
}

/// The same as brute force, where neighbours whose cosines differ by rounding only may change places.
void expect_brute_force(const Neighbours& found, std::span<const float> values, std::size_t width) {
  constexpr double kRounding = 2e-6;
  const std::size_t rows = values.size() / width;
  ASSERT_EQ(found.latent.size(), rows * found.n);
  ASSERT_EQ(found.cosine.size(), rows * found.n);
  for (std::size_t a = 0; a < rows; ++a) {
    const std::vector<std::size_t> wanted = brute_force(values, width, a);
    std::vector<std::uint32_t> seen;
    for (std::size_t i = 0; i < found.n; ++i) {
      const std::uint32_t b = found.latent[a * found.n + i];
      if (i >= wanted.size()) {
        EXPECT_EQ(b, kNoId) << "row " << a << ", neighbour " << i;
        EXPECT_EQ(found.cosine[a * found.n + i], 0.0F);
        continue;
      }
      ASSERT_LT(b, rows) << "row " << a << ", neighbour " << i;
      EXPECT_NE(b, a) << "a row is no neighbour of itself";
      EXPECT_EQ(std::count(seen.begin(), seen.end(), b), 0) << "row " << a << " has neighbour " << b << " twice";
      seen.push_back(b);
      EXPECT_NEAR(found.cosine[a * found.n + i], cosine(values, width, a, b), kRounding);
      EXPECT_NEAR(found.cosine[a * found.n + i], cosine(values, width, a, wanted[i]), kRounding);
    }
  }
}

TEST(Neighbours, AreThoseOfBruteForceAtOddSizes) {
  struct Size {
    std::size_t rows, width, n;
  };
  for (const Size& size : {Size{1, 5, 3}, Size{2, 1, 3}, Size{7, 3, 10}, Size{33, 17, 4}, Size{95, 8, 1},
                           Size{97, 64, 10}, Size{1000, 19, 10}, Size{300, 1700, 5}}) {
    SCOPED_TRACE(std::to_string(size.rows) + " x " + std::to_string(size.width));
    const std::vector<float> values = random_rows(size.rows, size.width, size.rows);
    expect_brute_force(find(values, size.width, size.n), values, size.width);
  }
}

TEST(Neighbours, EveryKernelAgreesWithBruteForce) {
  const std::vector<float> values = random_rows(213, 37, 5);
  for (const Kernels* with : available_kernels()) {
    SCOPED_TRACE(with->name);
    expect_brute_force(find(values, 37, 6, 2, *with), values, 37);
  }
}

TEST(Neighbours, NegativeCosinesCount) {
  // Three vectors in a plane at 0, 120 and 240 degrees: all cosines are -0.5.
  const std::vector<float> values{1.0F, 0.0F, -0.5F, 0.8660254F, -0.5F, -0.8660254F};
  const Neighbours found = find(values, 2, 2);
  expect_brute_force(found, values, 2);
  EXPECT_NEAR(found.cosine[0], -0.5F, 1e-6);
}

TEST(Neighbours, TiesGoToTheLowerLatent) {
  // Copies of two vectors in turn: each copy's neighbours are the first others of its kind, in their order.
  constexpr std::size_t kRows = 500;
  std::vector<float> values;
  for (std::size_t f = 0; f < kRows; ++f) values.insert(values.end(), {f % 2 == 0 ? 1.0F : 0.25F, 0.5F, -0.75F});
  const Neighbours found = find(values, 3, 4);
  for (std::size_t f = 0; f < kRows; ++f) {
    std::vector<std::uint32_t> wanted;
    for (auto other = static_cast<std::uint32_t>(f % 2); wanted.size() < 4; other += 2) {
      if (other != f) wanted.push_back(other);
    }
    const auto at = found.latent.begin() + static_cast<std::ptrdiff_t>(f * 4);
    EXPECT_EQ(std::vector<std::uint32_t>(at, at + 4), wanted) << f;
  }
}

TEST(Neighbours, RowsOfZerosHaveNoneAndAreNone) {
  std::vector<float> values = random_rows(200, 11, 3);
  for (const std::size_t dead : {0, 1, 50, 96, 199})
    std::fill_n(values.begin() + static_cast<std::ptrdiff_t>(dead * 11), 11, 0.0F);
  const Neighbours found = find(values, 11, 10);
  expect_brute_force(found, values, 11);
  EXPECT_EQ(found.latent[0], kNoId);
  EXPECT_EQ(std::count(found.latent.begin(), found.latent.end(), 50U), 0);
  const std::vector<float> none(33, 0.0F);
  const Neighbours nothing = find(none, 11, 2);
  EXPECT_EQ(nothing.latent, std::vector<std::uint32_t>(6, kNoId));
}

TEST(Neighbours, LengthsDoNotMatterHoweverSmallOrLarge) {
  std::vector<float> values = random_rows(60, 9, 4);
  const Neighbours before = find(values, 9, 5);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] *= (i / 9) % 2 == 0 ? 0x1p-60F : 0x1p60F;
  const Neighbours after = find(values, 9, 5);
  EXPECT_EQ(before.latent, after.latent);
  EXPECT_EQ(before.cosine, after.cosine);
}

TEST(Neighbours, DoNotDependOnThreads) {
  const std::vector<float> values = random_rows(2500, 24, 6);
  const Neighbours one = find(values, 24, 7, 1);
  for (const std::size_t threads : {2, 3, 8}) {
    const Neighbours many = find(values, 24, 7, threads);
    EXPECT_EQ(one.latent, many.latent);
    EXPECT_EQ(one.cosine, many.cosine);
  }
}

TEST(Neighbours, AValueThatIsNotFiniteIsNamed) {
  std::vector<float> values = random_rows(40, 3, 7);
  values[35 * 3 + 2] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(
      error_of([&] { find(values, 3, 2); }),
      "neighbours: row 35, column 2 is nan, wanted finite numbers\nhint: the weights are damaged: copy the file again");
}

TEST(BestOfRow, OrdersAllFloatsAndFindsThemAgain) {
  const std::vector<float> ascending{
      -std::numeric_limits<float>::infinity(), -3e38F, -1.0F, -1e-40F, 0.0F, 1e-40F, 2.0F,
      std::numeric_limits<float>::infinity()};
  for (std::size_t i = 0; i < ascending.size(); ++i) {
    const std::uint64_t key = BestOfRow::to_key(ascending[i], 7);
    EXPECT_EQ(BestOfRow::value_of(key), ascending[i]);
    EXPECT_EQ(BestOfRow::id_of(key), 7U);
    EXPECT_GT(BestOfRow::to_key(ascending[i], 6), key) << "the lower id comes first";
    if (i > 0) {
      EXPECT_GT(key, BestOfRow::to_key(ascending[i - 1], 0));
    }
  }
  EXPECT_EQ(BestOfRow::to_key(-0.0F, 1), BestOfRow::to_key(0.0F, 1));
}

}  // namespace
}  // namespace gloss::sparse
