#pragma once
/// What a score would be in running text: sampled windows are strata whose true sizes the index knows.
/// Method: docs/methods.md 7. Source: post-stratified estimates (Horvitz and Thompson 1952).
#include <cstdint>
#include <span>
#include <vector>

#include "gloss/score/judgement.h"

namespace gloss::score {

/// How many windows of the whole cache are of each kind.
struct Strata {
  std::vector<std::uint64_t> activating;  // [Q], weakest quantile first
  std::uint64_t silent = 0;
};
/// Of a latent with `activating` windows, ranked by maximum and cut into quantiles as examples::Builder does.
Strata strata_of(std::uint64_t activating, std::uint64_t silent, std::uint32_t quantiles);

/// Every judgement counts for (windows of its stratum / judgements answered in it). NaN where a denominator is 0, or
/// when a stratum that has windows has no answered judgement: nothing is known of that part of the text.
struct BaseRateScore {
  double precision = 0.0, recall = 0.0, f1 = 0.0, iou = 0.0;  // IoU = TP / (TP + FP + FN)
  double auprc = 0.0;  // average precision over thresholds of the probability; NaN when an answer has none
};
/// Detection only: truth must mean that the window activates. Silent windows of kinds other than random (neighbours,
/// by meaning) are no sample of the text and left out.
BaseRateScore at_base_rate(std::span<const Judgement> judgements, const Strata& strata);
/// The same as measures base_precision, base_recall, base_f1, base_iou and base_auprc, those that are not NaN.
void add_base_rate(LatentScore& score, std::span<const Judgement> judgements, const Strata& strata);

}  // namespace gloss::score
