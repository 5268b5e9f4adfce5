#pragma once
/// The rows of a run by latent, and the windows that are shown of one. Private to the report.
#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gloss/report/run_data.h"

namespace gloss::report {

/// A column of the table: one scorer with one judge.
using Column = std::pair<std::string, std::string>;

/// All the rows of one latent, without those of baselines.
struct LatentRows {
  std::string hookpoint;
  LatentId id{};
  const store::LatentRow* row = nullptr;                             // null: never looked at
  std::map<std::string, const store::ExplanationRow*> explanations;  // by explainer
  std::vector<const store::ScoreRow*> scores;
  bool detailed = false;  // its windows are shown
};

struct Table {
  std::vector<std::string> explainers, hookpoints;
  std::vector<Column> columns;
  std::vector<LatentRows> latents;  // by hookpoint, then latent
  std::size_t left_out = 0;
};
/// Lifetime: `data` must outlive the result.
Table make_table(const RunData& data);

/// A display piece of a window: a token, or those that share a character.
struct ShownPiece {
  std::string text;         // valid UTF-8, not yet harmless
  float activation = 0.0F;  // the largest of its tokens
  bool marked = false;
};
/// Shapes: marked [W], or empty: none is.
std::vector<ShownPiece> shown_pieces(const RunData& data, const examples::Window& window,
                                     const std::vector<bool>& marked);

/// "right", "missed", "false alarm" or "failed".
std::string_view verdict_code(const score::Judgement& judgement);
/// As judged_windows(), but at most so many that are not right and so many that are.
std::vector<JudgedWindow> few_judged_windows(const RunData& data, const store::ScoreRow& row,
                                             const examples::LatentExamples& examples, std::size_t wrong,
                                             std::size_t right);
/// Those of the test split first. Lifetime: `examples` must outlive the result.
std::vector<const examples::Window*> silent_windows(const examples::LatentExamples& examples, std::size_t count);

}  // namespace gloss::report
