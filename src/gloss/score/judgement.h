#pragma once
/// One judged window, and the sum of many: what every classification scorer gives.
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "gloss/base/ids.h"
#include "gloss/examples/examples.h"

namespace gloss::score {

enum class Verdict : std::uint8_t { no = 0, yes = 1, failed = 2 };

/// `truth`: does the window activate (detection), is it marked correctly (fuzz)?
struct Judgement {
  std::uint32_t start = 0;
  examples::WindowKind kind{};
  std::uint8_t quantile = 0;
  bool truth = false;
  Verdict verdict = Verdict::failed;
  float probability = -1.0F;  // of yes; -1 = not known
  std::string call_hash;      // the LLM call it came from, if any
  std::vector<float> levels;  // [W] 0..10, of simulation; not stored
};

struct Interval {
  double value = 0.0, low = 0.0, high = 0.0;
};

/// A number beside those that every classification scorer gives; bounds NaN = it has no interval.
struct Measure {
  std::string name;
  Interval value;
};

/// Counts and measures of one latent under one scorer. Measures without a denominator are NaN.
struct LatentScore {
  LatentId latent{};
  std::uint32_t tp = 0, fp = 0, tn = 0, fn = 0, failed = 0;
  Interval recall, specificity, precision;  // Wilson 95 %
  Interval balanced_accuracy;               // MOVER of recall and specificity (docs/methods.md 12)
  double f1 = 0.0;
  double auc = 0.0;                    // of the probabilities; NaN when a judgement lacks its own
  std::vector<Interval> per_quantile;  // [Q] accuracy on the windows with truth = yes, weakest quantile first
  std::vector<Measure> measures;       // others, names unique (docs/methods.md 7)
};

/// Wilson 95 % interval of `hits` of `n`; NaN when n = 0.
Interval wilson(std::uint64_t hits, std::uint64_t n);
/// Mean of the two, with the interval that follows from theirs; NaN where one is. Source: method of variance estimates
/// recovery (Zou and Donner 2008) for a mean of two independent rates.
Interval balanced_accuracy(const Interval& recall, const Interval& specificity);
/// The counts and everything that follows from them. Judgements of quantiles above `quantiles` count, but in no
/// quantile.
LatentScore summarize(LatentId latent, std::span<const Judgement> judgements, std::uint32_t quantiles);
/// Recall, specificity, precision, balanced accuracy and F1 of the counts that `score` has.
void add_rates(LatentScore& score);
/// Area under the ROC curve, P(p+ > p-) + P(p+ = p-) / 2; NaN when a side is missing or an answer has no probability.
double auc(std::span<const Judgement> judgements);
/// Mean over latents with a bootstrap 95 % interval, latents as clusters; NaN values are left out. 2,000 resamples up
/// to 5,000 latents; above that their limit, mean +- 1.96 standard errors. One latent has a mean and no interval (NaN).
Interval mean_over_latents(std::span<const double> values, std::uint64_t seed);
/// The same with a weight for each latent; values that are NaN are left out with their weights. NaN when no weight is
/// left. Shapes: values, weights [n].
Interval weighted_mean_over_latents(std::span<const double> values, std::span<const double> weights,
                                    std::uint64_t seed);

}  // namespace gloss::score
