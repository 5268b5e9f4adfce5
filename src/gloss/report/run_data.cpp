#include "gloss/report/run_data.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/report/calibration.h"
#include "gloss/report/filter_tables.h"
#include "gloss/report/negatives.h"

namespace gloss::report {
namespace {

using examples::Window;
using score::Verdict;

using WindowKey = std::pair<std::uint32_t, examples::WindowKind>;

bool is_wrong(const score::Judgement& j) {
  return j.verdict != Verdict::failed && (j.verdict == Verdict::yes) != j.truth;
}

/// 0 wrong, 1 failed, 2 right.
int place_of(const score::Judgement& j) { return j.verdict == Verdict::failed ? 1 : is_wrong(j) ? 0 : 2; }

bool more_active(const JudgedWindow& a, const JudgedWindow& b) {
  return std::pair(-a.window.max, a.window.start) < std::pair(-b.window.max, b.window.start);
}

/// Misses and false alarms in turn, so that neither hides the other.
void alternate(std::vector<JudgedWindow>& wrong) {
  std::vector<JudgedWindow> sides[2];
  for (JudgedWindow& w : wrong) sides[w.judgement.truth ? 0 : 1].push_back(std::move(w));
  wrong.clear();
  for (std::size_t i = 0; i < std::max(sides[0].size(), sides[1].size()); ++i) {
    for (std::vector<JudgedWindow>& side : sides) {
      if (i < side.size()) wrong.push_back(std::move(side[i]));
    }
  }
}

std::map<WindowKey, score::Question> questions_of(const RunData& data, const store::ScoreRow& row,
                                                  const examples::LatentExamples& examples) {
  std::map<WindowKey, score::Question> questions;
  const score::Scorer scorer = score::parse_scorer(row.scorer);
  for (score::Question& q : score::make_questions(scorer, row.hookpoint, examples, data.questions)) {
    const WindowKey key{q.window.start, q.window.kind};
    questions.emplace(key, std::move(q));
  }
  return questions;
}

/// So many latents are asked for one by one; for more it is faster to pass over all.
constexpr std::size_t kMostAskedFor = 20'000;

RunData callbacks_of(const store::Store& store) {
  RunData data;
  data.output = output_latents(store);
  data.judgements = [&store](const store::ScoreRow& row) {
    return store.judgements(row.hookpoint, row.score.latent, row.explainer, row.scorer, row.judge);
  };
  data.kind_of = [&store](std::string_view hookpoint, std::string_view kind) { return store.kind(hookpoint, kind); };
  data.kinds = [&store](std::string_view hookpoint, LatentId latent) { return store.kinds_of(hookpoint, latent); };
  return data;
}

}  // namespace

RunData from_store(const store::Store& store) {
  RunData data = callbacks_of(store);
  data.latents = store.latents("");
  data.explanations = store.explanations("", "");
  data.scores = store.scores("", "", "");
  data.negatives = [&store] { return negatives_json(store); };
  data.calibration = [&store] { return calibration_json(store); };
  data.costs = [&store] { return store.costs(); };
  data.filters = [&store] { return filter_tallies(store); };
  return data;
}

RunData from_store(const store::Store& store, const LatentSet& only) {
  RunData data = callbacks_of(store);
  if (only.size() <= kMostAskedFor) {
    for (const auto& [hookpoint, latent] : only) {
      if (auto row = store.latent(hookpoint, latent)) data.latents.push_back(*std::move(row));
      for (auto& row : store.explanations_of(hookpoint, latent)) data.explanations.push_back(std::move(row));
      for (auto& row : store.scores_of(hookpoint, latent)) data.scores.push_back(std::move(row));
    }
    return data;
  }
  data.latents = store.latents("");
  std::erase_if(data.latents, [&](const auto& row) { return !only.contains({row.hookpoint, row.latent}); });
  store.each_explanation("", "", [&](const store::ExplanationRow& row) {
    if (only.contains({row.hookpoint, row.explanation.latent})) data.explanations.push_back(row);
  });
  store.each_score("", "", "", [&](const store::ScoreRow& row) {
    if (only.contains({row.hookpoint, row.score.latent})) data.scores.push_back(row);
  });
  return data;
}

std::vector<JudgedWindow> judged_windows(const RunData& data, const store::ScoreRow& row,
                                         const examples::LatentExamples& examples) {
  std::vector<JudgedWindow> groups[3];
  if (!data.judgements) return {};
  const std::map<WindowKey, score::Question> questions = questions_of(data, row, examples);
  for (score::Judgement& j : data.judgements(row)) {
    const auto found = questions.find({j.start, j.kind});
    if (found == questions.end() || found->second.truth != j.truth) continue;
    const auto place = static_cast<std::size_t>(place_of(j));
    groups[place].push_back({found->second.window, std::move(j), found->second.marked});
  }
  std::vector<JudgedWindow> all;
  for (std::vector<JudgedWindow>& group : groups) {
    std::sort(group.begin(), group.end(), more_active);
    if (&group == &groups[0]) alternate(group);
    std::move(group.begin(), group.end(), std::back_inserter(all));
  }
  return all;
}

std::vector<Window> example_windows(const examples::LatentExamples& examples, std::size_t count) {
  std::map<std::uint8_t, std::vector<const Window*>, std::greater<>> by_quantile;
  for (const auto* split : {&examples.explain, &examples.test}) {
    for (const Window& w : *split) by_quantile[w.quantile].push_back(&w);
  }
  const auto stronger = [](const Window* a, const Window* b) {
    return std::pair(-a->max, a->start) < std::pair(-b->max, b->start);
  };
  std::size_t deepest = 0;
  for (auto& [quantile, windows] : by_quantile) {
    std::sort(windows.begin(), windows.end(), stronger);
    deepest = std::max(deepest, windows.size());
  }
  std::vector<const Window*> chosen;
  for (std::size_t round = 0; round < deepest; ++round) {
    for (const auto& [quantile, windows] : by_quantile) {
      if (round < windows.size() && chosen.size() < count) chosen.push_back(windows[round]);
    }
  }
  std::sort(chosen.begin(), chosen.end(), stronger);
  std::vector<Window> result;
  result.reserve(chosen.size());
  for (const Window* w : chosen) result.push_back(*w);
  return result;
}

}  // namespace gloss::report
