// gloss filter: tells kinds of latents by what is stored of them, before anything is explained.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "gloss/app/command.h"
#include "gloss/app/run_data.h"
#include "gloss/app/run_folder.h"
#include "gloss/app/statistics_stage.h"
#include "gloss/base/error.h"
#include "gloss/index/filters.h"
#include "gloss/index/statistics.h"
#include "gloss/score/baselines.h"
#include "gloss/store/store.h"

namespace gloss::app {
namespace {

using index::KindInfo;
using index::LatentKind;

/// Shares of the entropy of its firing that the positional table shows beside nats: a rare latent reaches no nats.
constexpr std::array kEntropyShares{0.05, 0.1, 0.2, 0.5};

struct FilterCommand {
  CommonOptions common;
  std::string run;
  std::vector<std::string> hookpoints;
  std::map<LatentKind, double> thresholds;
  bool json = false;
};

/// What one filter finds in one hookpoint.
struct Row {
  std::string hookpoint;
  index::KindTally tally;
  std::uint64_t told = 0;
  double bias = 0.0;  // of positional
  std::optional<index::KindTally> shares;
};
struct Filter {
  const KindInfo* kind;
  double threshold;
  std::vector<Row> rows;
};

/// The best balanced accuracy of detection that a latent has, whoever explained it; baselines left out.
std::map<LatentId, double> detection_of(const store::Store& store, const std::string& hookpoint) {
  std::map<LatentId, double> best;
  store.each_score(hookpoint, "", "detection", [&](const store::ScoreRow& row) {
    if (score::is_shuffled_name(row.explainer)) return;
    const double value = row.score.balanced_accuracy.value;
    if (!(value >= 0.0)) return;
    const auto [at, added] = best.emplace(row.score.latent, value);
    if (!added) at->second = std::max(at->second, value);
  });
  return best;
}

std::string rule_of(const KindInfo& kind, double threshold) {
  return fmt::format("{} {} {}", kind.measure, kind.few_is_it ? "<=" : ">", threshold);
}

/// Measures every latent of a hookpoint by every filter, keeps those found, and adds a row to each table.
void filter_hookpoint(const FilterCommand& o, const RunData& data, const std::string& hookpoint, store::Store& store,
                      std::vector<Filter>& filters, Reporter& reporter) {
  make_statistics(data.run, hookpoint, data.tokens, o.common.thread_count(), reporter);
  const auto statistics = index::StatisticsReader::open(data.run.statistics(hookpoint));
  const auto weights = data.weights(hookpoint);
  const std::map<LatentId, double> detection = detection_of(store, hookpoint);
  const std::uint64_t contexts = statistics.token_count() / statistics.ctx_len();
  std::vector<store::KindRow> found(filters.size());
  std::vector<bool> any(filters.size(), false);
  for (Filter& filter : filters) {
    Row row{hookpoint, index::KindTally(filter.kind->table, filter.kind->few_is_it), 0, 0.0, {}};
    if (filter.kind->kind == LatentKind::positional) {
      row.bias = index::position_bias(contexts, statistics.ctx_len());
      row.shares.emplace(kEntropyShares, false);
    }
    filter.rows.push_back(std::move(row));
  }
  for (std::uint32_t i = 0; i < statistics.latent_count(); ++i) {
    const LatentId f{i};
    const index::LatentStatistics of = statistics.latent(f);
    index::LatentFacts facts;
    facts.statistics = &of;
    facts.density = statistics.density(f);
    if (const auto moments = weights ? weights->moments(f) : std::nullopt) facts.kurtosis = moments->kurtosis;
    if (const auto at = detection.find(f); at != detection.end()) facts.balanced_accuracy = at->second;
    for (std::size_t k = 0; k < filters.size(); ++k) {
      const KindInfo& kind = *filters[k].kind;
      const std::optional<double> value = index::measure(kind.kind, facts);
      if (!value) continue;
      any[k] = true;
      Row& row = filters[k].rows.back();
      row.tally.add(*value);
      if (row.shares) row.shares->add(*value / std::max(index::binary_entropy(facts.density), 1e-300));
      if (index::is_of_kind(kind, *value, filters[k].threshold)) found[k].latents.emplace_back(f, *value);
    }
  }
  store::Store::Transaction transaction(store);
  for (std::size_t k = 0; k < filters.size(); ++k) {
    const KindInfo& kind = *filters[k].kind;
    filters[k].rows.back().told = found[k].latents.size();
    // Nothing is known of what nobody could measure: no weights, no scores.
    const bool wants_more = kind.kind == LatentKind::writes_few || kind.kind == LatentKind::output;
    if (wants_more && !any[k]) {
      filters[k].rows.pop_back();
      continue;
    }
    found[k].rule = rule_of(kind, filters[k].threshold);
    store.put_kind(hookpoint, kind.name, found[k]);
  }
  transaction.commit();
}

std::string line_of(const std::string& name, const std::vector<std::string>& cells, std::size_t width) {
  std::string line = fmt::format("  {:<{}}", name, width);
  for (const std::string& cell : cells) line += fmt::format(" {:>9}", cell);
  return line + "\n";
}

void print_table(const Filter& filter, std::ostream& out) {
  const KindInfo& kind = *filter.kind;
  if (filter.rows.empty()) return;
  std::size_t width = 9;
  for (const Row& row : filter.rows) width = std::max(width, row.hookpoint.size());
  out << fmt::format("{}: {}; told {} {}\n", kind.name, kind.measure, kind.few_is_it ? "at most" : "above",
                     filter.threshold);
  const bool shares = filter.rows.front().shares.has_value();
  std::vector<std::string> heads{"measured", "told"};
  for (const double t : kind.table) heads.push_back(fmt::format("{}{}", kind.few_is_it ? "<=" : ">", t));
  if (shares) {
    for (const double t : kEntropyShares) heads.push_back(fmt::format("I/H>{}", t));
    heads.emplace_back("bias");
  }
  out << line_of("hookpoint", heads, width);
  for (const Row& row : filter.rows) {
    std::vector<std::string> cells{std::to_string(row.tally.measured()), std::to_string(row.told)};
    for (const std::uint64_t n : row.tally.counts()) cells.push_back(std::to_string(n));
    if (row.shares) {
      for (const std::uint64_t n : row.shares->counts()) cells.push_back(std::to_string(n));
      cells.push_back(fmt::format("{:.2g}", row.bias));
    }
    out << line_of(row.hookpoint, cells, width);
  }
  out << "\n";
}

nlohmann::ordered_json counts_of(const index::KindTally& tally) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < tally.thresholds().size(); ++i)
    json.push_back({{"threshold", tally.thresholds()[i]}, {"latents", tally.counts()[i]}});
  return json;
}

