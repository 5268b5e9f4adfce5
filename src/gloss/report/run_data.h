#pragma once
/// What a report is made of: rows of the store, and ways to the windows behind them.
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gloss/examples/examples.h"
#include "gloss/index/histograms.h"
#include "gloss/index/input_output.h"
#include "gloss/index/latent_weights.h"
#include "gloss/report/summary.h"
#include "gloss/score/judge.h"
#include "gloss/store/store.h"
#include "gloss/text/token_file.h"
#include "gloss/text/tokenizer.h"

namespace gloss::report {

struct FilterTally;

struct FiringHistograms {
  index::Histogram<double> strength;        // bins of equal width up to its maximum
  index::Histogram<std::uint32_t> offsets;  // from the beginning of a context
};

/// Threads: one at a time. Lifetime: what the callbacks hold must outlive this.
struct RunData {
  std::string title;  // name of the run
  std::vector<std::pair<std::string, std::string>>
      facts;  // (model, coder, text, tokens, seed, version...), in order shown
  std::vector<store::LatentRow> latents;
  std::vector<store::ExplanationRow> explanations;  // baselines as explainer "shuffled:NAME"
  std::vector<store::ScoreRow> scores;
  LatentSet output;                  // latents known by what they write
  score::QuestionOptions questions;  // those the scores were made with, so that shown marks can be made again
  /// The judgements behind one score.
  std::function<std::vector<score::Judgement>(const store::ScoreRow&)> judgements;
  /// negatives_json() and calibration_json() of the store.
  std::function<nlohmann::json()> negatives, calibration;
  std::function<std::vector<store::CostRow>()> costs;
  /// What filters found a latent to be, and the numbers that tell it.
  std::function<std::vector<std::pair<std::string, double>>(std::string_view hookpoint, LatentId)> kinds;
  /// Those of a hookpoint that a filter found to be of a kind.
  std::function<std::optional<store::KindRow>(std::string_view hookpoint, std::string_view kind)> kind_of;
  /// What filters found by hookpoint and threshold (report/filter_tables.h).
  std::function<std::vector<FilterTally>()> filters;
  /// The windows of a latent, as the scorers had them.
  std::function<examples::LatentExamples(std::string_view hookpoint, LatentId)> examples;
  /// What the latents of a hookpoint write and which are near; null where the run has no such file.
  std::function<const index::LatentWeightsReader*(std::string_view hookpoint)> weights;
  /// How strongly a latent fires and where in its contexts; null: not shown.
  std::function<FiringHistograms(std::string_view hookpoint, LatentId)> histograms;
  /// Input and output scores of a hookpoint; null where the run has none.
  std::function<const index::InputOutput*(std::string_view hookpoint)> input_output;
  text::Tokenizer tokenizer;
  text::TokenFile tokens;
};

/// Rows and judgements of everything in `store`. Lifetime: `store` must outlive the result. The caller adds title,
/// facts, questions, examples, weights, tokenizer and tokens.
RunData from_store(const store::Store& store);
/// The same of these latents alone. What is told of a run or of whole hookpoints (negatives, costs, filters) is not
/// there; the figure of calibration is of their judgements.
RunData from_store(const store::Store& store, const LatentSet& only);

/// What may be shown of one latent. `silent` are windows in which it does not fire.
struct JudgedWindow {
  examples::Window window;
  score::Judgement judgement;
  std::vector<bool> marked;  // as shown to the judge; all false for detection
};
/// The judged windows of one score, wrong ones first, then failed, then right; within each the most active first.
/// Windows that `data` cannot make again are left out.
std::vector<JudgedWindow> judged_windows(const RunData& data, const store::ScoreRow& row,
                                         const examples::LatentExamples& examples);
/// Up to `count` windows spread evenly over the quantiles, the most active first.
std::vector<examples::Window> example_windows(const examples::LatentExamples& examples, std::size_t count);

}  // namespace gloss::report
