// gloss serve: runs in a web browser, over HTTP on this machine.
#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <numeric>
#include <utility>

#include "gloss/app/command.h"
#include "gloss/app/job_file.h"
#include "gloss/app/meaning_stage.h"
#include "gloss/app/report_data.h"
#include "gloss/app/score_subject.h"
#include "gloss/app/version.h"
#include "gloss/base/error.h"
#include "gloss/base/interrupt.h"
#include "gloss/base/output_file.h"
#include "gloss/dashboard/api.h"
#include "gloss/dashboard/server.h"

namespace gloss::app {
namespace {

constexpr std::size_t kShortestToken = 16;
constexpr std::size_t kFewestThreads = 4;

struct ServeCommand {
  CommonOptions common;
  std::vector<std::string> runs, circuits;
  dashboard::ServerOptions server;
  std::string token_file, embedder;
  bool read_only = false;
  SubjectOptions subject;

  bool has_model() const { return !subject.model.empty() || !subject.coder.sae.empty(); }
};

constexpr std::size_t kMostTextTokens = 512;

/// The model and coders of each run, loaded when a page first asks for them; of a run one coder at a time is held.
class Subjects {
 public:
  Subjects(const ServeCommand& o, Reporter& reporter) : o_(&o), reporter_(&reporter) {}

  void add(std::shared_ptr<const RunData> data) { runs_.push_back({std::move(data), nullptr, ""}); }
  Subject& at(std::size_t run, const std::string& hookpoint) {
    One& one = runs_.at(run);
    if (!one.subject)
      one.subject =
          std::make_unique<Subject>(o_->subject, *one.data, o_->common.seed, o_->common.thread_count(), *reporter_);
    if (one.hookpoint != hookpoint) one.subject->select(hookpoint);
    one.hookpoint = hookpoint;
    return *one.subject;
  }

 private:
  struct One {
    std::shared_ptr<const RunData> data;
    std::unique_ptr<Subject> subject;
    std::string hookpoint;
  };
  const ServeCommand* o_;
  Reporter* reporter_;
  std::vector<One> runs_;
};

/// RUN/circuits/NAME/circuit.json.
std::map<std::string, std::filesystem::path> circuits_of(const RunFolder& run) {
  std::map<std::string, std::filesystem::path> found;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(run.root() / "circuits", none)) {
    const std::filesystem::path file = entry.path() / "circuit.json";
    if (std::filesystem::is_regular_file(file, none)) found[entry.path().filename().string()] = file;
  }
  return found;
}

/// What the dashboard shows of a run; `data` lives as long as the callbacks.
dashboard::RunInput open_run(const ServeCommand& o, const std::shared_ptr<const RunData>& data, Reporter& reporter) {
  const RunFolder& run = data->run;
  dashboard::RunInput input;
  input.name = std::filesystem::absolute(run.root()).lexically_normal().filename().string();
  // Who may not write makes no file either: a run without results has an empty store, in memory.
  const bool in_memory = o.read_only && !std::filesystem::exists(run.results());
  input.store = in_memory
                    ? std::make_unique<store::Store>(":memory:")
                    : std::make_unique<store::Store>(run.results(), store::StoreOptions{.read_only = o.read_only});
  for (const std::string& hookpoint : run.hookpoints()) {
    dashboard::TableHookpoint h{hookpoint, data->index(hookpoint), {}};
    if (std::filesystem::exists(run.statistics(hookpoint)))
      h.statistics = index::StatisticsReader::open(run.statistics(hookpoint));
    input.hookpoints.push_back(std::move(h));
    if (auto weights = data->weights(hookpoint)) input.weights.emplace(hookpoint, *std::move(weights));
  }
  input.tokenizer = data->tokenizer;
  input.tokens = data->tokens;
  input.circuits = circuits_of(run);
  input.jobs = [run] { return running_jobs(run); };
  input.meaning = open_meaning(run, o.embedder, reporter);
  ExampleSettings settings;
  settings.options.window = std::gcd(settings.options.window, data->tokens.ctx_len());
  if (has_example_settings(*input.store)) {
    settings = kept_example_settings(*input.store, run);
    input.examples = [data, source = example_source(*data, settings)](std::string_view hookpoint, LatentId latent) {
      return source(hookpoint, latent);
    };
    input.report = [data, store = input.store.get()](const report::LatentSet* only) {
      return report_data(*data, *store, only);
    };
  } else {
    input.report = [data, store = input.store.get()](const report::LatentSet* only) {
      return figure_data(*data, *store, only);
    };
  }
  input.facts = run_facts(*data, settings);
  input.window = settings.options.window;
  input.questions = question_options(settings);
  input.questions.detection_per_quantile = settings.options.test;  // however many were asked about
  return input;
}

std::unique_ptr<dashboard::Run> open_with_circuits(const ServeCommand& o, const std::shared_ptr<const RunData>& data,
                                                   Reporter& reporter) {
  dashboard::RunInput input = open_run(o, data, reporter);
  for (const std::string& circuit : o.circuits) {
    const std::filesystem::path file(circuit);
    input.circuits[std::filesystem::absolute(file).parent_path().filename().string()] = file;
  }
  return std::make_unique<dashboard::Run>(std::move(input), reporter);
}

std::string read_token(const std::string& file) {
  std::string token = read_file(file);
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r' || token.back() == ' ')) token.pop_back();
  const bool plain = std::all_of(token.begin(), token.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
  });
  if (token.size() < kShortestToken || !plain)
    fail_input(file, fmt::format("holds no token: wanted {} or more letters, digits, - or _", kShortestToken));
  return token;
}

