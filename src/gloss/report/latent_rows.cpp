#include "gloss/report/latent_rows.h"

#include <algorithm>
#include <set>

#include "gloss/base/natural_order.h"
#include "gloss/examples/token_window.h"
#include "gloss/report/page.h"
#include "gloss/score/baselines.h"

namespace gloss::report {

using examples::Window;
using score::Verdict;

Table make_table(const RunData& data) {
  Table table;
  table.explainers = explainers_of(data);
  std::map<std::pair<std::string, LatentId>, LatentRows> latents;
  std::set<std::string> hookpoints;
  std::set<Column> columns;
  const auto at = [&](const std::string& hookpoint, LatentId id) -> LatentRows& {
    hookpoints.insert(hookpoint);
    LatentRows& latent = latents[{hookpoint, id}];
    latent.hookpoint = hookpoint;
    latent.id = id;
    return latent;
  };
  for (const store::LatentRow& row : data.latents) at(row.hookpoint, row.latent).row = &row;
  for (const store::ExplanationRow& row : data.explanations) {
    if (!score::is_shuffled_name(row.explainer))
      at(row.hookpoint, row.explanation.latent).explanations[row.explainer] = &row;
  }
  for (const store::ScoreRow& row : data.scores) {
    if (score::is_shuffled_name(row.explainer)) continue;
    columns.insert({row.scorer, row.judge});
    at(row.hookpoint, row.score.latent).scores.push_back(&row);
  }
  table.columns.assign(columns.begin(), columns.end());
  table.hookpoints.assign(hookpoints.begin(), hookpoints.end());
  natural_sort(table.hookpoints);
  for (auto& [key, latent] : latents) table.latents.push_back(std::move(latent));
  std::stable_sort(table.latents.begin(), table.latents.end(),
                   [](const LatentRows& a, const LatentRows& b) { return natural_less(a.hookpoint, b.hookpoint); });
  return table;
}

std::vector<ShownPiece> shown_pieces(const RunData& data, const Window& window, const std::vector<bool>& marked) {
  std::vector<ShownPiece> shown;
  for (const examples::Piece& piece : examples::pieces(data.tokenizer, examples::window_tokens(data.tokens, window))) {
    ShownPiece& s = shown.emplace_back();
    s.text = piece.text;
    for (std::size_t i = piece.first; i <= piece.last && i < window.activation.size(); ++i) {
      s.activation = std::max(s.activation, window.activation[i]);
      s.marked = s.marked || (i < marked.size() && marked[i]);
    }
  }
  return shown;
}

std::string_view verdict_code(const score::Judgement& judgement) {
  if (judgement.verdict == Verdict::failed) return "failed";
  if ((judgement.verdict == Verdict::yes) == judgement.truth) return "right";
  return judgement.truth ? "missed" : "false alarm";
}

std::vector<JudgedWindow> few_judged_windows(const RunData& data, const store::ScoreRow& row,
                                             const examples::LatentExamples& examples, std::size_t wrong,
                                             std::size_t right) {
  std::vector<JudgedWindow> few;
  for (JudgedWindow& w : judged_windows(data, row, examples)) {
    std::size_t& left = verdict_code(w.judgement) == "right" ? right : wrong;
    if (left == 0) continue;
    --left;
    few.push_back(std::move(w));
  }
  return few;
}

std::vector<const Window*> silent_windows(const examples::LatentExamples& examples, std::size_t count) {
  std::vector<const Window*> windows;
  for (const auto* split : {&examples.test_silent, &examples.explain_silent}) {
    for (const Window& w : *split) {
      if (windows.size() < count) windows.push_back(&w);
    }
  }
  return windows;
}

}  // namespace gloss::report
