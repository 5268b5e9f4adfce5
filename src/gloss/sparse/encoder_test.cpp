#include "gloss/sparse/encoder.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "gloss/base/random.h"
#include "gloss/sparse/torch_encode.h"

namespace gloss::sparse {
namespace {

struct Case {
  std::size_t rows, width, latents;
  std::uint32_t k;
};

struct Problem {
  Case size;
  std::vector<float> x, weight, bias, subtract;
};

/// Whole numbers: every sum is exact in any order, and ties abound.
Problem whole_numbers(const Case& size, std::uint64_t seed) {
  Random random = Random::for_purpose(seed, "encoder test");
  const auto draw = [&](std::size_t n, int range) {
    std::vector<float> values(n);
    for (float& v : values) v = static_cast<float>(static_cast<int>(random.below(2 * range + 1)) - range);
    return values;
  };
  return {size, draw(size.rows * size.width, 3), draw(size.latents * size.width, 2), draw(size.latents, 4),
          draw(size.width, 1)};
}

Problem real_numbers(const Case& size, std::uint64_t seed) {
  Problem p = whole_numbers(size, seed);
  Random random = Random::for_purpose(seed, "encoder test, real");
  for (std::vector<float>* values : {&p.x, &p.weight, &p.bias, &p.subtract}) {
    for (float& v : *values) v = static_cast<float>(random.normal());
  }
  return p;
}

struct Result {
  std::vector<std::uint32_t> latent;
  std::vector<float> value;

