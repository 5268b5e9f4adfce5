#include "gloss/app/command.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <exception>
#include <new>
#include <utility>

#include "gloss/app/version.h"
#include "gloss/base/error.h"
#include "gloss/base/interrupt.h"
#include "gloss/base/parallel.h"
#include "gloss/base/quantity.h"
#include "gloss/model/subject_model.h"

namespace gloss::app {
namespace {

const std::vector<Command>& table() {
  static const std::vector<Command> rows = {
      {"run", "do all stages that a TOML file asks for, skipping what is done", setup_run},
      {"train-sae", "train a sparse coder on a subject model's activations", setup_train_sae},
      {"cache", "run model and coder over text; write tokens and activation index", setup_cache},
      {"filter", "tell kinds of latents (positional, unigram, dense, ...) before they are explained", setup_filter},
      {"plan", "tell what explaining and scoring will cost, before anything is sent", setup_plan},
      {"explain", "explain latents from their examples", setup_explain},
      {"score", "score explanations on windows no explainer saw", setup_score},
      {"embed", "embed explanations, so that the page can search them by meaning", setup_embed},
      {"report", "write a static page, CSV and summary of a run", setup_report},
      {"show", "print one latent: explanation, scores, examples", setup_show},
      {"serve", "browse runs in a web browser on this machine", setup_serve},
      {"circuit", "find the latents that carry a behaviour, from pairs of prompts, or ablate some", setup_circuit},
      {"compare", "set two explainers, of one run or two, against each other on the same windows", setup_compare},
      {"export", "write a run in the format of another tool", setup_export},
      {"import", "make a run of another tool's files", setup_import},
      {"merge", "join the parts of a cache made with --shard", setup_merge},
      {"check", "read every artifact of a run whole, and tell which are damaged", setup_check},
      {"doctor", "tell what this machine, model, coder and endpoint can do", setup_doctor},
  };
  return rows;
}

std::string program_help() {
  std::string text =
      "gloss explains the latents of sparse autoencoders and scores its explanations.\n\n"
      "usage: gloss COMMAND [ARGUMENTS]      gloss COMMAND --help      gloss --version\n\n";
  for (const Command& row : table()) text += fmt::format("  {:<10} {}\n", row.name, row.summary);
  text +=
      "\nResults go to stdout, messages and progress to stderr. Numbers take k, M, G and KiB, MiB, GiB.\n"
      "Exit codes: 0 done, 1 failed, 2 usage, 3 bad input, 4 done but some latents failed, 130 interrupted.\n";
  return text;
}

std::vector<std::string> flag_names(const CLI::App& cli) {
  std::vector<std::string> names;
  for (const CLI::Option* option : cli.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

[[noreturn]] void fail_extra(const CLI::App& cli, const std::string& command) {
  const std::vector<std::string> left = cli.remaining();
  for (const std::string& argument : left) {
    if (!argument.starts_with('-')) continue;
    const std::string flag = argument.substr(0, argument.find('='));
    const std::string nearest = nearest_name(flag, flag_names(cli));
    throw Error(ErrorKind::usage, "gloss " + command, fmt::format("unknown flag '{}'", flag),
                nearest.empty() ? fmt::format("gloss {} --help lists the flags", command)
                                : fmt::format("did you mean '{}'?", nearest));
  }
  throw Error(ErrorKind::usage, "gloss " + command, fmt::format("unexpected argument '{}'", left.front()),
              fmt::format("gloss {} --help shows the usage", command));
}

int report_error(const std::string& command, const Error& error, Context& context) {
  if (error.kind() == ErrorKind::interrupted) {
    const std::string_view what = error.what();
    const std::string why(what.starts_with("stopped") ? what.substr(0, what.find('\n')) : "interrupted");
    context.reporter.warn(why + ": what was finished is saved; run the same command again to go on");
  } else {
    context.reporter.warn(command.empty() ? fmt::format("gloss: {}", error.what())
                                          : fmt::format("gloss {}: {}", command, error.what()));
  }
  return static_cast<int>(error.kind());
}

}  // namespace

std::span<const Command> commands() { return table(); }

const Command& find_command(std::string_view name) {
  std::vector<std::string> names;
  for (const Command& row : table()) {
    if (row.name == name) return row;
    names.push_back(row.name);
  }
  fail_unknown_name("command", name, names);
}

int run_command(const Command& command, std::vector<std::string> arguments, Context& context) {
  CLI::App cli(command.summary, "gloss " + command.name);
  cli.allow_extras();
  cli.option_defaults()->always_capture_default();
  const Runner run = command.setup(cli);
  for (CLI::Option* option : cli.get_options()) {
    if (option->get_default_str() == "[]") option->default_str("");  // an empty list needs no showing
  }
  std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
  try {
    cli.parse(arguments);
  } catch (const CLI::CallForHelp&) {
    context.out << cli.help();
    return kDone;
  } catch (const CLI::ParseError& e) {
    if (!cli.remaining().empty() && cli.remaining().front().starts_with('-')) fail_extra(cli, command.name);
    throw Error(ErrorKind::usage, "", e.what(), fmt::format("gloss {} --help shows the usage", command.name));
  }
  if (!cli.remaining().empty()) fail_extra(cli, command.name);
  return run(context);
}

int main_program(std::vector<std::string> arguments, Context& context) {
  std::string name;
  try {
    if (arguments.empty()) {
      context.out << program_help();
      return kUsage;
    }
    if (arguments.front() == "--help" || arguments.front() == "-h" || arguments.front() == "help") {
      context.out << program_help();
      return kDone;
    }
    if (arguments.front() == "--version") {
      context.out << version_text();
      return kDone;
    }
    const Command& command = find_command(arguments.front());
    name = command.name;
    arguments.erase(arguments.begin());
    return run_command(command, std::move(arguments), context);
  } catch (const Error& e) {
    return report_error(name, e, context);
  } catch (const std::bad_alloc&) {
    context.reporter.warn(
        fmt::format("gloss {}: out of memory\nhint: fewer tokens a batch (--batch), or less --memory", name));
  } catch (const std::exception& e) {
    context.reporter.warn(
        fmt::format("gloss {}: {}\nhint: this is a fault of gloss; please report it", name, e.what()));
  }
  return kFailed;
}

std::size_t CommonOptions::thread_count() const { return threads == 0 ? available_threads() : threads; }

void add_seed(CLI::App& cli, CommonOptions& options) {
  cli.add_option("--seed", options.seed, "seed of every random choice");
}

void add_threads(CLI::App& cli, CommonOptions& options) {
  cli.add_option("--threads", options.threads, "threads; 0 = all the machine offers. Results do not depend on it");
}

void add_device(CLI::App& cli, CommonOptions& options) {
  cli.add_option("--device", options.device, "cpu or cuda");
  cli.add_option("--dtype", options.dtype,
                 "what the model computes in: float32, bfloat16, float16; its weights stay in memory as the files have "
                 "them, or narrower");
}

CLI::Option* add_quantity(CLI::App& cli, const std::string& name, std::uint64_t& value,
                          const std::string& description) {
  return cli
      .add_option_function<std::string>(
          name, [&value, name](const std::string& text) { value = parse_quantity(text, name); }, description)
      ->default_str(std::to_string(value));
}

}  // namespace gloss::app
