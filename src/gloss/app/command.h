#pragma once
/// The table of subcommands and what they share. One file per subcommand: cmd_NAME.cpp.
#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "gloss/base/reporter.h"

namespace gloss::app {

enum ExitCode : int { kDone = 0, kFailed = 1, kUsage = 2, kBadInput = 3, kSomeFailed = 4, kInterrupted = 130 };

/// Where a command writes: results to `out` (stdout), everything else to `reporter` (stderr).
struct Context {
  std::ostream& out;
  Reporter& reporter;
  bool color_out = false;  // stdout is a terminal that shows colours
};

/// Declares a command's flags on `cli` and gives the function that runs it after parsing.
using Runner = std::function<int(Context&)>;
using Setup = Runner (*)(CLI::App& cli);

struct Command {
  std::string name;
  std::string summary;
  Setup setup;
};
std::span<const Command> commands();
/// The row of this name. Errors: usage (known names, nearest).
const Command& find_command(std::string_view name);

Runner setup_cache(CLI::App& cli);
Runner setup_train_sae(CLI::App& cli);
Runner setup_explain(CLI::App& cli);
Runner setup_score(CLI::App& cli);
Runner setup_plan(CLI::App& cli);
Runner setup_embed(CLI::App& cli);
Runner setup_report(CLI::App& cli);
Runner setup_show(CLI::App& cli);
Runner setup_serve(CLI::App& cli);
Runner setup_run(CLI::App& cli);
Runner setup_doctor(CLI::App& cli);
Runner setup_check(CLI::App& cli);
Runner setup_merge(CLI::App& cli);
Runner setup_compare(CLI::App& cli);
Runner setup_filter(CLI::App& cli);
Runner setup_circuit(CLI::App& cli);
Runner setup_export(CLI::App& cli);
Runner setup_import(CLI::App& cli);

/// Declares the command's flags, parses `arguments` (without program and command name) and runs it.
/// Errors: usage, with the nearest known flag for an unknown one.
int run_command(const Command& command, std::vector<std::string> arguments, Context& context);

/// The whole program: parses, runs, turns errors into messages and exit codes.
int main_program(std::vector<std::string> arguments, Context& context);

/// Flags that mean the same everywhere.
struct CommonOptions {
  std::uint64_t seed = 1;
  std::size_t threads = 0;  // 0 = all the machine offers
  std::string device = "cpu";
  std::string dtype = "float32";

  std::size_t thread_count() const;
};
void add_seed(CLI::App& cli, CommonOptions& options);
void add_threads(CLI::App& cli, CommonOptions& options);
/// --device and --dtype.
void add_device(CLI::App& cli, CommonOptions& options);
/// A number with a unit (5M, 1GiB); the text given is kept in run.toml.
CLI::Option* add_quantity(CLI::App& cli, const std::string& name, std::uint64_t& value, const std::string& description);

}  // namespace gloss::app
