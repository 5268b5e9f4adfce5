#pragma once
/// run.toml: every setting of every stage, defaults written out; and the same file as the input of `gloss run`.
#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "gloss/app/run_folder.h"

namespace gloss::app {

/// Writes the section [stage] of RUN/run.toml from a command's flags as they are after parsing. Other sections stay.
void save_settings(const RunFolder& run, const std::string& stage, const CLI::App& cli);

/// One stage of a run file: the command and its arguments, as if typed.
struct Stage {
  std::string command;
  std::vector<std::string> arguments;
};
struct RunFile {
  std::string run;  // the run folder, relative to the current folder
  std::vector<Stage> stages;
};
/// Reads a run file: `run = "FOLDER"`, then one table a stage ([train-sae], [cache], [filter], [explain], [score],
/// [report]), each key a flag without its dashes; a list repeats the flag. A stage may be a list of tables
/// ([[explain]]) to run it more than once. Errors: bad_input with file, line and column.
RunFile read_run_file(const std::filesystem::path& file);

}  // namespace gloss::app