nlohmann::ordered_json to_json(const Filter& filter) {
  nlohmann::ordered_json json = {{"kind", filter.kind->name},
                                 {"measure", filter.kind->measure},
                                 {"told", filter.kind->few_is_it ? "at most" : "above"},
                                 {"threshold", filter.threshold},
                                 {"hookpoints", nlohmann::ordered_json::array()}};
  for (const Row& row : filter.rows) {
    nlohmann::ordered_json one = {{"hookpoint", row.hookpoint},
                                  {"measured", row.tally.measured()},
                                  {"told", row.told},
                                  {"by_threshold", counts_of(row.tally)}};
    if (row.shares) {
      one["by_share_of_entropy"] = counts_of(*row.shares);
      one["bias"] = row.bias;
    }
    json["hookpoints"].push_back(std::move(one));
  }
  return json;
}

int filter_command(const FilterCommand& o, Context& context) {
  const RunFolder run(o.run);
  const RunData data = RunData::open(run);
  const std::vector<std::string> hookpoints = run.select_hookpoints(o.hookpoints);
  store::Store store(run.results());
  std::vector<Filter> filters;
  for (const auto& [kind, threshold] : o.thresholds) filters.push_back({&index::info(kind), threshold, {}});
  for (const std::string& hookpoint : hookpoints)
    filter_hookpoint(o, data, hookpoint, store, filters, context.reporter);
  if (o.json) {
    nlohmann::ordered_json json = {{"run", run.root().string()}, {"filters", nlohmann::ordered_json::array()}};
    for (const Filter& filter : filters) json["filters"].push_back(to_json(filter));
    context.out << json.dump(2) << "\n";
  } else {
    for (const Filter& filter : filters) print_table(filter, context.out);
  }
  return kDone;
}

}  // namespace

Runner setup_filter(CLI::App& cli) {
  auto o = std::make_shared<FilterCommand>();
  cli.add_option("run", o->run, "run folder with a cache")->required();
  cli.add_option("--hookpoint", o->hookpoints, "only these hookpoints");
  for (const KindInfo& kind : index::latent_kinds()) {
    if (kind.kind == LatentKind::unigram_checked || kind.kind == LatentKind::previous_token_checked) continue;
    double& threshold = o->thresholds[kind.kind] = kind.threshold;
    if (kind.kind == LatentKind::dead) continue;
    CLI::Option* option =
        cli.add_option(fmt::format("--{}", kind.name), threshold,
                       fmt::format("a latent is {} where this is {} the threshold: {} (default {})", kind.name,
                                   kind.few_is_it ? "at most" : "above", kind.measure, kind.threshold));
    option->check(CLI::NonNegativeNumber);
  }
  cli.add_flag("--json", o->json, "print the tables as one JSON document");
  add_threads(cli, o->common);
  return [o](Context& context) { return filter_command(*o, context); };
}

}  // namespace gloss::app