int serve(ServeCommand& o, Context& context) {
  // What a question about a million latents takes goes back to the system with the answer, instead of to a heap that
  // each thread keeps.
  ::mallopt(M_MMAP_THRESHOLD, 1 << 20);
  std::vector<std::unique_ptr<dashboard::Run>> runs;
  Subjects subjects(o, context.reporter);
  for (const std::string& folder : o.runs) {
    const auto data = std::make_shared<const RunData>(RunData::open(RunFolder(folder)));
    subjects.add(data);
    runs.push_back(open_with_circuits(o, data, context.reporter));
    context.reporter.info(fmt::format("{}: {} latents", runs.back()->input().name, runs.back()->table().row_count()));
  }
  o.server.threads = std::max(kFewestThreads, o.common.thread_count());
  dashboard::ApiOptions options;
  options.version = version_short();
  options.access.host = o.server.host;
  options.access.read_only = o.read_only;
  options.access.page_secret = dashboard::random_token();
  if (!o.token_file.empty()) {
    options.access.token = read_token(o.token_file);
  } else if (!dashboard::is_loopback(o.server.host)) {
    options.access.token = dashboard::random_token();
  }
  options.reopen = [&](std::size_t run) {
    return open_with_circuits(o, std::make_shared<const RunData>(RunData::open(RunFolder(o.runs.at(run)))),
                              context.reporter);
  };
  if (o.has_model()) {
    subjects.at(0, runs.front()->input().hookpoints.front().name);  // a wrong folder is told now
    options.model.read = [&](std::size_t run, const std::string& hookpoint, const std::string& text) {
      return subjects.at(run, hookpoint).read(text, kMostTextTokens);
    };
    options.model.steer = [&](std::size_t run, const dashboard::SteerQuestion& q) {
      return subjects.at(run, q.hookpoint).continued(q.prompt, q.latent, q.strength, q.tokens);
    };
  }
  std::unique_ptr<dashboard::Api> api;  // wants the port that the server gets
  dashboard::Server server(o.server, [&api](const dashboard::Request& request) { return api->answer(request); });
  options.access.port = server.port();
  const std::string token = options.access.token;
  const std::string host = options.access.url_host();
  api = std::make_unique<dashboard::Api>(std::move(options), std::move(runs));
  context.out << fmt::format("http://{}:{}/{}", host, server.port(), token.empty() ? "" : "?token=" + token)
              << std::endl;
  context.reporter.info("Ctrl-C ends it");
  server.run(interrupted);
  return kDone;
}

}  // namespace

Runner setup_serve(CLI::App& cli) {
  auto o = std::make_shared<ServeCommand>();
  cli.add_option("runs", o->runs, "run folders")->required();
  cli.add_option("--port", o->server.port, "port; 0 takes one that is free");
  cli.add_option("--host", o->server.host,
                 "address to listen at; any but this machine's own (127.0.0.1) demands an access token, which the "
                 "printed address carries");
  cli.add_option("--token-file", o->token_file, "file with the access token, instead of a new one each time");
  cli.add_option("--circuit", o->circuits, "circuit.json of gloss circuit; RUN/circuits/NAME/circuit.json is found");
  cli.add_option(
      "--embedder", o->embedder,
      "what embedded the explanations (gloss embed), to embed questions by meaning: folder, or URL#MODEL; by "
      "default the same folder. A server is asked only when it is named here");
  cli.add_flag("--read-only", o->read_only, "nothing can be changed: no judgements and no explanations by people");
  add_subject_source(cli, o->subject);
  cli.get_option("--model")->description(
      "subject model, to read texts of your own and to steer; with --sae alone the one the run was cached with");
  add_threads(cli, o->common);
  return [o](Context& context) { return serve(*o, context); };
}

}  // namespace gloss::app
