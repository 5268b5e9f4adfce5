#include "gloss/report/filter_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "gloss/base/error.h"
#include "gloss/base/natural_order.h"
#include "gloss/formats/json_file.h"
#include "gloss/report/figure_tables.h"
#include "gloss/score/baselines.h"
#include "gloss/score/judge.h"

namespace gloss::report {
namespace {

using nlohmann::json;

constexpr std::string_view kPrefix = "filter-table:";  // of settings: filter-table:KIND:HOOKPOINT
constexpr const char *kOfKind = "of the kind", *kOthers = "others", *kNoKind = "of no kind";
constexpr std::size_t kCurvePoints = 200;

/// 1 for the first hookpoint of the run.
std::map<std::string, std::size_t> places_of(const std::vector<FilterTally>& tallies) {
  std::vector<std::string> hookpoints;
  hookpoints.reserve(tallies.size());
  for (const FilterTally& t : tallies) hookpoints.push_back(t.hookpoint);
  natural_sort(hookpoints);
  std::map<std::string, std::size_t> places;
  for (const std::string& hookpoint : hookpoints) places.emplace(hookpoint, places.size() + 1);
  return places;
}

/// What a filter found among the latents of a hookpoint that fire.
struct Finding {
  FilterTally tally;
  std::string rule;
  std::size_t place = 0;
  std::uint64_t living = 0;
  std::vector<double> values;  // of those told, ascending
};

/// The latents of a hookpoint that fire, be it at special tokens alone: these are of the kind dead and of special.
struct Life {
  std::uint64_t living = 0;
  std::set<LatentId> dead;
};
std::optional<Life> life_of(const RunData& data, const FilterTally& dead) {
  const auto told = data.kind_of(dead.hookpoint, dead.kind);
  if (!told) return {};
  Life life;
  for (const auto& [latent, firings] : told->latents) life.dead.insert(latent);
  const auto special = data.kind_of(dead.hookpoint, index::info(index::LatentKind::special).name);
  for (const auto& [latent, share] : special.value_or(store::KindRow{}).latents) life.dead.erase(latent);
  life.living = dead.measured - std::min<std::uint64_t>(dead.measured, life.dead.size());
  return life.living == 0 ? std::nullopt : std::optional(std::move(life));
}

/// Of every kind but the dead, where these were told too.
std::vector<Finding> findings_of(const RunData& data) {
  std::vector<Finding> findings;
  if (!data.filters || !data.kind_of) return findings;
  const std::string_view dead = index::info(index::LatentKind::dead).name;
  const std::vector<FilterTally> tallies = data.filters();
  const std::map<std::string, std::size_t> places = places_of(tallies);
  std::map<std::string, Life> lives;
  for (const FilterTally& t : tallies) {
    if (t.kind != dead) continue;
    if (auto life = life_of(data, t)) lives.emplace(t.hookpoint, std::move(*life));
  }
  for (const FilterTally& t : tallies) {
    const auto life = lives.find(t.hookpoint);
    if (t.kind == dead || life == lives.end()) continue;
    const auto found = data.kind_of(t.hookpoint, t.kind);
    if (!found) continue;
    Finding& finding = findings.emplace_back(Finding{t, found->rule, places.at(t.hookpoint), life->second.living, {}});
    for (const auto& [latent, value] : found->latents) {
      if (!life->second.dead.contains(latent)) finding.values.push_back(value);  // what a dead one writes is no finding
    }
    std::sort(finding.values.begin(), finding.values.end());
  }
  return findings;
}

/// Thresholds and how many latents each tells, ascending: the one that told, and of the values behind it at most
/// kCurvePoints, evenly spread.
std::vector<std::pair<double, std::uint64_t>> curve_of(const Finding& finding) {
  const std::vector<double>& values = finding.values;
  const bool few = finding.tally.few_is_it;
  std::vector<std::pair<double, std::uint64_t>> all, curve;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i + 1 == values.size() || values[i + 1] != values[i])
      all.emplace_back(values[i], few ? i + 1 : values.size() - i - 1);
  }
  const std::size_t step = (all.size() + kCurvePoints - 1) / kCurvePoints;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (i % step == 0 || i + 1 == all.size()) curve.push_back(all[i]);
  }
  const std::pair told{finding.tally.threshold, static_cast<std::uint64_t>(values.size())};
  if (std::find(curve.begin(), curve.end(), told) == curve.end()) curve.insert(few ? curve.end() : curve.begin(), told);
  return curve;
}

}  // namespace

