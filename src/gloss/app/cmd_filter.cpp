// gloss filter: tells kinds of latents by what is stored of them, with --check by what they do in scrambled text, and
// with --input-output by what the model writes when they are turned up.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "gloss/app/command.h"
#include "gloss/app/input_output_stage.h"
#include "gloss/app/job_file.h"
#include "gloss/app/run_data.h"
#include "gloss/app/run_folder.h"
#include "gloss/app/score_subject.h"
#include "gloss/app/settings.h"
#include "gloss/app/statistics_stage.h"
#include "gloss/base/error.h"
#include "gloss/base/interrupt.h"
#include "gloss/index/filters.h"
#include "gloss/index/scrambled.h"
#include "gloss/index/statistics.h"
#include "gloss/report/filter_tables.h"
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
  bool check = false, input_output = false;
  InputOutputOptions scores;
  SubjectOptions subject;
  bool json = false;
};

/// What one filter finds in one hookpoint.
struct Row {
  std::string hookpoint;
  index::KindTally tally;
  std::uint64_t told = 0;
  double bias = 0.0;                       // of positional
  std::optional<index::KindTally> second;  // positional: of I/H; checked kinds: of texts in which it fires anywhere
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

bool is_checked(LatentKind kind) {
  return kind == LatentKind::unigram_checked || kind == LatentKind::previous_token_checked;
}

/// Whether it is told by what not every run holds.
bool wants_more(LatentKind kind) {
  return kind == LatentKind::writes_few || kind == LatentKind::output || kind == LatentKind::input_score ||
         kind == LatentKind::output_score;
}

/// Measures every latent of a hookpoint by every filter that needs no model, keeps those found, and adds a row to each
/// table.
void filter_hookpoint(const FilterCommand& o, const RunData& data, const std::string& hookpoint, store::Store& store,
                      std::vector<Filter>& filters, Reporter& reporter) {
  make_statistics(data.run, hookpoint, data.tokens, o.common.thread_count(), reporter);
  const auto statistics = index::StatisticsReader::open(data.run.statistics(hookpoint));
  const auto weights = data.weights(hookpoint);
  const std::optional<index::InputOutput> scores = input_output_of(data, data.index(hookpoint));
  const std::map<LatentId, double> detection = detection_of(store, hookpoint);
  const std::uint64_t contexts = statistics.token_count() / statistics.ctx_len();
  std::vector<store::KindRow> found(filters.size());
  std::vector<bool> any(filters.size(), false);
  for (Filter& filter : filters) {
    if (is_checked(filter.kind->kind)) continue;
    Row row{hookpoint, index::KindTally(filter.kind->table, filter.kind->few_is_it), 0, 0.0, {}};
    if (filter.kind->kind == LatentKind::positional) {
      row.bias = index::position_bias(contexts, statistics.ctx_len());
      row.second.emplace(kEntropyShares, false);
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
    if (scores) facts.input = scores->input_of(f);
    if (scores) facts.output = scores->output_of(f);
    if (const auto at = detection.find(f); at != detection.end()) facts.balanced_accuracy = at->second;
    for (std::size_t k = 0; k < filters.size(); ++k) {
      const KindInfo& kind = *filters[k].kind;
      const std::optional<double> value = index::measure(kind.kind, facts);
      if (!value) continue;
      any[k] = true;
      Row& row = filters[k].rows.back();
      row.tally.add(*value);
      if (row.second) row.second->add(*value / std::max(index::binary_entropy(facts.density), 1e-300));
      if (index::is_of_kind(kind, *value, filters[k].threshold)) found[k].latents.emplace_back(f, *value);
    }
  }
  store::Store::Transaction transaction(store);
  for (std::size_t k = 0; k < filters.size(); ++k) {
    const KindInfo& kind = *filters[k].kind;
    if (is_checked(kind.kind)) continue;
    filters[k].rows.back().told = found[k].latents.size();
    // Nothing is known of what nobody could measure: no weights, no scores.
    if (wants_more(kind.kind) && !any[k]) {
      filters[k].rows.pop_back();
      continue;
    }
    found[k].rule = rule_of(kind, filters[k].threshold);
    store.put_kind(hookpoint, kind.name, found[k]);
  }
  transaction.commit();
}

/// Texts that model and coder read at once.
constexpr std::size_t kTextsABatch = 64;

/// Runs model and coder on scrambled texts of the tokens of those told before, and adds the table's row.
void check_hookpoint(const FilterCommand& o, const RunData& data, const std::string& hookpoint, const Subject& subject,
                     store::Store& store, Filter& filter, Reporter& reporter) {
  const bool unigram = filter.kind->kind == LatentKind::unigram_checked;
  const index::ScrambledPlace place = unigram ? index::ScrambledPlace::last : index::ScrambledPlace::before_last;
  const auto statistics = index::StatisticsReader::open(data.run.statistics(hookpoint));
  const std::optional<store::KindRow> candidates =
      store.kind(hookpoint, index::info(unigram ? LatentKind::unigram : LatentKind::previous_token).name);
  index::ScrambledTally tally;
  for (const auto& [latent, value] : candidates.value().latents) {
    const index::LatentStatistics s = statistics.latent(latent);
    tally.add_latent(latent, unigram ? s.tokens : s.previous);
  }
  const std::vector<TokenId> tokens = tally.tokens();
  const std::vector<TokenId> ordinary = subject.ordinary_tokens();
  constexpr std::size_t kTokensABatch = kTextsABatch / index::kScrambledTexts;
  for (std::size_t begin = 0; begin < tokens.size(); begin += kTokensABatch) {
    stop_if_interrupted();
    const auto batch = std::span(tokens).subspan(begin, std::min(kTokensABatch, tokens.size() - begin));
    std::vector<TokenId> ids;
    for (const TokenId token : batch) {
      for (std::uint32_t number = 0; number < index::kScrambledTexts; ++number) {
        const auto text = index::scrambled_text(o.common.seed, place, token, number, ordinary);
        ids.insert(ids.end(), text.begin(), text.end());
      }
    }
    const std::vector<index::ScrambledFirings> fired = subject.fire(ids);
    for (std::size_t i = 0; i < fired.size(); ++i) tally.add_text(batch[i / index::kScrambledTexts], fired[i]);
    reporter.progress(
        {fmt::format("{} {}", hookpoint, filter.kind->name), begin + batch.size(), tokens.size(), "tokens", ""});
  }
  Row row{hookpoint, index::KindTally(filter.kind->table, false), 0, 0.0, {}};
  row.second.emplace(filter.kind->table, false);
  store::KindRow found;
  found.rule = rule_of(*filter.kind, filter.threshold);
  for (const index::ScrambledTally::Share& share : tally.shares()) {
    row.tally.add(share.last);
    row.second->add(share.anywhere);
    if (index::is_of_kind(*filter.kind, share.last, filter.threshold))
      found.latents.emplace_back(share.latent, share.last);
  }
  row.told = found.latents.size();
  store.put_kind(hookpoint, filter.kind->name, found);
  filter.rows.push_back(std::move(row));
}

/// What the figures draw of a row of a filter's table.
report::FilterTally tally_of(const Filter& filter, const Row& row) {
  const KindInfo& kind = *filter.kind;
  report::FilterTally tally{row.hookpoint,
                            std::string(kind.name),
                            std::string(kind.measure),
                            kind.few_is_it,
                            filter.threshold,
                            row.tally.measured(),
                            row.told,
                            {}};
  for (std::size_t i = 0; i < row.tally.counts().size(); ++i)
    tally.by_threshold.emplace_back(row.tally.thresholds()[i], row.tally.counts()[i]);
  return tally;
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
  const bool positional = kind.kind == LatentKind::positional;
  std::vector<std::string> heads{"measured", "told"};
  for (const double t : kind.table) heads.push_back(fmt::format("{}{}", kind.few_is_it ? "<=" : ">", t));
  if (const auto& second = filter.rows.front().second) {
    for (const double t : second->thresholds()) heads.push_back(fmt::format("{}>{}", positional ? "I/H" : "any", t));
  }
  if (positional) heads.emplace_back("bias");
  out << line_of("hookpoint", heads, width);
  for (const Row& row : filter.rows) {
    std::vector<std::string> cells{std::to_string(row.tally.measured()), std::to_string(row.told)};
    for (const std::uint64_t n : row.tally.counts()) cells.push_back(std::to_string(n));
    if (row.second) {
      for (const std::uint64_t n : row.second->counts()) cells.push_back(std::to_string(n));
    }
    if (positional) cells.push_back(fmt::format("{:.2g}", row.bias));
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
    const bool positional = filter.kind->kind == LatentKind::positional;
    if (row.second) one[positional ? "by_share_of_entropy" : "by_threshold_anywhere"] = counts_of(*row.second);
    if (positional) one["bias"] = row.bias;
    json["hookpoints"].push_back(std::move(one));
  }
  return json;
}

int filter_command(const FilterCommand& o, const CLI::App& cli, Context& context) {
  const RunFolder run(o.run);
  const RunData data = RunData::open(run);
  const std::vector<std::string> hookpoints = run.select_hookpoints(o.hookpoints);
  store::Store store(run.results());
  save_settings(run, "filter", cli);
  std::vector<Filter> filters;
  for (const auto& [kind, threshold] : o.thresholds) filters.push_back({&index::info(kind), threshold, {}});
  std::optional<Subject> subject;
  if (o.check || o.input_output)
    subject.emplace(o.subject, data, o.common.seed, o.common.thread_count(), context.reporter);
  for (const std::string& hookpoint : hookpoints) {
    if (subject) subject->select(hookpoint);
    if (o.input_output)
      make_input_output(data, hookpoint, *subject, o.scores, o.common.thread_count(), context.reporter);
    filter_hookpoint(o, data, hookpoint, store, filters, context.reporter);
    if (!o.check) continue;
    for (Filter& filter : filters) {
      if (is_checked(filter.kind->kind)) check_hookpoint(o, data, hookpoint, *subject, store, filter, context.reporter);
    }
  }
  {
    store::Store::Transaction transaction(store);
    for (const Filter& filter : filters) {
      for (const Row& row : filter.rows) report::keep_filter_tally(store, tally_of(filter, row));
    }
    transaction.commit();
  }
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
    double& threshold = o->thresholds[kind.kind] = kind.threshold;
    if (kind.kind == LatentKind::dead) continue;
    CLI::Option* option =
        cli.add_option(fmt::format("--{}", kind.name), threshold,
                       fmt::format("a latent is {} where this is {} the threshold: {} (default {})", kind.name,
                                   kind.few_is_it ? "at most" : "above", kind.measure, kind.threshold));
    option->check(CLI::NonNegativeNumber);
  }
  cli.add_flag("--check", o->check,
               "run model and coder on texts of random tokens with one of the latent's: unigram-checked, "
               "previous-token-checked");
  cli.add_flag("--input-output", o->input_output,
               "run the model with each latent turned up: input-score, output-score (arXiv 2505.20063)");
  cli.add_option(
      "--neutral", o->scores.prompts,
      "texts after which the output score looks at the next token; several give their mean (default: From my "
      "experience,)");
  cli.add_option("--turn-up", o->scores.factor,
                 "how strongly: multiple of the largest activation of any latent at the text's last token")
      ->check(CLI::Range(0.001, 10000.0));
  add_subject_source(cli, o->subject);
  add_seed(cli, o->common);
  cli.add_flag("--json", o->json, "print the tables as one JSON document");
  add_threads(cli, o->common);
  return [o, &cli](Context& context) {
    return as_job(o->run, "filter", context, [&](Context& c) { return filter_command(*o, cli, c); });
  };
}

}  // namespace gloss::app
