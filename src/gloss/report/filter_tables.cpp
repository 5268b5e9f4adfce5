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
constexpr const char *kOfKind = "of the kind", *kOthers = "others";

json number(double value) { return std::isfinite(value) ? json(value) : json(nullptr); }

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
  std::vector<std::string> hookpoints;
  hookpoints.reserve(tallies.size());
  for (const FilterTally& t : tallies) hookpoints.push_back(t.hookpoint);
  std::sort(hookpoints.begin(), hookpoints.end(), natural_less);
  hookpoints.erase(std::unique(hookpoints.begin(), hookpoints.end()), hookpoints.end());
  for (const FilterTally& t : tallies) {
    if (t.measured == 0) continue;
    const auto place = std::find(hookpoints.begin(), hookpoints.end(), t.hookpoint) - hookpoints.begin();
    auto rows = t.by_threshold;
    const bool listed =
        std::any_of(rows.begin(), rows.end(), [&](const auto& row) { return row.first == t.threshold; });
    if (!listed) rows.emplace_back(t.threshold, t.told);
    std::sort(rows.begin(), rows.end());
    for (const auto& [threshold, latents] : rows) {
      const score::Interval share = score::wilson(std::min(latents, t.measured), t.measured);
      table.rows.push_back({t.kind, t.measure, t.hookpoint, place + 1, threshold, threshold == t.threshold, latents,
                            t.measured, share.value, share.low, share.high});
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
  for (const store::ScoreRow& row : data.scores) {
    const double value = score::headline(row.scorer, row.score).value.value;
    if (std::isnan(value)) continue;
    for (auto at = told.lower_bound({row.hookpoint, ""}); at != told.end() && at->first.first == row.hookpoint; ++at)
      values[{at->first.second, row.scorer, row.explainer, row.judge}][at->second.contains(row.score.latent) ? 1 : 0]
          .push_back(value);
  }
  std::set<std::string> kinds;  // of which a scored latent is
  for (const auto& [key, sides] : values) {
    if (!sides[1].empty()) kinds.insert(std::get<0>(key));
  }
  const SeriesNames series(summary);
  for (const auto& [key, sides] : values) {
    const auto& [kind, scorer, explainer, judge] = key;
    if (!kinds.contains(kind)) continue;
    const score::Headline headline = score::headline(scorer, {});
    for (const std::size_t side : {1U, 0U}) {
      if (sides[side].empty()) continue;
      const score::Interval mean = score::mean_over_latents(sides[side], seed);
      table.rows.push_back({kind, side == 1 ? kOfKind : kOthers, scorer, std::string(headline.name),
                            series.of(explainer, scorer, judge), score::is_shuffled_name(explainer), number(mean.value),
                            number(mean.low), number(mean.high), number(headline.chance), sides[side].size()});
    }
  }
  return table;
}

}  // namespace gloss::report
