#pragma once
/// The scores of a run in a few numbers, per explainer, scorer and judge: report/summary.json and `gloss score --json`.
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gloss/score/judgement.h"
#include "gloss/store/store.h"

namespace gloss::report {

/// The mean of a measure that not every scorer gives, over the `latents` for which it is defined.
struct MeasureSummary {
  std::string name;
  std::uint64_t latents = 0;
  score::Interval mean;
};

/// Two scorers of the same explanations: how their numbers (score::headline) go together over the latents that both
/// have.
struct ScorerCorrelation {
  std::string explainer, scorer_a, judge_a, scorer_b, judge_b;
  std::uint64_t latents = 0;
  score::Interval pearson, spearman;
};

/// Measures are means over the latents for which they are defined, with 95 % bootstrap intervals (latents as clusters).
struct ScorerSummary {
  std::string explainer, scorer, judge;
  std::string hookpoint;                     // "" = all
  std::string group;                         // kOutputLatents, kOtherLatents; "" = all
  std::uint64_t latents = 0;                 // scored
  std::uint64_t explained = 0;               // explanations that succeeded
  std::uint64_t failed_explanations = 0;     // not scored
  std::uint64_t judgements = 0, failed = 0;  // `failed` of them have no verdict
  std::uint64_t undefined = 0;               // scored latents without a `score` (a class is missing)
  std::string score_name;                    // what `score` is: balanced accuracy, accuracy or AUC (score::headline)
  score::Interval score;                     // the one number of the scorer
  double chance = 0.5;                       // what guessing gives of it
  score::Interval balanced_accuracy, precision, recall, specificity, f1, auc;
  score::Interval frequency_weighted;       // balanced accuracy, latents weighted by their firings; NaN = not known
  std::vector<MeasureSummary> measures;     // by name
  std::vector<score::Interval> per_decile;  // accuracy on the windows whose right answer is yes, weakest decile first

  bool many_failed() const { return failed * 20 > judgements; }  // more than 5 %
};

/// (hookpoint, latent)
using LatentSet = std::set<std::pair<std::string, LatentId>>;
inline constexpr std::string_view kOutputLatents = "output latents", kOtherLatents = "other latents";

struct RunSummary {
  std::vector<ScorerSummary> all;               // over all hookpoints, ordered by scorer, explainer, judge
  std::vector<ScorerSummary> by_hookpoint;      // the same apart; empty when there is only one
  std::vector<ScorerSummary> by_group;          // output latents and the others apart; empty when no filter told any
  std::vector<ScorerCorrelation> correlations;  // of every pair of an explainer's scorers with 3 latents in common

  /// What must be said before any number: scorers of which more than 5 % failed. Empty = nothing.
  std::vector<std::string> warnings() const;
  nlohmann::json to_json() const;
};

/// Deterministic in (rows, seed), whatever the order of the rows. `latents` gives the weights of frequency_weighted;
/// `output` are the latents known by what they write (docs/methods.md 13).
RunSummary summarize_run(const std::vector<store::ExplanationRow>& explanations,
                         const std::vector<store::ScoreRow>& scores, std::uint64_t seed,
                         const std::vector<store::LatentRow>& latents = {}, const LatentSet& output = {});
/// The latents that `gloss filter` found to be output latents.
LatentSet output_latents(const store::Store& store);

/// {value_name: value, "low": low, "high": high}; NaN becomes null.
nlohmann::json interval_json(const score::Interval& interval, std::string_view value_name);

}  // namespace gloss::report
