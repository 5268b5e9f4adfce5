// gloss report: RUN/report/{index.html,figures.html,figures/,scores.csv,summary.json}, or one page of chosen latents.
#include <fmt/format.h>

#include <charconv>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "gloss/app/command.h"
#include "gloss/app/example_options.h"
#include "gloss/app/latent_properties.h"
#include "gloss/app/report_data.h"
#include "gloss/app/settings.h"
#include "gloss/base/error.h"
#include "gloss/base/output_file.h"
#include "gloss/examples/examples.h"
#include "gloss/report/html.h"
#include "gloss/report/vega_figures.h"
#include "gloss/score/baselines.h"

namespace gloss::app {
namespace {

/// "layers.2/17". Errors: usage.
std::pair<std::string, LatentId> latent_named(const std::string& text) {
  const std::size_t slash = text.rfind('/');
  std::uint32_t number = 0;
  const char* end = text.data() + text.size();
  if (slash == std::string::npos || slash == 0 ||
      std::from_chars(text.data() + slash + 1, end, number) != std::from_chars_result{end, std::errc()})
    throw Error(ErrorKind::usage, "--latent", fmt::format("'{}' is not HOOKPOINT/NUMBER", text),
                "for example layers.2/17");
  return {text.substr(0, slash), LatentId{number}};
}

struct ReportCommand {
  std::string run;
  report::ReportOptions report;
  report::FigureOptions figures;
  std::string latent;   // of the figure outcomes
  std::string latents;  // "" = a report of the run
  std::string out;
  std::vector<std::string> hookpoints;
  CommonOptions common;
};

/// Those of the latents asked for that were explained. Errors: usage: the specification says none, or none explained.
std::set<report::LatentName> chosen_latents(const ReportCommand& o, const RunData& data, const report::RunData& shown,
                                            const store::Store& store, Reporter& reporter) {
  std::map<std::string, std::set<LatentId>> explained;
  for (const store::ExplanationRow& row : shown.explanations) {
    if (!score::is_shuffled_name(row.explainer)) explained[row.hookpoint].insert(row.explanation.latent);
  }
  const examples::LatentSpec spec = examples::LatentSpec::parse(o.latents);
  std::set<report::LatentName> chosen;
  std::size_t asked = 0;
  for (const std::string& hookpoint : data.run.select_hookpoints(o.hookpoints)) {
    const index::Reader reader = data.index(hookpoint);
    const std::set<LatentId>& known = explained[hookpoint];
    std::vector<bool> eligible(reader.latent_count(), false);
    for (const LatentId latent : known) {
      if (to_index(latent) < eligible.size()) eligible[to_index(latent)] = true;
    }
    for (const LatentId latent : spec.select(hookpoint, reader.latent_count(), o.common.seed, eligible,
                                             properties_of(reader, hookpoint, &store))) {
      ++asked;
      if (known.contains(latent)) chosen.emplace(hookpoint, latent);
    }
  }
  if (chosen.empty())
    throw Error(
        ErrorKind::usage, "--latents",
        asked == 0 ? fmt::format("'{}' chooses no latent of {}", o.latents, o.run)
                   : fmt::format("'{}' chooses {} latents, none of which is explained", o.latents, asked),
        fmt::format("--latents random:20 takes 20 explained ones; gloss explain {} --latents '{}' explains these",
                    o.run, o.latents));
  if (chosen.size() < asked)
    reporter.info(fmt::format("{} of {} latents are not explained and left out", asked - chosen.size(), asked));
  return chosen;
}

int write_latents_page(const ReportCommand& o, const RunData& data, const store::Store& store,
                       const report::RunData& whole, Context& context) {
  constexpr std::size_t kMuchToMail = 20'000'000;
  if (!o.out.empty() && std::filesystem::exists(o.out))
    fail_input(o.out, "is there already", "name a file that is not");
  const std::filesystem::path file = o.out.empty() ? data.run.report() / "latents.html" : std::filesystem::path(o.out);
  report::RunData shown = whole;
  shown.facts.emplace_back("latents", o.latents);
  const std::string page =
      report::latents_page(shown, chosen_latents(o, data, shown, store, context.reporter), o.report, context.reporter);
  if (o.out.empty()) std::filesystem::create_directories(file.parent_path());
  write_file(file, page);
  if (page.size() > kMuchToMail)
    context.reporter.warn(
        fmt::format("{} has {} MB: more than most mail servers take; choose fewer --latents, or "
                    "fewer windows with --examples",
                    file.string(), page.size() / 1'000'000));
  context.out << file.string() << "\n";
  return kDone;
}

}  // namespace

Runner setup_report(CLI::App& cli) {
  auto o = std::make_shared<ReportCommand>();
  cli.add_option("run", o->run, "run folder with explanations")->required();
  cli.add_option("--latents-with-examples", o->report.latents_with_examples,
                 "latents whose windows the page holds: best, worst and random ones when there are more");
  cli.add_option("--table-rows", o->report.table_rows, "latents in the page's table; scores.csv always has all");
  cli.add_option("--examples", o->report.examples, "activating windows of a latent (12; 20 with --latents)");
  cli.add_option("--figure", o->figures.names,
                 "only this figure: scores, histograms, deciles, agreement, judges, density, roc, calibration, "
                 "filters, filters-by-layer, filter-thresholds, kind-scores, cost, or outcomes (of one latent); all "
                 "there are by default");
  cli.add_option("--latent", o->latent, "HOOKPOINT/NUMBER: the latent of outcomes");
  CLI::Option* latents = cli.add_option(
      "--latents", o->latents,
      fmt::format("one page of these latents alone, without scripts, to keep, mail or print: those explained of {}",
                  kLatentsHelp));
  cli.add_option("--out", o->out,
                 "where that page goes, a file that is not there yet; RUN/report/latents.html by default")
      ->needs(latents);
  cli.add_option("--hookpoint", o->hookpoints, "hookpoints of --latents; all of the run by default")->needs(latents);
  cli.add_option("--figure-points", o->figures.most_points, "points that a scatter draws; its CSV has all");
  for (const char* other : {"--figure", "--latent"}) latents->excludes(cli.get_option(other));
  add_seed(cli, o->common);
  return [o, &cli](Context& context) {
    constexpr std::size_t kExamplesOfChosen = 20;  // two of each decile
    o->report.seed = o->common.seed;
    const RunFolder run(o->run);
    const RunData data = RunData::open(run);
    const store::Store store(run.results());
    if (!o->latents.empty()) {  // a page for somebody: not a setting of the run
      if (cli.count("--examples") == 0) o->report.examples = kExamplesOfChosen;
      return write_latents_page(*o, data, store, report_data(data, store), context);
    }
    save_settings(run, "report", cli);
    const bool windows = o->figures.names.empty() || !o->latent.empty() || has_example_settings(store);
    const report::RunData shown = windows ? report_data(data, store) : figure_data(data, store);
    if (!o->latent.empty()) o->figures.latent = latent_named(o->latent);
    if (!o->figures.names.empty() || o->figures.latent) {
      o->figures.seed = o->report.seed;
      if (o->figures.names.empty()) o->figures.names = {"outcomes"};
      const report::RunSummary summary =
          report::summarize_run(shown.explanations, shown.scores, o->report.seed, shown.latents, shown.output);
      for (const auto& path : write_figures(run.report() / "figures", make_figures(shown, summary, o->figures)))
        context.out << path.string() << "\n";
      return static_cast<int>(kDone);
    }
    report::write_report(run.report(), shown, o->report, context.reporter);
    context.out << (run.report() / "index.html").string() << "\n";
    return static_cast<int>(kDone);
  };
}

}  // namespace gloss::app
