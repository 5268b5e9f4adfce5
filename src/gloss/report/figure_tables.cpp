#include "gloss/report/figure_tables.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <tuple>

#include "gloss/report/calibration.h"
#include "gloss/report/terminal.h"
#include "gloss/score/baselines.h"
#include "gloss/score/judge.h"

namespace gloss::report {
namespace {

using nlohmann::json;

using ScoreKey = std::tuple<std::string, std::string, std::string>;  // scorer, explainer, judge

/// Rows by whose they are, each in the order of hookpoint and latent.
std::map<ScoreKey, std::vector<const store::ScoreRow*>> grouped(const RunData& data) {
  std::map<ScoreKey, std::vector<const store::ScoreRow*>> groups;
  for (const store::ScoreRow& row : data.scores) groups[{row.scorer, row.explainer, row.judge}].push_back(&row);
  for (auto& [key, rows] : groups) {
    std::stable_sort(rows.begin(), rows.end(), [](const store::ScoreRow* a, const store::ScoreRow* b) {
      return std::tie(a->hookpoint, a->score.latent) < std::tie(b->hookpoint, b->score.latent);
    });
  }
  return groups;
}

/// Windows are answered yes or no, so that false alarms and misses mean something.
bool has_f1(const std::string& scorer) {
  return scorer == "detection" || scorer == "neighbours" || scorer.starts_with("fuzz");
}

/// Judgements by probability, in parts of a thousandth.
struct Ranked {
  static constexpr std::size_t kParts = 1000;
  std::array<std::uint64_t, kParts + 1> yes{}, no{};
  std::uint64_t positive = 0, negative = 0;

