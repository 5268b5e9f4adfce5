// gloss report: RUN/report/{index.html,figures.html,figures/,scores.csv,summary.json}.
#include <fmt/format.h>

#include <charconv>
#include <memory>
#include <utility>

#include "gloss/app/command.h"
#include "gloss/app/report_data.h"
#include "gloss/app/settings.h"
#include "gloss/base/error.h"
#include "gloss/report/html.h"
#include "gloss/report/vega_figures.h"

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

}  // namespace

Runner setup_report(CLI::App& cli) {
  struct Options {
    std::string run;
    report::ReportOptions report;
    report::FigureOptions figures;
    std::string latent;
  };
  auto o = std::make_shared<Options>();
  cli.add_option("run", o->run, "run folder with explanations")->required();
  cli.add_option("--latents-with-examples", o->report.latents_with_examples,
                 "latents whose windows the page holds: best, worst and random ones when there are more");
  cli.add_option("--table-rows", o->report.table_rows, "latents in the page's table; scores.csv always has all");
  cli.add_option("--examples", o->report.examples, "activating windows of a latent");
  cli.add_option(
      "--figure", o->figures.names,
      "only this figure: scores, histograms, deciles, agreement, judges, density, roc, calibration, cost, or "
      "outcomes (of one latent); all there are by default");
  cli.add_option("--latent", o->latent, "HOOKPOINT/NUMBER: the latent of outcomes");
  cli.add_option("--figure-points", o->figures.most_points, "points that a scatter draws; its CSV has all");
  return [o, &cli](Context& context) {
    const RunFolder run(o->run);
    const RunData data = RunData::open(run);
    const store::Store store(run.results());
    save_settings(run, "report", cli);
    const report::RunData shown = report_data(data, store);
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
