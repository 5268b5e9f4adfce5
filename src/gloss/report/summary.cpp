#include "gloss/report/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>

#include "gloss/base/natural_order.h"
#include "gloss/index/filters.h"
#include "gloss/score/baselines.h"
#include "gloss/score/judge.h"
#include "gloss/score/paired.h"

namespace gloss::report {
namespace {

using Json = nlohmann::json;
using Rows = std::vector<const store::ScoreRow*>;

std::string base_name(const std::string& explainer) {
  return score::is_shuffled_name(explainer) ? explainer.substr(score::shuffled_name("").size()) : explainer;
}

/// Scorer first, then each explainer with its baseline right behind it.
auto group_key(const store::ScoreRow& row) {
  return std::tuple(row.scorer, base_name(row.explainer), score::is_shuffled_name(row.explainer), row.judge);
}

template <class Get>
score::Interval mean_of(const Rows& rows, std::uint64_t seed, const Get& get) {
  std::vector<double> values;
  values.reserve(rows.size());
  for (const store::ScoreRow* row : rows) values.push_back(get(row->score));
  return score::mean_over_latents(values, seed);
}

std::vector<score::Interval> deciles_of(const Rows& rows, std::uint64_t seed) {
  std::size_t count = 0;
  for (const store::ScoreRow* row : rows) count = std::max(count, row->score.per_quantile.size());
  std::vector<score::Interval> deciles;
  for (std::size_t q = 0; q < count; ++q) {
    deciles.push_back(mean_of(rows, seed, [q](const score::LatentScore& s) {
      return q < s.per_quantile.size() ? s.per_quantile[q].value : std::nan("");
    }));
  }
  return deciles;
}

/// Firings of each latent.
using Firings = std::map<std::pair<std::string_view, LatentId>, double>;

score::Interval weighted_accuracy(const Rows& rows, const Firings& firings, std::uint64_t seed) {
  std::vector<double> values, weights;
  values.reserve(rows.size());
  weights.reserve(rows.size());
  for (const store::ScoreRow* row : rows) {
    const auto found = firings.find({row->hookpoint, row->score.latent});
    values.push_back(row->score.balanced_accuracy.value);
    weights.push_back(found == firings.end() ? 0.0 : found->second);
  }
  return score::weighted_mean_over_latents(values, weights, seed);
}

std::vector<MeasureSummary> measures_of(const Rows& rows, std::uint64_t seed) {
  std::map<std::string, std::vector<double>> values;
  for (const store::ScoreRow* row : rows) {
    for (const score::Measure& m : row->score.measures) values[m.name].push_back(m.value.value);
  }
  std::vector<MeasureSummary> measures;
  measures.reserve(values.size());
  for (const auto& [name, found] : values)
    measures.push_back({name, found.size(), score::mean_over_latents(found, seed)});
  return measures;
}

/// One explainer's scores by one scorer and judge.
struct Scored {
  const store::ScoreRow* first;
  std::map<std::pair<std::string_view, LatentId>, double> accuracy;
};

ScorerCorrelation correlate(const Scored& a, const Scored& b, std::uint64_t seed) {
  std::vector<double> x, y;
  for (const auto& [latent, value] : a.accuracy) {
    const auto other = b.accuracy.find(latent);
    if (other == b.accuracy.end() || std::isnan(value) || std::isnan(other->second)) continue;
    x.push_back(value);
    y.push_back(other->second);
  }
  return {a.first->explainer,
          a.first->scorer,
          a.first->judge,
          b.first->scorer,
          b.first->judge,
          x.size(),
          score::pearson(x, y, seed),
          score::spearman(x, y, seed)};
}

/// Requires: rows in an order that does not depend on how they were written.
std::vector<ScorerCorrelation> correlations_of(const Rows& rows, std::uint64_t seed) {
  std::map<std::string, std::map<std::pair<std::string, std::string>, Scored>> by_explainer;
  for (const store::ScoreRow* row : rows) {
    if (score::is_shuffled_name(row->explainer)) continue;
    Scored& scored = by_explainer[row->explainer].try_emplace({row->scorer, row->judge}, Scored{row, {}}).first->second;
    scored.accuracy[{row->hookpoint, row->score.latent}] = score::headline(row->scorer, row->score).value.value;
  }
  std::vector<ScorerCorrelation> correlations;
  for (const auto& [explainer, scored] : by_explainer) {
    for (auto a = scored.begin(); a != scored.end(); ++a) {
      for (auto b = std::next(a); b != scored.end(); ++b) {
        ScorerCorrelation found = correlate(a->second, b->second, seed);
        if (found.latents >= 3) correlations.push_back(std::move(found));
      }
    }
  }
  return correlations;
}

/// Mean over the latents for which it is known.
double chance_of(const std::string& scorer, const Rows& rows) {
  double sum = 0.0;
  std::size_t count = 0;
  for (const store::ScoreRow* row : rows) {
    const double chance = score::headline(scorer, row->score).chance;
    if (std::isnan(chance)) continue;
    sum += chance;
    ++count;
  }
  return count == 0 ? std::nan("") : sum / static_cast<double>(count);
}

ScorerSummary summarize_rows(const Rows& rows, const Firings& firings, std::uint64_t seed) {
  ScorerSummary s;
  s.explainer = rows.front()->explainer;
  s.scorer = rows.front()->scorer;
  s.judge = rows.front()->judge;
  s.latents = rows.size();
  for (const store::ScoreRow* row : rows) {
    const score::LatentScore& one = row->score;
    s.judgements += std::uint64_t{one.tp} + one.fp + one.tn + one.fn + one.failed;
    s.failed += one.failed;
    s.undefined += std::isnan(score::headline(s.scorer, one).value.value) ? 1 : 0;
  }
  s.score_name = score::headline(s.scorer, rows.front()->score).name;
  s.chance = chance_of(s.scorer, rows);
  s.score = mean_of(rows, seed, [&](const score::LatentScore& l) { return score::headline(s.scorer, l).value.value; });
  s.balanced_accuracy = mean_of(rows, seed, [](const score::LatentScore& l) { return l.balanced_accuracy.value; });
  s.precision = mean_of(rows, seed, [](const score::LatentScore& l) { return l.precision.value; });
  s.recall = mean_of(rows, seed, [](const score::LatentScore& l) { return l.recall.value; });
  s.specificity = mean_of(rows, seed, [](const score::LatentScore& l) { return l.specificity.value; });
  s.f1 = mean_of(rows, seed, [](const score::LatentScore& l) { return l.f1; });
  s.auc = mean_of(rows, seed, [](const score::LatentScore& l) { return l.auc; });
  s.frequency_weighted = weighted_accuracy(rows, firings, seed);
  s.measures = measures_of(rows, seed);
  s.per_decile = deciles_of(rows, seed);
  return s;
}

/// One summary for each explainer, scorer and judge among `rows`, of those explanations that `counts` takes.
template <class Counts>
std::vector<ScorerSummary> summarize_groups(const std::vector<store::ExplanationRow>& explanations, const Rows& rows,
                                            const Counts& counts, const Firings& firings, std::uint64_t seed) {
  std::map<decltype(group_key(*rows.front())), Rows> groups;
  for (const store::ScoreRow* row : rows) groups[group_key(*row)].push_back(row);
  std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> explained;  // (succeeded, failed)
  for (const store::ExplanationRow& row : explanations) {
    if (!counts(row)) continue;
    auto& [succeeded, failed] = explained[row.explainer];
    ++(row.explanation.ok() ? succeeded : failed);
  }
  std::vector<ScorerSummary> summaries;
  for (const auto& [key, group] : groups) {
    ScorerSummary s = summarize_rows(group, firings, seed);
    std::tie(s.explained, s.failed_explanations) = explained[s.explainer];
    summaries.push_back(std::move(s));
  }
  return summaries;
}

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json summary_json(const ScorerSummary& s) {
  Json json{{"explainer", s.explainer},
            {"scorer", s.scorer},
            {"judge", s.judge},
            {"baseline", score::is_shuffled_name(s.explainer)},
            {"latents", s.latents},
            {"explained", s.explained},
            {"failed_explanations", s.failed_explanations},
            {"judgements", s.judgements},
            {"failed", s.failed},
            {"undefined", s.undefined},
            {"score", interval_json(s.score, "mean")},
            {"score_name", s.score_name},
            {"chance", s.chance},
            {"balanced_accuracy", interval_json(s.balanced_accuracy, "mean")},
            {"precision", interval_json(s.precision, "mean")},
            {"recall", interval_json(s.recall, "mean")},
            {"specificity", interval_json(s.specificity, "mean")},
            {"f1", interval_json(s.f1, "mean")},
            {"auc", interval_json(s.auc, "mean")},
            {"balanced_accuracy_by_firings", interval_json(s.frequency_weighted, "mean")},
            {"measures", Json::object()},
            {"per_decile", Json::array()}};
  for (const MeasureSummary& m : s.measures) {
    json["measures"][m.name] = interval_json(m.mean, "mean");
    json["measures"][m.name]["latents"] = m.latents;
  }
  for (const score::Interval& decile : s.per_decile) json["per_decile"].push_back(interval_json(decile, "mean"));
  if (!s.hookpoint.empty()) json["hookpoint"] = s.hookpoint;
  if (!s.group.empty()) json["group"] = s.group;
  return json;
}

}  // namespace

Json interval_json(const score::Interval& interval, std::string_view value_name) {
  return {{std::string(value_name), number(interval.value)},
          {"low", number(interval.low)},
          {"high", number(interval.high)}};
}

RunSummary summarize_run(const std::vector<store::ExplanationRow>& explanations,
                         const std::vector<store::ScoreRow>& scores, std::uint64_t seed,
                         const std::vector<store::LatentRow>& latents, const LatentSet& output) {
  Firings firings;
  for (const store::LatentRow& row : latents)
    firings[{row.hookpoint, row.latent}] = static_cast<double>(row.firing_count);
  Rows rows;
  std::set<std::string> names;
  for (const store::ScoreRow& row : scores) {
    rows.push_back(&row);
    names.insert(row.hookpoint);
  }
  // The bootstrap draws by place, so places must not depend on the order in which rows were written.
  std::sort(rows.begin(), rows.end(), [](const store::ScoreRow* a, const store::ScoreRow* b) {
    return std::tie(a->hookpoint, a->score.latent) < std::tie(b->hookpoint, b->score.latent);
  });
  RunSummary summary;
  if (rows.empty()) return summary;
  summary.all = summarize_groups(
      explanations, rows, [](const auto&) { return true; }, firings, seed);
  if (!output.empty()) {
    const auto add = [&](std::string_view group, bool wanted) {
      Rows here;
      std::copy_if(rows.begin(), rows.end(), std::back_inserter(here), [&](const store::ScoreRow* row) {
        return output.contains({row->hookpoint, row->score.latent}) == wanted;
      });
      const auto counts = [&](const store::ExplanationRow& row) {
        return output.contains({row.hookpoint, row.explanation.latent}) == wanted;
      };
      for (ScorerSummary& s : summarize_groups(explanations, here, counts, firings, seed)) {
        s.group = group;
        summary.by_group.push_back(std::move(s));
      }
    };
    add(kOutputLatents, true);
    add(kOtherLatents, false);
  }
  summary.correlations = correlations_of(rows, seed);
  std::vector<std::string> hookpoints(names.begin(), names.end());
  natural_sort(hookpoints);
  if (hookpoints.size() < 2) return summary;
  for (const std::string& hookpoint : hookpoints) {
    Rows here;
    std::copy_if(rows.begin(), rows.end(), std::back_inserter(here),
                 [&](const store::ScoreRow* row) { return row->hookpoint == hookpoint; });
    const auto counts = [&](const store::ExplanationRow& row) { return row.hookpoint == hookpoint; };
    for (ScorerSummary& s : summarize_groups(explanations, here, counts, firings, seed)) {
      s.hookpoint = hookpoint;
      summary.by_hookpoint.push_back(std::move(s));
    }
  }
  return summary;
}

LatentSet output_latents(const store::Store& store) {
  std::set<std::string> hookpoints;
  for (const store::LatentRow& row : store.latents("")) hookpoints.insert(row.hookpoint);
  LatentSet found;
  for (const std::string& hookpoint : hookpoints) {
    const auto kind = store.kind(hookpoint, index::info(index::LatentKind::output).name);
    if (!kind) continue;
    for (const auto& [latent, value] : kind->latents) found.emplace(hookpoint, latent);
  }
  return found;
}

std::vector<std::string> RunSummary::warnings() const {
  std::vector<std::string> said;
  for (const ScorerSummary& s : all) {
    if (!s.many_failed()) continue;
    said.push_back(fmt::format("{:.1f} % of the judgements failed ({} of {}): {} of explanations by {}, judged by {}",
                               100.0 * static_cast<double>(s.failed) / static_cast<double>(s.judgements), s.failed,
                               s.judgements, s.scorer, s.explainer, s.judge));
  }
  return said;
}

Json RunSummary::to_json() const {
  Json json{{"warnings", warnings()},
            {"scores", Json::array()},
            {"by_hookpoint", Json::array()},
            {"by_group", Json::array()}};
  for (const ScorerSummary& s : all) json["scores"].push_back(summary_json(s));
  for (const ScorerSummary& s : by_hookpoint) json["by_hookpoint"].push_back(summary_json(s));
  for (const ScorerSummary& s : by_group) json["by_group"].push_back(summary_json(s));
  json["correlations"] = Json::array();
  for (const ScorerCorrelation& c : correlations) {
    json["correlations"].push_back({{"explainer", c.explainer},
                                    {"scorers", {c.scorer_a, c.scorer_b}},
                                    {"judges", {c.judge_a, c.judge_b}},
                                    {"latents", c.latents},
                                    {"pearson", interval_json(c.pearson, "value")},
                                    {"spearman", interval_json(c.spearman, "value")}});
  }
  return json;
}

}  // namespace gloss::report