void keep_filter_tally(store::Store& store, const FilterTally& tally) {
  json by_threshold = json::array();
  for (const auto& [threshold, latents] : tally.by_threshold) by_threshold.push_back({threshold, latents});
  const json value = {{"measure", tally.measure},   {"few_is_it", tally.few_is_it}, {"threshold", tally.threshold},
                      {"measured", tally.measured}, {"told", tally.told},           {"by_threshold", by_threshold}};
  store.put_setting(fmt::format("{}{}:{}", kPrefix, tally.kind, tally.hookpoint), value.dump());
}

std::vector<FilterTally> filter_tallies(const store::Store& store) {
  std::vector<FilterTally> tallies;
  for (const auto& [key, value] : store.settings(kPrefix)) {
    const std::string where = fmt::format("setting {}", key);
    const std::size_t colon = key.find(':', kPrefix.size());
    const json kept = formats::parse_json(value, where);
    const formats::Fields fields(kept, where);
    const json& by_threshold = fields.at("by_threshold");
    if (colon == std::string::npos || !by_threshold.is_array()) fail_input(where, "is no table of a filter");
    FilterTally& t = tallies.emplace_back();
    t.kind = key.substr(kPrefix.size(), colon - kPrefix.size());
    t.hookpoint = key.substr(colon + 1);
    t.measure = fields.string("measure");
    t.few_is_it = fields.boolean("few_is_it");
    t.threshold = fields.number("threshold");
    constexpr std::uint64_t kMost = std::uint64_t{1} << 32;
    t.measured = fields.integer("measured", 0, kMost);
    t.told = fields.integer("told", 0, t.measured);
    for (const json& row : by_threshold) {
      if (!row.is_array() || row.size() != 2 || !row[0].is_number() || !row[1].is_number_unsigned())
        fail_input(where, "is no table of a filter");
      t.by_threshold.emplace_back(row[0].get<double>(), row[1].get<std::uint64_t>());
    }
  }
  std::stable_sort(tallies.begin(), tallies.end(), [](const FilterTally& a, const FilterTally& b) {
    return a.kind != b.kind ? a.kind < b.kind : natural_less(a.hookpoint, b.hookpoint);
  });
  return tallies;
}

FigureTable filter_table(const RunData& data) {
  FigureTable table{
      {"kind", "measure", "hookpoint", "place", "threshold", "told_by", "latents", "measured", "share", "low", "high"},
      {}};
  if (!data.filters) return table;
  const std::vector<FilterTally> tallies = data.filters();
  const std::map<std::string, std::size_t> places = places_of(tallies);
  for (const FilterTally& t : tallies) {
    if (t.measured == 0) continue;
    auto rows = t.by_threshold;
    const bool listed =
        std::any_of(rows.begin(), rows.end(), [&](const auto& row) { return row.first == t.threshold; });
    if (!listed) rows.emplace_back(t.threshold, t.told);
    std::sort(rows.begin(), rows.end());
    for (const auto& [threshold, latents] : rows) {
      const score::Interval share = score::wilson(std::min(latents, t.measured), t.measured);
      table.rows.push_back({t.kind, t.measure, t.hookpoint, places.at(t.hookpoint), threshold, threshold == t.threshold,
                            latents, t.measured, share.value, share.low, share.high});
    }
  }
  return table;
}

FigureTable filter_layer_table(const RunData& data) {
  FigureTable table{{"kind", "rule", "hookpoint", "place", "latents", "living", "share", "low", "high"}, {}};
  for (const Finding& f : findings_of(data)) {
    const score::Interval share = score::wilson(f.values.size(), f.living);
    table.rows.push_back({f.tally.kind, f.rule, f.tally.hookpoint, f.place, f.values.size(), f.living, share.value,
                          share.low, share.high});
  }
  return table;
}

