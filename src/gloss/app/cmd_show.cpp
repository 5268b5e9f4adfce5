// gloss show: one latent in the terminal.
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "gloss/app/command.h"
#include "gloss/app/report_data.h"
#include "gloss/report/terminal.h"

namespace gloss::app {
namespace {

std::size_t terminal_width() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 100;
  return std::max<std::size_t>(size.ws_col, 40);
}

}  // namespace

Runner setup_show(CLI::App& cli) {
  struct Options {
    std::string run, hookpoint;
    std::uint32_t latent = 0;
    bool json = false;
    report::ShowOptions show;
  };
  auto o = std::make_shared<Options>();
  cli.add_option("run", o->run, "run folder with explanations")->required();
  cli.add_option("hookpoint", o->hookpoint, "hookpoint, e.g. layers.5")->required();
  cli.add_option("latent", o->latent, "latent, from 0")->required();
  cli.add_option("--examples", o->show.examples, "activating windows shown");
  cli.add_flag("--json", o->json, "print one JSON document");
  return [o](Context& context) {
    const RunFolder run(o->run);
    const RunData data = RunData::open(run);
    const std::string hookpoint = run.select_hookpoints({o->hookpoint}).front();
    const store::Store store(run.results());
    const report::RunData report = report_data(data, store);
    o->show.color = context.color_out;
    o->show.width = terminal_width();
    const LatentId latent{o->latent};
    if (o->json)
      context.out << report::show_json(report, hookpoint, latent, o->show).dump(2) << "\n";
    else
      context.out << report::show_text(report, hookpoint, latent, o->show);
    return static_cast<int>(kDone);
  };
}

}  // namespace gloss::app
