// gloss compare: two explainers of one run, or of two, on what both were judged on.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "gloss/app/command.h"
#include "gloss/app/run_data.h"
#include "gloss/base/error.h"
#include "gloss/report/compare.h"
#include "gloss/score/baselines.h"

namespace gloss::app {
namespace {

struct CompareCommand {
  CommonOptions common;
  std::string run_a, run_b, a, b;
  bool json = false;
};

/// Explainers that have scores, baselines last.
std::vector<std::string> scored_explainers(const store::Store& store) {
  std::vector<std::string> names;
  store.each_score("", "", "", [&](const store::ScoreRow& row) {
    if (std::find(names.begin(), names.end(), row.explainer) == names.end()) names.push_back(row.explainer);
  });
  std::stable_partition(names.begin(), names.end(),
                        [](const std::string& name) { return !score::is_shuffled_name(name); });
  return names;
}

/// The explainer named, or the only one of the run that is no baseline.
std::string choose(const std::string& name, const char* flag, const std::vector<std::string>& known,
                   const std::string& run) {
  if (known.empty()) fail_input(run, "nothing was scored yet", fmt::format("gloss score {} comes first", run));
  if (!name.empty()) {
    if (std::find(known.begin(), known.end(), name) == known.end()) fail_unknown_name("explainer", name, known);
    return name;
  }
  const bool one = known.size() == 1 || score::is_shuffled_name(known[1]);
  if (!one || score::is_shuffled_name(known[0]))
    throw Error(ErrorKind::usage, run, fmt::format("has several explainers with scores: {}", fmt::join(known, ", ")),
                fmt::format("name one with {}", flag));
  return known[0];
}

int compare_command(const CompareCommand& o, Context& context) {
  const bool one_run = o.run_b.empty() || o.run_b == o.run_a;
  const RunFolder folder_a(o.run_a);
  const RunFolder folder_b(one_run ? o.run_a : o.run_b);
  const RunData data_a = RunData::open(folder_a);
  const RunData data_b = RunData::open(folder_b);
  const store::Store store_a(folder_a.results());
  const store::Store store_b(folder_b.results());
  if (one_run && (o.a.empty() || o.b.empty()))
    throw Error(ErrorKind::usage, "", "two explainers of one run are compared by name",
                fmt::format("gloss compare {} --a NAME --b NAME; it has {}", o.run_a,
                            fmt::join(scored_explainers(store_a), ", ")));
  const std::string a = choose(o.a, "--a", scored_explainers(store_a), o.run_a);
  const std::string b = choose(o.b, "--b", scored_explainers(store_b), folder_b.root().string());
  const bool same_windows = data_a.tokens.fingerprint() == data_b.tokens.fingerprint();
  const auto rows = report::compare({store_a, a}, {store_b, b}, same_windows, o.common.seed);
  if (rows.empty())
    fail_input(o.run_a, fmt::format("{} and {} have no scorer with one judge in common", a, b),
               "score both with the same --scorer and --judge");
  if (!same_windows)
    context.reporter.warn("the runs were made from different tokens: latents are paired, windows are not");
  if (o.json) {
    nlohmann::json json = {{"a", {{"run", o.run_a}, {"explainer", a}}},
                           {"b", {{"run", folder_b.root().string()}, {"explainer", b}}},
                           {"same_windows", same_windows},
                           {"comparisons", nlohmann::json::array()}};
    for (const report::Comparison& row : rows) json["comparisons"].push_back(report::to_json(row));
    context.out << json.dump(2) << "\n";
    return kDone;
  }
  context.out << fmt::format("A: {} of {}\nB: {} of {}\n", a, o.run_a, b, folder_b.root().string());
  for (const report::Comparison& row : rows) context.out << report::to_text(row);
  return kDone;
}

}  // namespace

Runner setup_compare(CLI::App& cli) {
  auto o = std::make_shared<CompareCommand>();
  cli.add_option("run_a", o->run_a, "run folder with scores")->required();
  cli.add_option("run_b", o->run_b, "another, or the same by default");
  cli.add_option("--a", o->a, "explainer A; needed when the run has several");
  cli.add_option("--b", o->b, "explainer B");
  cli.add_flag("--json", o->json, "print one JSON document");
  add_seed(cli, o->common);
  return [o](Context& context) { return compare_command(*o, context); };
}

}  // namespace gloss::app
