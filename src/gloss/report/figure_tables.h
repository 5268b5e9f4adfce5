#pragma once
/// The numbers of figures. Private to the report.
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gloss/report/vega_figures.h"

namespace gloss::report {

inline constexpr std::size_t kFigureBins = 20;

/// null where it is not finite.
nlohmann::json cell_of(double value);

/// What a curve or bar set is called: the explainer, and whose judgements where a scorer has several judges.
class SeriesNames {
 public:
  explicit SeriesNames(const RunSummary& summary);
  std::string of(const std::string& explainer, const std::string& scorer, const std::string& judge) const;

 private:
  std::map<std::string, std::size_t, std::less<>> judges_;  // by scorer
};

/// scorer, series, baseline, decile, accuracy, low, high, latents.
FigureTable decile_table(const RunSummary& summary);
/// scorer, score_name, series, baseline, score, low, high, chance, latents, failed, judgements.
FigureTable score_table(const RunSummary& summary);
/// scorer, score_name, series, baseline, from, to, latents, share.
FigureTable histogram_table(const RunData& data, const RunSummary& summary);
/// hookpoint, latent, series, scorer, density, f1: of scorers whose windows are answered yes or no.
FigureTable density_table(const RunData& data, const RunSummary& summary);
/// scorer, series, false_positive_rate, true_positive_rate, threshold; thresholds 1 to 0, all judgements pooled.
FigureTable roc_table(const RunData& data, const RunSummary& summary);
/// scorer, series, from, to, judgements, mean_probability, positive, low, high.
FigureTable calibration_table(const RunData& data, const RunSummary& summary);
/// stage, provider, replies, prompt_tokens, cached_tokens, completion_tokens, dollars.
FigureTable cost_table(const RunData& data);

/// Two scores of the same explanations.
struct ScorePair {
  std::string explainer, scorer_a, judge_a, scorer_b, judge_b;
};
/// hookpoint, latent, a, b, explanation.
FigureTable pair_table(const RunData& data, const ScorePair& pair);
/// explainer, from, to, outcome, windows, share: activating windows of one latent that detection and fuzz both judged.
FigureTable outcome_table(const RunData& data, const std::string& hookpoint, LatentId latent);

}  // namespace gloss::report
