#include "gloss/score/paired.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <tuple>
#include <utility>

#include "gloss/base/random.h"

namespace gloss::score {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kZ95 = 1.959963984540054;  // 97.5th percentile of the standard normal
constexpr std::size_t kResamples = 2000;

using Pairs = std::vector<std::pair<double, double>>;

Pairs known_pairs(std::span<const double> a, std::span<const double> b) {
  Pairs pairs;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (!std::isnan(a[i]) && !std::isnan(b[i])) pairs.emplace_back(a[i], b[i]);
  }
  return pairs;
}

double correlation(const Pairs& pairs) {
  const auto n = static_cast<double>(pairs.size());
  double mean_a = 0, mean_b = 0;
  for (const auto& [a, b] : pairs) {
    mean_a += a / n;
    mean_b += b / n;
  }
  double aa = 0, bb = 0, ab = 0;
  for (const auto& [a, b] : pairs) {
    aa += (a - mean_a) * (a - mean_a);
    bb += (b - mean_b) * (b - mean_b);
    ab += (a - mean_a) * (b - mean_b);
  }
  // Sums of squares that are nothing but rounding belong to a constant.
  const double tiny = 1e-24 * n * std::max({1.0, mean_a * mean_a, mean_b * mean_b});
  return aa <= tiny || bb <= tiny ? kNaN : std::clamp(ab / std::sqrt(aa * bb), -1.0, 1.0);
}

/// 2,000 times `statistic` of as many pairs drawn with replacement; resamples where it is not defined are left out.
template <class Statistic>
Interval bootstrap(const Pairs& pairs, double value, std::uint64_t seed, const Statistic& statistic) {
  if (std::isnan(value) || pairs.size() < 2) return {value, kNaN, kNaN};
  Random random = Random::for_purpose(seed, "paired-bootstrap");
  std::vector<double> values;
  Pairs drawn(pairs.size());
  for (std::size_t r = 0; r < kResamples; ++r) {
    for (auto& pair : drawn) pair = pairs[random.below(pairs.size())];
    const double resampled = statistic(drawn);
    if (!std::isnan(resampled)) values.push_back(resampled);
  }
  if (values.size() < kResamples / 2) return {value, kNaN, kNaN};
  std::sort(values.begin(), values.end());
  const auto at = [&](double q) {
    return values[static_cast<std::size_t>(q * static_cast<double>(values.size() - 1))];
  };
  return {value, at(0.025), at(0.975)};
}

/// Ranks from 1; equal values share the mean of theirs.
std::vector<double> mid_ranks(const std::vector<double>& values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t x, std::size_t y) { return values[x] < values[y]; });
  std::vector<double> ranks(values.size());
  for (std::size_t i = 0; i < order.size();) {
    std::size_t end = i;
    while (end < order.size() && values[order[end]] == values[order[i]]) ++end;
    for (std::size_t k = i; k < end; ++k) ranks[order[k]] = static_cast<double>(i + 1 + end) / 2;
    i = end;
  }
  return ranks;
}

Pairs ranked(const Pairs& pairs) {
  std::vector<double> a, b;
  for (const auto& [x, y] : pairs) {
    a.push_back(x);
    b.push_back(y);
  }
  a = mid_ranks(a);
  b = mid_ranks(b);
  Pairs result;
  for (std::size_t i = 0; i < a.size(); ++i) result.emplace_back(a[i], b[i]);
  return result;
}

bool is_right(const Judgement& j) { return (j.verdict == Verdict::yes) == j.truth; }

/// For each value of `mine` the share of `theirs` below it, ties half. Shapes: both sorted ascending.
std::vector<double> placements(const std::vector<float>& mine, const std::vector<float>& theirs) {
  std::vector<double> shares;
  shares.reserve(mine.size());
  for (const float value : mine) {
    const auto [low, high] = std::equal_range(theirs.begin(), theirs.end(), value);
    const auto below = static_cast<double>(low - theirs.begin());
    shares.push_back((below + static_cast<double>(high - low) / 2) / static_cast<double>(theirs.size()));
  }
  return shares;
}

double variance(const std::vector<double>& values, double mean) {
  double squares = 0;
  for (const double v : values) squares += (v - mean) * (v - mean);
  return squares / static_cast<double>(values.size() - 1);
}

}  // namespace

Interval mean_difference(std::span<const double> a, std::span<const double> b, std::uint64_t seed) {
  const Pairs pairs = known_pairs(a, b);
  const auto mean = [](const Pairs& drawn) {
    double sum = 0;
    for (const auto& [x, y] : drawn) sum += y - x;
    return drawn.empty() ? kNaN : sum / static_cast<double>(drawn.size());
  };
  return bootstrap(pairs, mean(pairs), seed, mean);
}

