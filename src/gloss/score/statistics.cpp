#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "gloss/base/random.h"
#include "gloss/score/judgement.h"

namespace gloss::score {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kZ95 = 1.959963984540054;  // 97.5th percentile of the standard normal
constexpr std::size_t kResamples = 2000;
constexpr std::size_t kLargestResampled = 5000;

/// The value at fraction `q` of sorted numbers, between neighbours by straight line.
double quantile_of(std::span<const double> sorted, double q) {
  const double place = q * static_cast<double>(sorted.size() - 1);
  const auto left = static_cast<std::size_t>(place);
  const std::size_t right = std::min(left + 1, sorted.size() - 1);
  return sorted[left] + (place - static_cast<double>(left)) * (sorted[right] - sorted[left]);
}

double mean_of(std::span<const double> values) {
  double sum = 0;
  for (const double v : values) sum += v;
  return sum / static_cast<double>(values.size());
}

Interval normal_interval(std::span<const double> values, double mean) {
  double squares = 0;
  for (const double v : values) squares += (v - mean) * (v - mean);
  const auto n = static_cast<double>(values.size());
  const double half = kZ95 * std::sqrt(squares / (n - 1) / n);
  return {mean, mean - half, mean + half};
}

Interval bootstrap_interval(std::span<const double> values, double mean, std::uint64_t seed) {
  Random random = Random::for_purpose(seed, "bootstrap");
  const auto n = static_cast<std::uint32_t>(values.size());
  std::vector<double> means(kResamples);
  for (double& resampled : means) {
    double sum = 0;
    for (std::uint32_t drawn = 0; drawn < n; drawn += 2) {
      // Two draws a number. Scaling 32 bits to n <= 5,000 favours no value by more than one in 800,000.
      const std::uint64_t bits = random.next_u64();
      sum += values[((bits & 0xFFFFFFFF) * n) >> 32];
      if (drawn + 1 < n) sum += values[((bits >> 32) * n) >> 32];
    }
    resampled = sum / n;
  }
  std::sort(means.begin(), means.end());
  return {mean, quantile_of(means, 0.025), quantile_of(means, 0.975)};
}

void count(LatentScore& score, const Judgement& j) {
  if (j.verdict == Verdict::failed) {
    ++score.failed;
  } else if (j.truth) {
    ++(j.verdict == Verdict::yes ? score.tp : score.fn);
  } else {
    ++(j.verdict == Verdict::yes ? score.fp : score.tn);
  }
}

}  // namespace

Interval balanced_accuracy(const Interval& a, const Interval& b) {
  const double value = (a.value + b.value) / 2;
  const double below = std::hypot(a.value - a.low, b.value - b.low) / 2;
  const double above = std::hypot(a.high - a.value, b.high - b.value) / 2;
  return {value, value - below, value + above};
}

Interval wilson(std::uint64_t hits, std::uint64_t n) {
  if (n == 0) return {kNaN, kNaN, kNaN};
  const auto total = static_cast<double>(n);
  const double p = static_cast<double>(hits) / total;
  const double z2 = kZ95 * kZ95;
  const double centre = (p + z2 / (2 * total)) / (1 + z2 / total);
  const double half = kZ95 / (1 + z2 / total) * std::sqrt(p * (1 - p) / total + z2 / (4 * total * total));
  // At 0 and 1 the bound is exact; rounding must not move it past the value.
  return {p, hits == 0 ? 0.0 : std::max(0.0, centre - half), hits == n ? 1.0 : std::min(1.0, centre + half)};
}