  void add(const score::Judgement& j) {
    if (j.verdict == score::Verdict::failed || j.probability < 0.0F) return;
    const double p = std::clamp(double{j.probability}, 0.0, 1.0);
    const auto part = static_cast<std::size_t>(p * kParts);
    ++(j.truth ? yes : no).at(part);
    ++(j.truth ? positive : negative);
  }
};

}  // namespace

nlohmann::json cell_of(double value) { return std::isfinite(value) ? json(value) : json(nullptr); }

SeriesNames::SeriesNames(const RunSummary& summary) {
  std::map<std::string, std::set<std::string>, std::less<>> judges;
  for (const ScorerSummary& s : summary.all) judges[s.scorer].insert(s.judge);
  for (const auto& [scorer, names] : judges) judges_[scorer] = names.size();
}

std::string SeriesNames::of(const std::string& explainer, const std::string& scorer, const std::string& judge) const {
  const auto it = judges_.find(scorer);
  const bool several = it != judges_.end() && it->second > 1;
  return harmless(several ? explainer + ", judged by " + judge : explainer);
}

FigureTable decile_table(const RunSummary& summary) {
  FigureTable table{{"scorer", "series", "baseline", "decile", "accuracy", "low", "high", "latents"}, {}};
  const SeriesNames names(summary);
  for (const ScorerSummary& s : summary.all) {
    for (std::size_t q = 0; q < s.per_decile.size(); ++q) {
      const score::Interval& i = s.per_decile[q];
      if (std::isnan(i.value)) continue;
      table.rows.push_back({s.scorer, names.of(s.explainer, s.scorer, s.judge), score::is_shuffled_name(s.explainer),
                            q + 1, cell_of(i.value), cell_of(i.low), cell_of(i.high), s.latents});
    }
  }
  return table;
}

FigureTable score_table(const RunSummary& summary) {
  FigureTable table{{"scorer", "score_name", "series", "baseline", "score", "low", "high", "chance", "latents",
                     "failed", "judgements"},
                    {}};
  const SeriesNames names(summary);
  for (const ScorerSummary& s : summary.all) {
    if (std::isnan(s.score.value)) continue;
    table.rows.push_back({s.scorer, s.score_name, names.of(s.explainer, s.scorer, s.judge),
                          score::is_shuffled_name(s.explainer), cell_of(s.score.value), cell_of(s.score.low),
                          cell_of(s.score.high), cell_of(s.chance), s.latents, s.failed, s.judgements});
  }
  return table;
}

FigureTable histogram_table(const RunData& data, const RunSummary& summary) {
  FigureTable table{{"scorer", "score_name", "series", "baseline", "from", "to", "latents", "share"}, {}};
  const SeriesNames names(summary);
  const auto groups = grouped(data);
  // Bars of one scorer share their bounds: 0 to 1 where scores are shares, else all that occur.
  std::map<std::string, std::pair<double, double>> bounds;
  for (const store::ScoreRow& row : data.scores) {
    const double value = score::headline(row.scorer, row.score).value.value;
    if (!std::isfinite(value)) continue;
    const bool share = row.scorer != score::name_of(score::Scorer::intervention);
    auto& [low, high] = bounds.try_emplace(row.scorer, share ? 0.0 : value, share ? 1.0 : value).first->second;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  for (const auto& [key, rows] : groups) {
    const auto& [scorer, explainer, judge] = key;
    const auto found = bounds.find(scorer);
    if (found == bounds.end() || !(found->second.second > found->second.first)) continue;
    const auto [low, high] = found->second;
    std::array<std::uint64_t, kFigureBins> counts{};
    std::uint64_t total = 0;
    for (const store::ScoreRow* row : rows) {
      const double value = score::headline(scorer, row->score).value.value;
      if (!std::isfinite(value)) continue;
      const auto bin = static_cast<std::size_t>((value - low) / (high - low) * kFigureBins);
      ++counts.at(std::min(bin, kFigureBins - 1));
      ++total;
    }
    const std::string score_name(score::headline(scorer, {}).name);
    for (std::size_t b = 0; b < kFigureBins && total > 0; ++b) {
      const double width = (high - low) / kFigureBins;
      table.rows.push_back({scorer, score_name, names.of(explainer, scorer, judge), score::is_shuffled_name(explainer),
                            low + width * static_cast<double>(b), low + width * static_cast<double>(b + 1),
                            counts.at(b), static_cast<double>(counts.at(b)) / static_cast<double>(total)});
    }
  }
  return table;
}

FigureTable density_table(const RunData& data, const RunSummary& summary) {
  FigureTable table{{"hookpoint", "latent", "series", "scorer", "density", "f1"}, {}};
  const SeriesNames names(summary);
  std::map<std::pair<std::string, LatentId>, double> densities;
  for (const store::LatentRow& row : data.latents) densities[{row.hookpoint, row.latent}] = row.density;
  for (const auto& [key, rows] : grouped(data)) {
    const auto& [scorer, explainer, judge] = key;
    if (!has_f1(scorer) || score::is_shuffled_name(explainer)) continue;
    for (const store::ScoreRow* row : rows) {
      const auto density = densities.find({row->hookpoint, row->score.latent});
      if (density == densities.end() || !(density->second > 0.0) || std::isnan(row->score.f1)) continue;
      table.rows.push_back({row->hookpoint, to_index(row->score.latent), names.of(explainer, scorer, judge), scorer,
                            density->second, row->score.f1});
    }
  }
  return table;
}

FigureTable roc_table(const RunData& data, const RunSummary& summary) {
  FigureTable table{{"scorer", "series", "false_positive_rate", "true_positive_rate", "threshold"}, {}};
  if (!data.judgements) return table;
  const SeriesNames names(summary);
  for (const auto& [key, rows] : grouped(data)) {
    const auto& [scorer, explainer, judge] = key;
    if (!has_f1(scorer)) continue;
    Ranked ranked;
    for (const store::ScoreRow* row : rows) {
      // The first says whether this judge gives probabilities: with none there is no need to read on.
      if (row != rows.front() && ranked.positive + ranked.negative == 0) break;
      for (const score::Judgement& j : data.judgements(*row)) ranked.add(j);
    }
    if (ranked.positive == 0 || ranked.negative == 0) continue;
    std::uint64_t hits = 0, alarms = 0;
    const std::string series = names.of(explainer, scorer, judge);
    table.rows.push_back({scorer, series, 0.0, 0.0, nullptr});
    for (std::size_t part = Ranked::kParts + 1; part-- > 0;) {
      if (ranked.yes.at(part) + ranked.no.at(part) == 0) continue;
      hits += ranked.yes.at(part);
      alarms += ranked.no.at(part);
      table.rows.push_back({scorer, series, static_cast<double>(alarms) / static_cast<double>(ranked.negative),
                            static_cast<double>(hits) / static_cast<double>(ranked.positive),
                            static_cast<double>(part) / Ranked::kParts});
    }
  }
  return table;
}

FigureTable calibration_table(const RunData& data, const RunSummary& summary) {
  FigureTable table{{"scorer", "series", "from", "to", "judgements", "mean_probability", "positive", "low", "high"},
                    {}};
  if (!data.calibration && !data.judgements) return table;
  const SeriesNames names(summary);
  const json tallies =
      data.calibration ? data.calibration() : calibration_json(calibration_tallies(data.scores, data.judgements));
  for (const json& tally : tallies) {
    const json& bins = tally.at("bins");
    for (std::size_t b = 0; b < bins.size(); ++b) {
      if (bins[b].at("judgements") == 0) continue;
      const auto count = static_cast<double>(bins.size());
      table.rows.push_back({tally.at("scorer"), names.of(tally.at("explainer"), tally.at("scorer"), tally.at("judge")),
                            static_cast<double>(b) / count, static_cast<double>(b + 1) / count,
                            bins[b].at("judgements"), bins[b].at("mean_probability"),
                            bins[b].at("positive").at("share"), bins[b].at("positive").at("low"),
                            bins[b].at("positive").at("high")});
    }
  }
  return table;
}

FigureTable cost_table(const RunData& data) {
  FigureTable table{{"stage", "provider", "replies", "prompt_tokens", "cached_tokens", "completion_tokens", "dollars"},
                    {}};
  if (!data.costs) return table;
  for (const store::CostRow& row : data.costs())
    table.rows.push_back({row.stage.empty() ? "other" : row.stage, harmless(row.provider), row.replies,
                          row.prompt_tokens, row.cached_tokens, row.completion_tokens, row.dollars});
  return table;
}

FigureTable pair_table(const RunData& data, const ScorePair& pair) {
  FigureTable table{{"hookpoint", "latent", "a", "b", "explanation"}, {}};
  const auto groups = grouped(data);
  const auto a = groups.find({pair.scorer_a, pair.explainer, pair.judge_a});
  const auto b = groups.find({pair.scorer_b, pair.explainer, pair.judge_b});
  if (a == groups.end() || b == groups.end()) return table;
  std::map<std::pair<std::string, LatentId>, double> second;
  for (const store::ScoreRow* row : b->second)
    second[{row->hookpoint, row->score.latent}] = score::headline(row->scorer, row->score).value.value;
  std::map<std::pair<std::string, LatentId>, const std::string*> texts;
  for (const store::ExplanationRow& row : data.explanations) {
    if (row.explainer == pair.explainer) texts[{row.hookpoint, row.explanation.latent}] = &row.explanation.text;
  }
  for (const store::ScoreRow* row : a->second) {
    const std::pair<std::string, LatentId> key{row->hookpoint, row->score.latent};
    const auto other = second.find(key);
    const double value = score::headline(row->scorer, row->score).value.value;
    if (other == second.end() || !std::isfinite(value) || !std::isfinite(other->second)) continue;
    const auto text = texts.find(key);
    table.rows.push_back({row->hookpoint, to_index(row->score.latent), value, other->second,
                          text == texts.end() ? "" : harmless(*text->second)});
  }
  return table;
}

FigureTable outcome_table(const RunData& data, const std::string& hookpoint, LatentId latent) {
  FigureTable table{{"explainer", "from", "to", "outcome", "windows", "share"}, {}};
  if (!data.judgements || !data.examples) return table;
  const examples::LatentExamples found = data.examples(hookpoint, latent);
  std::map<std::uint32_t, float> strengths;  // by the window's start
  for (const auto* split : {&found.explain, &found.test, &found.refine}) {
    for (const examples::Window& w : *split) strengths[w.start] = w.max;
  }
  const auto verdicts = [&](const std::string& explainer, const char* scorer) {
    std::map<std::uint32_t, bool> right;
    for (const store::ScoreRow& row : data.scores) {
      if (row.hookpoint != hookpoint || row.score.latent != latent || row.explainer != explainer ||
          row.scorer != scorer)
        continue;
      for (const score::Judgement& j : data.judgements(row)) {
        if (j.kind == examples::WindowKind::activating && j.truth && j.verdict != score::Verdict::failed)
          right[j.start] = j.verdict == score::Verdict::yes;
      }
    }
    return right;
  };
  std::set<std::string> explainers;
  for (const store::ScoreRow& row : data.scores) {
    if (row.hookpoint == hookpoint && row.score.latent == latent) explainers.insert(row.explainer);
  }
  constexpr std::array<const char*, 4> kOutcomes{"both wrong", "fuzz only", "detection only", "both right"};
  for (const std::string& explainer : explainers) {
    const auto detection = verdicts(explainer, "detection"), fuzz = verdicts(explainer, "fuzz");
    std::array<std::array<std::uint64_t, 4>, kFigureBins> counts{};
    for (const auto& [start, right] : detection) {
      const auto other = fuzz.find(start);
      const auto strength = strengths.find(start);
      if (other == fuzz.end() || strength == strengths.end()) continue;
      const auto bin = static_cast<std::size_t>(double{strength->second} / double{found.max_activation} * kFigureBins);
      ++counts.at(std::min(bin, kFigureBins - 1)).at((right ? 2U : 0U) + (other->second ? 1U : 0U));
    }
    for (std::size_t b = 0; b < kFigureBins; ++b) {
      const std::uint64_t total = counts.at(b)[0] + counts.at(b)[1] + counts.at(b)[2] + counts.at(b)[3];
      const double width = double{found.max_activation} / kFigureBins;
      for (std::size_t o = 0; o < kOutcomes.size() && total > 0; ++o)
        table.rows.push_back({harmless(explainer), width * static_cast<double>(b), width * static_cast<double>(b + 1),
                              kOutcomes.at(o), counts.at(b).at(o),
                              static_cast<double>(counts.at(b).at(o)) / static_cast<double>(total)});
    }
  }
  return table;
}

}  // namespace gloss::report
