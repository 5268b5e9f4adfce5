#include "gloss/report/compare.h"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>
#include <utility>

#include "gloss/report/summary.h"
#include "gloss/score/judge.h"

namespace gloss::report {
namespace {

constexpr double kSignificant = 0.05;

/// Each scorer's own number (score::headline) by (hookpoint, latent).
using Scores = std::map<std::pair<std::string, std::uint32_t>, double>;
/// By scorer, then by judge.
using ByJudge = std::map<std::string, std::map<std::string, Scores>>;

ByJudge scores_of(const Side& side) {
  ByJudge scores;
  side.store.each_score("", side.explainer, "", [&](const store::ScoreRow& row) {
    scores[row.scorer][row.judge][{row.hookpoint, to_index(row.score.latent)}] =
        score::headline(row.scorer, row.score).value.value;
  });
  return scores;
}

/// Judges to set against each other: the common ones, else the only ones.
std::vector<std::pair<std::string, std::string>> judge_pairs(const std::map<std::string, Scores>& a,
                                                             const std::map<std::string, Scores>& b) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const auto& [judge, scores] : a) {
    if (b.contains(judge)) pairs.emplace_back(judge, judge);
  }
  if (pairs.empty() && a.size() == 1 && b.size() == 1) pairs.emplace_back(a.begin()->first, b.begin()->first);
  return pairs;
}

void add_windows(Comparison& row, const Side& a, const Side& b, const std::string& hookpoint, LatentId latent) {
  const score::Agreement one =
      score::match(a.store.judgements(hookpoint, latent, a.explainer, row.scorer, row.judge_a),
                   b.store.judgements(hookpoint, latent, b.explainer, row.scorer, row.judge_b));
  row.windows.both_right += one.both_right;
  row.windows.both_wrong += one.both_wrong;
  row.windows.only_a += one.only_a;
  row.windows.only_b += one.only_b;
  if (score::mcnemar(one.only_a, one.only_b) >= kSignificant) return;
  ++(one.only_a > one.only_b ? row.a_better : row.b_better);
}

Comparison compare_scores(Comparison row, const Side& a, const Side& b, const Scores& of_a, const Scores& of_b,
                          bool same_windows, std::uint64_t seed) {
  std::vector<double> values_a, values_b;
  for (const auto& [key, value] : of_a) {
    const auto found = of_b.find(key);
    if (found == of_b.end()) {
      ++row.only_a;
      continue;
    }
    if (same_windows) add_windows(row, a, b, key.first, LatentId{key.second});
    if (value != value || found->second != found->second) continue;  // NaN: a class is missing
    values_a.push_back(value);
    values_b.push_back(found->second);
  }
  row.latents = values_a.size();
  for (const auto& [key, value] : of_b) row.only_b += of_a.contains(key) ? 0 : 1;
  row.a = score::mean_over_latents(values_a, seed);
  row.b = score::mean_over_latents(values_b, seed);
  row.difference = score::mean_difference(values_a, values_b, seed);
  return row;
}

}  // namespace

std::vector<Comparison> compare(const Side& a, const Side& b, bool same_windows, std::uint64_t seed) {
  const ByJudge scores_a = scores_of(a);
  const ByJudge scores_b = scores_of(b);
  std::vector<Comparison> rows;
  for (const auto& [scorer, judges_a] : scores_a) {
    const auto judges_b = scores_b.find(scorer);
    if (judges_b == scores_b.end()) continue;
    for (const auto& [judge_a, judge_b] : judge_pairs(judges_a, judges_b->second)) {
      Comparison row;
      row.scorer = scorer;
      row.judge_a = judge_a;
      row.judge_b = judge_b;
      rows.push_back(
          compare_scores(std::move(row), a, b, judges_a.at(judge_a), judges_b->second.at(judge_b), same_windows, seed));
    }
  }
  return rows;
}

nlohmann::json to_json(const Comparison& c) {
  nlohmann::json json = {{"scorer", c.scorer},
                         {"judge_a", c.judge_a},
                         {"judge_b", c.judge_b},
                         {"latents", c.latents},
                         {"only_a", c.only_a},
                         {"only_b", c.only_b},
                         {"a", interval_json(c.a, "mean")},
                         {"b", interval_json(c.b, "mean")},
                         {"difference", interval_json(c.difference, "mean")},
                         {"latents_a_better", c.a_better},
                         {"latents_b_better", c.b_better}};
  json["windows"] = {{"both_right", c.windows.both_right},
                     {"only_a_right", c.windows.only_a},
                     {"only_b_right", c.windows.only_b},
                     {"both_wrong", c.windows.both_wrong}};
  return json;
}

std::string to_text(const Comparison& c) {
  const std::string judges = c.judge_a == c.judge_b ? c.judge_a : fmt::format("{} / {}", c.judge_a, c.judge_b);
  std::string text = fmt::format(
      "{} ({}): {} latents, {} A {:.3f} [{:.3f}, {:.3f}]  B {:.3f} [{:.3f}, {:.3f}]\n"
      "  B - A  {:+.3f} [{:+.3f}, {:+.3f}]\n",
      c.scorer, judges, c.latents, score::headline(c.scorer, {}).name, c.a.value, c.a.low, c.a.high, c.b.value, c.b.low,
      c.b.high, c.difference.value, c.difference.low, c.difference.high);
  if (const std::uint64_t n = c.windows.windows(); n > 0) {
    text += fmt::format(
        "  {} windows judged for both: both right {}, only A {}, only B {}, both wrong {}\n"
        "  latents where one is better at p < 0.05 (McNemar): A {}, B {}\n",
        n, c.windows.both_right, c.windows.only_a, c.windows.only_b, c.windows.both_wrong, c.a_better, c.b_better);
  }
  if (c.only_a + c.only_b > 0)
    text += fmt::format("  left out: {} latents scored for A alone, {} for B alone\n", c.only_a, c.only_b);
  return text;
}

}  // namespace gloss::report