Agreement match(std::span<const Judgement> a, std::span<const Judgement> b) {
  using Key = std::tuple<std::uint32_t, examples::WindowKind, bool>;
  std::map<Key, bool> right;
  for (const Judgement& j : a) {
    if (j.verdict != Verdict::failed && j.kind != examples::WindowKind::written)
      right[{j.start, j.kind, j.truth}] = is_right(j);
  }
  Agreement agreement;
  for (const Judgement& j : b) {
    const auto found = right.find({j.start, j.kind, j.truth});
    if (j.verdict == Verdict::failed || found == right.end()) continue;
    if (is_right(j)) {
      ++(found->second ? agreement.both_right : agreement.only_b);
    } else {
      ++(found->second ? agreement.only_a : agreement.both_wrong);
    }
  }
  return agreement;
}

double mcnemar(std::uint64_t only_a, std::uint64_t only_b) {
  const std::uint64_t n = only_a + only_b;
  const std::uint64_t fewer = std::min(only_a, only_b);
  if (only_a == only_b) return 1.0;
  // Both tails of a fair coin: twice the sum of C(n, k) / 2^n for k up to the smaller side.
  double tail = 0;
  for (std::uint64_t k = 0; k <= fewer; ++k) {
    const auto count = static_cast<double>(n);
    const auto chosen = static_cast<double>(k);
    tail += std::exp(std::lgamma(count + 1) - std::lgamma(chosen + 1) - std::lgamma(count - chosen + 1) -
                     count * std::log(2.0));
  }
  return std::min(1.0, 2 * tail);
}

Interval pearson(std::span<const double> a, std::span<const double> b, std::uint64_t seed) {
  const Pairs pairs = known_pairs(a, b);
  if (pairs.size() < 3) return {kNaN, kNaN, kNaN};
  return bootstrap(pairs, correlation(pairs), seed, correlation);
}

Interval spearman(std::span<const double> a, std::span<const double> b, std::uint64_t seed) {
  const Pairs pairs = known_pairs(a, b);
  if (pairs.size() < 3) return {kNaN, kNaN, kNaN};
  const auto statistic = [](const Pairs& drawn) { return correlation(ranked(drawn)); };
  return bootstrap(pairs, statistic(pairs), seed, statistic);
}

void add_to(CalibrationBins& sums, const Judgement& judgement) {
  if (judgement.verdict == Verdict::failed || !(judgement.probability >= 0.0F)) return;
  const double p = std::min(1.0, static_cast<double>(judgement.probability));
  CalibrationSums& bin = sums[std::min(kCalibrationBins - 1, static_cast<std::size_t>(p * kCalibrationBins))];
  const double error = p - (judgement.truth ? 1.0 : 0.0);
  ++bin.count;
  bin.positive += judgement.truth ? 1 : 0;
  bin.probabilities += p;
  bin.squares += error * error;
}

Calibration calibrate(std::span<const Judgement> judgements) {
  CalibrationBins sums;
  for (const Judgement& j : judgements) add_to(sums, j);
  return calibrate(sums);
}

Calibration calibrate(const CalibrationBins& sums) {
  Calibration calibration;
  double squares = 0;
  for (const CalibrationSums& bin : sums) {
    calibration.judgements += bin.count;
    squares += bin.squares;
  }
  const auto all = static_cast<double>(calibration.judgements);
  for (const CalibrationSums& sum : sums) {
    CalibrationBin bin{sum.count, kNaN, wilson(sum.positive, sum.count)};
    if (sum.count > 0) {
      bin.mean_probability = sum.probabilities / static_cast<double>(sum.count);
      calibration.expected_error +=
          static_cast<double>(sum.count) / all * std::abs(bin.mean_probability - bin.positive.value);
    }
    calibration.bins.push_back(bin);
  }
  if (calibration.judgements == 0) calibration.expected_error = kNaN;
  calibration.brier = calibration.judgements == 0 ? kNaN : squares / all;
  return calibration;
}

Interval auc_interval(std::span<const Judgement> judgements) {
  const double area = auc(judgements);
  if (std::isnan(area)) return {kNaN, kNaN, kNaN};
  std::vector<float> positive, negative;
  for (const Judgement& j : judgements) {
    if (j.verdict != Verdict::failed) (j.truth ? positive : negative).push_back(j.probability);
  }
  if (positive.size() < 2 || negative.size() < 2) return {area, kNaN, kNaN};
  std::sort(positive.begin(), positive.end());
  std::sort(negative.begin(), negative.end());
  const std::vector<double> above = placements(positive, negative);
  const std::vector<double> below = placements(negative, positive);
  const double deviation = std::sqrt(variance(above, area) / static_cast<double>(positive.size()) +
                                     variance(below, 1 - area) / static_cast<double>(negative.size()));
  return {area, std::max(0.0, area - kZ95 * deviation), std::min(1.0, area + kZ95 * deviation)};
}

}  // namespace gloss::score
