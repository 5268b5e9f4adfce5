#pragma once
/// Two explainers on the same windows, two scorers on the same latents, and how far probabilities can be believed.
/// Method: docs/methods.md 7.
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "gloss/score/judgement.h"

namespace gloss::score {

/// Mean of b - a over the items where both are numbers, with a 95 % bootstrap interval over those (items are drawn as
/// pairs). One pair has no interval (NaN), none no mean. Shapes: a, b [n].
Interval mean_difference(std::span<const double> a, std::span<const double> b, std::uint64_t seed);

/// Windows that both judged: what each of them got right.
struct Agreement {
  std::uint64_t both_right = 0, only_a = 0, only_b = 0, both_wrong = 0;
  std::uint64_t windows() const { return both_right + only_a + only_b + both_wrong; }
};
/// Windows are matched by (start, kind, truth); failed ones and those that only one judged are left out.
Agreement match(std::span<const Judgement> a, std::span<const Judgement> b);
/// Two-sided exact McNemar test: the chance of a split at least as uneven as (only_a, only_b) if both were equally
/// often right. 1 when they never differ. Source: McNemar 1947, with the binomial distribution.
double mcnemar(std::uint64_t only_a, std::uint64_t only_b);

/// Correlation with a 95 % bootstrap interval over the pairs where both are numbers; NaN where it is not defined (fewer
/// than 3 pairs, a constant side). Spearman: Pearson of mid-ranks. Shapes: a, b [n].
Interval pearson(std::span<const double> a, std::span<const double> b, std::uint64_t seed);
Interval spearman(std::span<const double> a, std::span<const double> b, std::uint64_t seed);

inline constexpr std::size_t kCalibrationBins = 10;

/// One tenth of the probabilities: [k/10, (k+1)/10).
struct CalibrationBin {
  std::uint64_t count = 0;
  double mean_probability = 0.0;
  Interval positive;  // share whose truth is yes, Wilson
};
struct Calibration {
  std::vector<CalibrationBin> bins;  // 10
  double expected_error = 0.0;       // sum over bins of (share of judgements) |mean probability - share positive|
  double brier = 0.0;                // mean of (probability - truth)^2
  std::uint64_t judgements = 0;
};
/// Of the judgements that have a probability; NaN measures when there are none.
Calibration calibrate(std::span<const Judgement> judgements);

/// Sums over the judgements of one tenth of the probabilities.
struct CalibrationSums {
  std::uint64_t count = 0, positive = 0;
  double probabilities = 0.0, squares = 0.0;  // sums of p and of (p - truth)^2
};
using CalibrationBins = std::array<CalibrationSums, kCalibrationBins>;
/// Adds a judgement where it has a probability and a verdict.
void add_to(CalibrationBins& sums, const Judgement& judgement);
/// The same from sums.
Calibration calibrate(const CalibrationBins& sums);

/// The area under the ROC curve with DeLong's 95 % interval, cut to [0, 1]. NaN as auc(); no interval when a side has
/// one item. Source: DeLong, DeLong and Clarke-Pearson 1988.
Interval auc_interval(std::span<const Judgement> judgements);

}  // namespace gloss::score
