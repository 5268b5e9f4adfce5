// gloss report: RUN/report/{index.html,scores.csv,summary.json}.
#include <fmt/format.h>

#include <memory>

#include "gloss/app/command.h"
#include "gloss/app/report_data.h"
#include "gloss/app/settings.h"
#include "gloss/report/html.h"

namespace gloss::app {

Runner setup_report(CLI::App& cli) {
  struct Options {
    std::string run;
    report::ReportOptions report;
  };
  auto o = std::make_shared<Options>();
  cli.add_option("run", o->run, "run folder with explanations")->required();
  cli.add_option("--latents-with-examples", o->report.latents_with_examples,
                 "latents whose windows the page holds: best, worst and random ones when there are more");
  cli.add_option("--table-rows", o->report.table_rows, "latents in the page's table; scores.csv always has all");
  cli.add_option("--examples", o->report.examples, "activating windows of a latent");
  return [o, &cli](Context& context) {
    const RunFolder run(o->run);
    const RunData data = RunData::open(run);
    const store::Store store(run.results());
    save_settings(run, "report", cli);
    report::write_report(run.report(), report_data(data, store), o->report, context.reporter);
    context.out << (run.report() / "index.html").string() << "\n";
    return static_cast<int>(kDone);
  };
}

}  // namespace gloss::app