FigureTable filter_curve_table(const RunData& data) {
  FigureTable table{
      {"kind", "measure", "hookpoint", "place", "threshold", "told_by", "latents", "living", "share", "low", "high"},
      {}};
  const std::vector<Finding> findings = findings_of(data);
  std::set<std::string> kinds;  // of which some latent is
  for (const Finding& f : findings) {
    if (!f.values.empty()) kinds.insert(f.tally.kind);
  }
  for (const Finding& f : findings) {
    if (!kinds.contains(f.tally.kind)) continue;
    for (const auto& [threshold, latents] : curve_of(f)) {
      const score::Interval share = score::wilson(latents, f.living);
      table.rows.push_back({f.tally.kind, f.tally.measure, f.tally.hookpoint, f.place, threshold,
                            threshold == f.tally.threshold, latents, f.living, share.value, share.low, share.high});
    }
  }
  return table;
}

FigureTable kind_score_table(const RunData& data, const RunSummary& summary, std::uint64_t seed) {
  FigureTable table{{"kind", "latents_are", "scorer", "score_name", "series", "baseline", "score", "low", "high",
                     "chance", "latents"},
                    {}};
  if (!data.kind_of) return table;
  std::map<std::pair<std::string, std::string>, std::set<LatentId>> told;  // by hookpoint and kind looked for there
  std::set<std::string> hookpoints;
  for (const store::ScoreRow& row : data.scores) hookpoints.insert(row.hookpoint);
  for (const std::string& hookpoint : hookpoints) {
    for (const index::KindInfo& kind : index::latent_kinds()) {
      const auto found = data.kind_of(hookpoint, kind.name);
      if (!found) continue;
      auto& latents = told[{hookpoint, std::string(kind.name)}];
      for (const auto& [latent, value] : found->latents) latents.insert(latent);
    }
  }
  using Key = std::tuple<std::string, std::string, std::string, std::string>;  // kind, scorer, explainer, judge
  std::map<Key, std::array<std::vector<double>, 2>> values;                    // of the others, of the kind
  std::map<std::tuple<std::string, std::string, std::string>, std::vector<double>> of_none;  // of no kind
  for (const store::ScoreRow& row : data.scores) {
    const double value = score::headline(row.scorer, row.score).value.value;
    if (std::isnan(value)) continue;
    bool looked = false, of_some = false;
    for (auto at = told.lower_bound({row.hookpoint, ""}); at != told.end() && at->first.first == row.hookpoint; ++at) {
      const bool of_kind = at->second.contains(row.score.latent);
      values[{at->first.second, row.scorer, row.explainer, row.judge}][of_kind ? 1 : 0].push_back(value);
      looked = true;
      of_some = of_some || of_kind;
    }
    if (looked && !of_some) of_none[{row.scorer, row.explainer, row.judge}].push_back(value);
  }
  std::set<std::string> kinds;  // of which a scored latent is
  for (const auto& [key, sides] : values) {
    if (!sides[1].empty()) kinds.insert(std::get<0>(key));
  }
  const SeriesNames series(summary);
  const auto add = [&](const std::string& kind, const char* are, const std::vector<double>& of, const auto& by) {
    if (of.empty()) return;
    const auto& [scorer, explainer, judge] = by;
    const score::Headline headline = score::headline(scorer, {});
    const score::Interval mean = score::mean_over_latents(of, seed);
    table.rows.push_back({kind, are, scorer, std::string(headline.name), series.of(explainer, scorer, judge),
                          score::is_shuffled_name(explainer), cell_of(mean.value), cell_of(mean.low),
                          cell_of(mean.high), cell_of(headline.chance), of.size()});
  };
  for (const auto& [key, sides] : values) {
    const auto& [kind, scorer, explainer, judge] = key;
    if (!kinds.contains(kind)) continue;
    add(kind, kOfKind, sides[1], std::tie(scorer, explainer, judge));
    add(kind, kOthers, sides[0], std::tie(scorer, explainer, judge));
  }
  if (kinds.empty()) return table;
  for (const auto& [by, of] : of_none) add("none", kNoKind, of, by);
  return table;
}

}  // namespace gloss::report