  explicit Result(const Case& size) : latent(size.rows * size.k), value(size.rows * size.k) {}
  EncoderOutput out() { return {latent.data(), value.data()}; }
};

EncoderInput input_of(const Problem& p, bool centred = true) {
  return {p.x.data(), centred ? p.subtract.data() : nullptr, p.size.rows};
}

Result fast(const Problem& p, const Kernels& with, std::size_t threads = 1, bool centred = true) {
  TopkEncoder encoder;
  encoder.pack(p.weight.data(), p.bias.data(), p.size.latents, p.size.width, threads);
  Result r(p.size);
  encoder.encode(input_of(p, centred), p.size.k, threads, r.out(), with);
  return r;
}

Result slow(const Problem& p, bool centred = true) {
  Result r(p.size);
  encode_reference(input_of(p, centred), p.weight, p.bias, p.size.k, r.out());
  return r;
}

/// Sizes around every block: rows by 12, latents by 32, width by 4, 8, 16 and 32, K from 1 to all.
std::vector<Case> awkward_sizes() {
  std::vector<Case> cases;
  for (const std::size_t rows : {1, 11, 12, 13, 25}) cases.push_back({rows, 5, 40, 3});
  for (const std::size_t latents : {1, 2, 31, 32, 33, 64, 65, 100}) cases.push_back({14, 7, latents, 1});
  for (const std::size_t width : {1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65})
    cases.push_back({13, width, 70, 5});
  for (const std::uint32_t k : {1, 2, 31, 32, 33, 64, 99, 100}) cases.push_back({13, 6, 100, k});
  cases.push_back({400, 3, 300, 8});    // several tiles
  cases.push_back({13, 11, 1000, 16});  // candidates are cut down several times
  return cases;
}

TEST(TopkEncoder, AgreesExactlyWithTheReferenceOnWholeNumbersAndTies) {
  std::uint64_t seed = 0;
  for (const Case& size : awkward_sizes()) {
    const Problem p = whole_numbers(size, ++seed);
    for (const bool centred : {false, true}) {
      const Result wanted = slow(p, centred);
      for (const Kernels* with : available_kernels()) {
        SCOPED_TRACE(std::string(with->name) + ": " + std::to_string(size.rows) + " rows, D " +
                     std::to_string(size.width) + ", F " + std::to_string(size.latents) + ", K " +
                     std::to_string(size.k));
        const Result got = fast(p, *with, 1, centred);
        ASSERT_EQ(got.latent, wanted.latent);
        ASSERT_EQ(got.value, wanted.value);
      }
    }
  }
}

/// What float sums of `width` terms may lose: every term by at most one rounding of the sum of absolute values.
double tolerance(const Problem& p, std::size_t row, std::size_t latent) {
  double absolute = std::abs(double{p.bias[latent]});
  for (std::size_t d = 0; d < p.size.width; ++d)
    absolute +=
        std::abs((double{p.x[row * p.size.width + d]} - double{p.subtract[d]}) * p.weight[latent * p.size.width + d]);
  return absolute * static_cast<double>(p.size.width + 2) * double{std::numeric_limits<float>::epsilon()};
}

TEST(TopkEncoder, KeepsTheLargestWithinRoundingOfTheReference) {
  const Problem p = real_numbers({50, 37, 517, 9}, 3);
  Problem all = p;
  all.size.k = 517;
  const Result every = slow(all);
  for (const Kernels* with : available_kernels()) {
    const Result got = fast(p, *with);
    for (std::size_t row = 0; row < p.size.rows; ++row) {
      std::vector<float> z(p.size.latents);
      for (std::size_t i = 0; i < p.size.latents; ++i) z[every.latent[row * 517 + i]] = every.value[row * 517 + i];
      for (std::size_t i = 0; i < p.size.k; ++i) {
        const std::uint32_t latent = got.latent[row * p.size.k + i];
        EXPECT_NEAR(got.value[row * p.size.k + i], z[latent], tolerance(p, row, latent)) << with->name;
        EXPECT_NEAR(got.value[row * p.size.k + i], every.value[row * 517 + i], tolerance(p, row, latent)) << with->name;
      }
    }
  }
}

TEST(TopkEncoder, GivesTheSameBytesForAnyNumberOfThreadsAndRows) {
  const Problem p = real_numbers({300, 19, 130, 6}, 4);
  for (const Kernels* with : available_kernels()) {
    const Result one = fast(p, *with, 1);
    for (const std::size_t threads : {2, 3, 7}) {
      const Result many = fast(p, *with, threads);
      EXPECT_EQ(many.latent, one.latent);
      EXPECT_EQ(many.value, one.value);
    }
    Problem last = p;  // the last row alone
    last.size.rows = 1;
    last.x.assign(p.x.end() - 19, p.x.end());
    const Result alone = fast(last, *with, 1);
    EXPECT_TRUE(std::equal(alone.value.begin(), alone.value.end(), one.value.end() - 6));
  }
}

TEST(TopkEncoder, PadsRowsWithoutPositiveValuesByTheLowestLatents) {
  const Problem p{{1, 1, 5, 4}, {1.0F}, {-1.0F, 2.0F, 0.0F, -3.0F, 1.0F}, {0, 0, 0, 0, 0}, {0.0F}};
  for (const Kernels* with : available_kernels()) {
    const Result got = fast(p, *with);
    EXPECT_EQ(got.latent, (std::vector<std::uint32_t>{1, 4, 0, 2}));
    EXPECT_EQ(got.value, (std::vector<float>{2.0F, 1.0F, 0.0F, 0.0F}));
  }
}

TEST(TopkEncoder, BreaksTiesByTheLowerLatentAlsoWhenMostAreEqual) {
  Problem p{{1, 1, 200, 3}, {1.0F}, std::vector<float>(200, 1.0F), std::vector<float>(200, 0.0F), {0.0F}};
  p.weight[150] = 2.0F;
  for (const Kernels* with : available_kernels())
    EXPECT_EQ(fast(p, *with).latent, (std::vector<std::uint32_t>{150, 0, 1}));
}

TEST(TopkEncoder, EncodesAChosenSubsetOfTheLatents) {
  const Problem p = whole_numbers({20, 6, 90, 4}, 5);
  const std::vector<std::uint32_t> which = {3, 4, 40, 41, 42, 77, 89};
  Problem subset = p;
  subset.size.latents = which.size();
  subset.weight.clear();
  subset.bias.clear();
  for (const std::uint32_t w : which) {
    subset.weight.insert(subset.weight.end(), p.weight.begin() + w * 6, p.weight.begin() + (w + 1) * 6);
    subset.bias.push_back(p.bias[w]);
  }
  TopkEncoder encoder;
  encoder.pack(p.weight.data(), p.bias.data(), 90, 6, 1, which);
  Result got(subset.size);
  encoder.encode(input_of(p), 4, 1, got.out());
  const Result wanted = slow(subset);
  EXPECT_EQ(got.latent, wanted.latent);
  EXPECT_EQ(got.value, wanted.value);
}

/// The processor, and an accelerator where there is one.
std::vector<at::Device> devices() {
  std::vector<at::Device> found{at::kCPU};
  if (at::hasCUDA()) found.emplace_back(at::kCUDA);
  return found;
}

void expect_reference(const Case& size, std::uint64_t seed, const at::Device& device) {
  Problem p = whole_numbers(size, seed);
  const Result wanted = slow(p, false);
  const auto tensor = [&](std::vector<float>& v, std::size_t rows, std::size_t columns) {
    return at::from_blob(v.data(), {static_cast<std::int64_t>(rows), static_cast<std::int64_t>(columns)}, at::kFloat)
        .to(device);
  };
  const Encoded got = encode_with_torch(tensor(p.x, size.rows, size.width), tensor(p.weight, size.latents, size.width),
                                        tensor(p.bias, 1, size.latents).view({-1}), size.k);
  Encoded positive;  // the reference pads with zeros
  for (std::size_t i = 0; i < wanted.value.size(); ++i) {
    if (wanted.value[i] > 0) {
      positive.latent.push_back(wanted.latent[i]);
      positive.value.push_back(wanted.value[i]);
    }
    if ((i + 1) % size.k == 0) positive.offsets.push_back(positive.value.size());
  }
  ASSERT_EQ(got.offsets, positive.offsets);
  ASSERT_EQ(got.latent, positive.latent);
  ASSERT_EQ(got.value, positive.value);
}

TEST(TorchEncode, AgreesExactlyWithTheReferenceOnWholeNumbersAndTies) {
  for (const at::Device& device : devices()) {
    SCOPED_TRACE(device.str());
    std::uint64_t seed = 0;
    for (const Case& size : awkward_sizes()) expect_reference(size, ++seed, device);
  }
}

/// More latents than topk looks at in one piece, and rows of one value, of which it may take any.
TEST(TorchEncode, BreaksTiesByTheLowerLatentAmongMany) {
  constexpr std::int64_t kRows = 5;
  std::vector<std::pair<at::Device, std::int64_t>> cases;
  for (const at::Device& device : devices()) {
    for (const std::int64_t latents : {70'000, 70'016})
      cases.emplace_back(device, latents);  // the latter in runs of 64
  }
  for (const auto& [device, latents] : cases) {
    SCOPED_TRACE(device.str());
    at::Tensor weight = at::ones({latents, 1}, at::kFloat);
    weight[60'001] = 2.0F;
    weight[3] = 0.5F;
    const at::Tensor x = at::arange(kRows, at::kFloat).view({kRows, 1});  // row 0 is zero: nothing fires
    const Encoded got = encode_with_torch(x.to(device), weight.to(device), at::zeros({latents}).to(device), 4);
    ASSERT_EQ(got.offsets, (std::vector<std::uint64_t>{0, 0, 4, 8, 12, 16}));
    for (std::size_t i = 0; i < got.latent.size(); i += 4)
      EXPECT_EQ(std::vector(got.latent.begin() + i, got.latent.begin() + i + 4),
                (std::vector<std::uint32_t>{60'001, 0, 1, 2}));
  }
}

/// Values of few steps, so that most rows have equal ones about the K-th, within a run of 64 latents and across them.
TEST(TorchEncode, OfManyLatentsAgreesWithASortOfAll) {
  constexpr std::int64_t kRows = 40;
  constexpr std::int64_t kLatents = 64 * 64;
  constexpr std::uint32_t kMost = 5;
  for (const at::Device& device : devices()) {
    SCOPED_TRACE(device.str());
    Random random = Random::for_purpose(3, "torch-encode");
    at::Tensor z = at::zeros({kRows, kLatents}, at::kFloat);
    for (std::int64_t i = 0; i < z.numel(); ++i)
      z.data_ptr<float>()[i] =
          static_cast<float>(random.below(static_cast<std::uint64_t>(2 + i / kLatents * 40))) - 1.0F;
    // A product with the unit matrix: every z is what it was.
    const Encoded got = encode_with_torch(at::eye(kRows).to(device), z.t().contiguous().to(device),
                                          at::zeros({kLatents}).to(device), kMost);
    Encoded wanted;
    for (std::int64_t row = 0; row < kRows; ++row) {
      std::vector<std::pair<float, std::uint32_t>> all;
      for (std::int64_t f = 0; f < kLatents; ++f)
        all.emplace_back(-z.data_ptr<float>()[row * kLatents + f], static_cast<std::uint32_t>(f));
      std::sort(all.begin(), all.end());
      for (std::size_t i = 0; i < kMost && all[i].first < 0; ++i) {
        wanted.latent.push_back(all[i].second);
        wanted.value.push_back(-all[i].first);
      }
      wanted.offsets.push_back(wanted.value.size());
    }
    EXPECT_EQ(got.offsets, wanted.offsets);
    EXPECT_EQ(got.latent, wanted.latent);
    EXPECT_EQ(got.value, wanted.value);
  }
}

/// Plain loops: every z above its threshold; the best positive one of each of k groups.
Encoded slow_above(const Problem& p, const std::vector<float>& threshold) {
  Problem all = p;
  all.size.k = static_cast<std::uint32_t>(p.size.latents);
  Encoded out;
  for (std::size_t row = 0; row < p.size.rows; ++row) {
    for (std::size_t f = 0; f < p.size.latents; ++f) {
      double z = p.bias[f];
      for (std::size_t d = 0; d < p.size.width; ++d)
        z += double{p.x[row * p.size.width + d] - p.subtract[d]} * double{p.weight[f * p.size.width + d]};
      if (!(z > threshold[f])) continue;
      out.latent.push_back(static_cast<std::uint32_t>(f));
      out.value.push_back(static_cast<float>(z));
    }
    out.offsets.push_back(out.value.size());
  }
  return out;
}

Encoded slow_groups(const Problem& p, std::uint32_t k) {
  const Encoded positive = slow_above(p, std::vector<float>(p.size.latents, 0.0F));
  const std::size_t group = p.size.latents / k;
  Encoded out;
  for (std::size_t row = 0; row < p.size.rows; ++row) {
    for (std::uint64_t i = positive.offsets[row]; i < positive.offsets[row + 1]; ++i) {
      const bool same =
          out.value.size() > out.offsets.back() && out.latent.back() / group == positive.latent[i] / group;
      if (!same) {
        out.latent.push_back(positive.latent[i]);
        out.value.push_back(positive.value[i]);
      } else if (positive.value[i] > out.value.back()) {
        out.latent.back() = positive.latent[i];
        out.value.back() = positive.value[i];
      }
    }
    out.offsets.push_back(out.value.size());
  }
  return out;
}

void expect_same(const Encoded& got, const Encoded& wanted) {
  ASSERT_EQ(got.offsets, wanted.offsets);
  ASSERT_EQ(got.latent, wanted.latent);
  ASSERT_EQ(got.value, wanted.value);
}

at::Tensor as_tensor(const std::vector<float>& v, std::size_t rows, std::size_t columns) {
  return at::tensor(at::ArrayRef<float>(v)).view({static_cast<std::int64_t>(rows), static_cast<std::int64_t>(columns)});
}

at::Tensor centred(const Problem& p) {
  return as_tensor(p.x, p.size.rows, p.size.width) - as_tensor(p.subtract, 1, p.size.width);
}

TEST(ThresholdEncoder, AgreesExactlyWithTheReferenceOnWholeNumbersAtTheBorder) {
  std::uint64_t seed = 100;
  for (const Case& size : awkward_sizes()) {
    const Problem p = whole_numbers(size, ++seed);
    std::vector<float> threshold(size.latents);  // whole numbers too: many z lie exactly on it, and are not above
    for (std::size_t f = 0; f < threshold.size(); ++f) threshold[f] = static_cast<float>(f % 7) - 2.0F;
    const Encoded wanted = slow_above(p, threshold);
    ThresholdEncoder encoder;
    encoder.pack(p.weight.data(), p.bias.data(), size.latents, size.width, 1);
    encoder.set_thresholds(threshold);
    for (const Kernels* with : available_kernels()) {
      SCOPED_TRACE(with->name);
      for (const std::size_t threads : {1, 3}) expect_same(encoder.encode(input_of(p), threads, *with), wanted);
    }
    expect_same(encode_above_with_torch(centred(p), as_tensor(p.weight, size.latents, size.width),
                                        as_tensor(p.bias, 1, size.latents).view({-1}),
                                        as_tensor(threshold, 1, size.latents).view({-1})),
                wanted);
  }
}

TEST(GroupmaxEncoder, KeepsTheBestPositiveValueOfEveryGroupTiesToTheLowerLatent) {
  std::uint64_t seed = 200;
  for (const std::size_t latents : {1, 6, 32, 64, 96, 100, 640}) {
    for (const std::uint32_t k : {1, 2, 4, 5, 32, 64, 100}) {
      if (latents % k != 0) continue;
      const Problem p = whole_numbers({29, 5, latents, k}, ++seed);
      const Encoded wanted = slow_groups(p, k);
      GroupmaxEncoder encoder;
      encoder.pack(p.weight.data(), p.bias.data(), latents, 5, 1);
      for (const Kernels* with : available_kernels()) {
        SCOPED_TRACE(std::string(with->name) + ", F " + std::to_string(latents) + ", K " + std::to_string(k));
        for (const std::size_t threads : {1, 2}) expect_same(encoder.encode(input_of(p), k, threads, *with), wanted);
      }
      expect_same(encode_groups_with_torch(centred(p), as_tensor(p.weight, latents, 5),
                                           as_tensor(p.bias, 1, latents).view({-1}), k),
                  wanted);
    }
  }
}

TEST(Kernels, WeightedSumsAndDotsAgreeWithPlainLoops) {
  Random random = Random::for_purpose(1, "kernels test");
  for (const std::size_t width : {1, 3, 4, 5, 8, 15, 16, 17, 31, 33, 64, 79, 100}) {
    constexpr std::size_t kRows = 9;
    std::vector<float> base(kRows * width);
    std::vector<float> v(width);
    for (float& b : base) b = static_cast<float>(random.below(9)) - 4.0F;  // whole numbers: exact
    for (float& b : v) b = static_cast<float>(random.below(9)) - 4.0F;
    const std::vector<std::uint32_t> rows = {8, 0, 3, 3, 5};
    const std::vector<float> weights = {1, -2, 3, 0, 2};
    std::vector<float> sum = v;
    std::vector<float> dots(rows.size(), 0.0F);
    for (std::size_t j = 0; j < rows.size(); ++j) {
      for (std::size_t d = 0; d < width; ++d) {
        sum[d] += weights[j] * base[rows[j] * width + d];
        dots[j] += v[d] * base[rows[j] * width + d];
      }
    }
    for (const Kernels* with : available_kernels()) {
      std::vector<float> got = v;
      with->weighted_sum(got.data(), base.data(), rows.data(), weights.data(), rows.size(), width);
      EXPECT_EQ(got, sum) << with->name << ", width " << width;
      std::vector<float> got_dots(rows.size());
      with->dots(got_dots.data(), v.data(), base.data(), rows.data(), rows.size(), width);
      EXPECT_EQ(got_dots, dots) << with->name << ", width " << width;
    }
  }
}

TEST(Kernels, AdamMatchesTheFormulaForEveryLength) {
  const AdamStep step{0.9F, 0.1F, 0.999F, 0.001F, 0.01F, 1e-8F, 0.5F};
  for (const std::size_t n : {1, 4, 7, 8, 16, 17, 35}) {
    for (const Kernels* with : available_kernels()) {
      std::vector<float> p(n, 1.0F), m(n, 0.2F), v(n, 0.04F), g(n);
      for (std::size_t i = 0; i < n; ++i) g[i] = static_cast<float>(i) - 3.0F;
      with->adam(p.data(), m.data(), v.data(), g.data(), n, step);
      for (std::size_t i = 0; i < n; ++i) {
        const double scaled = 0.5 * (static_cast<double>(i) - 3.0);
        const double first = 0.9 * 0.2 + 0.1 * scaled;
        const double second = 0.999 * 0.04 + 0.001 * scaled * scaled;
        EXPECT_NEAR(m[i], first, 1e-6);
        EXPECT_NEAR(v[i], second, 1e-7);
        EXPECT_NEAR(p[i], 1.0 - 0.01 * first / (std::sqrt(second) + 1e-8), 1e-6);
      }
    }
  }
}

}  // namespace
}  // namespace gloss::sparse