double auc(std::span<const Judgement> judgements) {
  std::vector<std::pair<float, bool>> ranked;
  for (const Judgement& j : judgements) {
    if (j.verdict == Verdict::failed) continue;
    if (!(j.probability >= 0.0F)) return kNaN;
    ranked.emplace_back(j.probability, j.truth);
  }
  std::sort(ranked.begin(), ranked.end());
  double wins = 0;
  std::size_t positives = 0;
  std::size_t negatives = 0;
  for (std::size_t i = 0; i < ranked.size();) {
    std::size_t tied_positives = 0;
    const std::size_t first = i;
    for (; i < ranked.size() && ranked[i].first == ranked[first].first; ++i) tied_positives += ranked[i].second ? 1 : 0;
    const std::size_t tied_negatives = i - first - tied_positives;
    wins += static_cast<double>(tied_positives) *
            (static_cast<double>(negatives) + static_cast<double>(tied_negatives) / 2);
    positives += tied_positives;
    negatives += tied_negatives;
  }
  if (positives == 0 || negatives == 0) return kNaN;
  return wins / (static_cast<double>(positives) * static_cast<double>(negatives));
}

void add_rates(LatentScore& score) {
  const std::uint64_t tp = score.tp, fp = score.fp;
  score.recall = wilson(tp, tp + score.fn);
  score.specificity = wilson(score.tn, score.tn + fp);
  score.precision = wilson(tp, tp + fp);
  score.balanced_accuracy = balanced_accuracy(score.recall, score.specificity);
  const std::uint64_t f1_denominator = 2 * tp + fp + score.fn;
  score.f1 = f1_denominator == 0 ? kNaN : static_cast<double>(2 * tp) / static_cast<double>(f1_denominator);
}

LatentScore summarize(LatentId latent, std::span<const Judgement> judgements, std::uint32_t quantiles) {
  LatentScore score;
  score.latent = latent;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> per_quantile(quantiles);  // (yes, answered)
  for (const Judgement& j : judgements) {
    count(score, j);
    if (!j.truth || j.verdict == Verdict::failed || j.quantile == 0 || j.quantile > quantiles) continue;
    auto& [yes, answered] = per_quantile[j.quantile - 1U];
    yes += j.verdict == Verdict::yes ? 1 : 0;
    ++answered;
  }
  add_rates(score);
  score.auc = auc(judgements);
  for (const auto& [yes, answered] : per_quantile) score.per_quantile.push_back(wilson(yes, answered));
  return score;
}

Interval mean_over_latents(std::span<const double> values, std::uint64_t seed) {
  std::vector<double> known;
  for (const double v : values) {
    if (!std::isnan(v)) known.push_back(v);
  }
  if (known.empty()) return {kNaN, kNaN, kNaN};
  const double mean = mean_of(known);
  if (known.size() == 1) return {mean, kNaN, kNaN};
  return known.size() > kLargestResampled ? normal_interval(known, mean) : bootstrap_interval(known, mean, seed);
}

Interval weighted_mean_over_latents(std::span<const double> values, std::span<const double> weights,
                                    std::uint64_t seed) {
  std::vector<double> products, kept;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::isnan(values[i]) || !(weights[i] > 0)) continue;
    products.push_back(values[i] * weights[i]);
    kept.push_back(weights[i]);
  }
  if (kept.empty()) return {kNaN, kNaN, kNaN};
  const double mean = mean_of(products) / mean_of(kept);
  if (kept.size() == 1) return {mean, kNaN, kNaN};
  if (kept.size() > kLargestResampled) {
    // The ratio's linearization: its variance is that of (v - mean) w, over the square of the weights' mean.
    const double scale = mean_of(kept);
    std::vector<double> terms(kept.size());
    for (std::size_t i = 0; i < kept.size(); ++i) terms[i] = mean + (products[i] - mean * kept[i]) / scale;
    return normal_interval(terms, mean);
  }
  Random random = Random::for_purpose(seed, "weighted-bootstrap");
  std::vector<double> means(kResamples);
  for (double& resampled : means) {
    double sum = 0, weight = 0;
    for (std::size_t drawn = 0; drawn < kept.size(); ++drawn) {
      const std::size_t i = random.below(kept.size());
      sum += products[i];
      weight += kept[i];
    }
    resampled = sum / weight;
  }
  std::sort(means.begin(), means.end());
  return {mean, quantile_of(means, 0.025), quantile_of(means, 0.975)};
}

}  // namespace gloss::score
