// gloss run: the stages of a TOML file, one after another; each skips what is done.
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "gloss/app/command.h"
#include "gloss/app/settings.h"

namespace gloss::app {

Runner setup_run(CLI::App& cli) {
  auto file = std::make_shared<std::string>();
  cli.add_option("file", *file,
                 "run file: run = \"FOLDER\", then a table a stage ([train-sae], [cache], [filter], "
                 "[explain], [score], [embed], [report]) whose keys are that command's flags")
      ->required();
  return [file](Context& context) {
    const RunFile run = read_run_file(*file);
    int worst = kDone;
    for (std::size_t i = 0; i < run.stages.size(); ++i) {
      const Stage& stage = run.stages[i];
      context.reporter.info(fmt::format("[{}/{}] gloss {}", i + 1, run.stages.size(), stage.command));
      const int code = run_command(find_command(stage.command), stage.arguments, context);
      if (code != kDone && code != kSomeFailed) return code;
      worst = std::max(worst, code);
    }
    return worst;
  };
}

}  // namespace gloss::app
