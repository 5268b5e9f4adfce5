#include "gloss/score/base_rate.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace gloss::score {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

double ratio(double part, double whole) { return whole > 0 ? part / whole : kNaN; }

/// An answered judgement of a stratum, and for how many windows of the text it stands.
struct Weighted {
  float probability;
  bool truth, yes;
  double weight;
};

/// Index of the stratum: 0 silent, 1 .. Q the quantiles; Q + 1 for a window that is no sample of the text.
std::size_t stratum_of(const Judgement& j, std::size_t quantiles) {
  if (j.kind == examples::WindowKind::silent_random) return 0;
  const bool sampled = j.kind == examples::WindowKind::activating && j.quantile >= 1 && j.quantile <= quantiles;
  return sampled ? j.quantile : quantiles + 1;
}

/// Empty when a stratum that has windows has no answer.
std::vector<Weighted> weigh(std::span<const Judgement> judgements, const Strata& strata) {
  const std::size_t quantiles = strata.activating.size();
  std::vector<std::uint64_t> answered(quantiles + 2, 0);
  for (const Judgement& j : judgements) {
    if (j.verdict != Verdict::failed) ++answered[stratum_of(j, quantiles)];
  }
  const auto size_of = [&](std::size_t stratum) {
    return stratum == 0 ? strata.silent : strata.activating[stratum - 1];
  };
  for (std::size_t s = 0; s <= quantiles; ++s) {
    if (size_of(s) > 0 && answered[s] == 0) return {};
  }
  std::vector<Weighted> weighted;
  for (const Judgement& j : judgements) {
    const std::size_t s = stratum_of(j, quantiles);
    if (j.verdict == Verdict::failed || s > quantiles) continue;
    const double weight = static_cast<double>(size_of(s)) / static_cast<double>(answered[s]);
    weighted.push_back({j.probability, j.truth, j.verdict == Verdict::yes, weight});
  }
  return weighted;
}

/// Sum over thresholds of (gain in recall) x precision there; answers of one probability come in together.
double average_precision(std::vector<Weighted> weighted) {
  double positives = 0;
  for (const Weighted& w : weighted) {
    if (!(w.probability >= 0.0F)) return kNaN;
    if (w.truth) positives += w.weight;
  }
  if (!(positives > 0)) return kNaN;
  std::sort(weighted.begin(), weighted.end(),
            [](const Weighted& a, const Weighted& b) { return a.probability > b.probability; });
  double right = 0, taken = 0, area = 0;
  for (std::size_t i = 0; i < weighted.size();) {
    const float threshold = weighted[i].probability;
    double gained = 0;
    for (; i < weighted.size() && weighted[i].probability == threshold; ++i) {
      taken += weighted[i].weight;
      if (weighted[i].truth) gained += weighted[i].weight;
    }
    right += gained;
    if (taken > 0) area += gained / positives * (right / taken);
  }
  return area;
}

}  // namespace

Strata strata_of(std::uint64_t activating, std::uint64_t silent, std::uint32_t quantiles) {
  Strata strata{std::vector<std::uint64_t>(quantiles, 0), silent};
  // Rank r has quantile Q - floor(r Q / n): quantile q holds the ranks from ceil((Q - q) n / Q) on.
  const auto first_rank = [&](std::uint64_t above) { return (above * activating + quantiles - 1) / quantiles; };
  for (std::uint32_t q = 1; q <= quantiles; ++q) {
    strata.activating[q - 1] = first_rank(std::uint64_t{quantiles} - q + 1) - first_rank(std::uint64_t{quantiles} - q);
  }
  return strata;
}

BaseRateScore at_base_rate(std::span<const Judgement> judgements, const Strata& strata) {
  const std::vector<Weighted> weighted = weigh(judgements, strata);
  if (weighted.empty()) return {kNaN, kNaN, kNaN, kNaN, kNaN};
  double tp = 0, fp = 0, fn = 0;
  for (const Weighted& w : weighted) {
    if (w.yes) (w.truth ? tp : fp) += w.weight;
    if (!w.yes && w.truth) fn += w.weight;
  }
  return {ratio(tp, tp + fp), ratio(tp, tp + fn), ratio(2 * tp, 2 * tp + fp + fn), ratio(tp, tp + fp + fn),
          average_precision(weighted)};
}

void add_base_rate(LatentScore& score, std::span<const Judgement> judgements, const Strata& strata) {
  const BaseRateScore base = at_base_rate(judgements, strata);
  const auto add = [&](const char* name, double value) {
    if (!std::isnan(value)) score.measures.push_back({name, {value, kNaN, kNaN}});
  };
  add("base_precision", base.precision);
  add("base_recall", base.recall);
  add("base_f1", base.f1);
  add("base_iou", base.iou);
  add("base_auprc", base.auprc);
}

}  // namespace gloss::score
