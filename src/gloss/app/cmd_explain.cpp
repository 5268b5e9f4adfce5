// gloss explain: examples of each latent -> an explanation, by a pattern learner or a language model.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <nlohmann/json.hpp>

#include "gloss/app/command.h"
#include "gloss/app/llm_options.h"
#include "gloss/app/run_data.h"
#include "gloss/app/settings.h"
#include "gloss/base/error.h"
#include "gloss/base/interrupt.h"
#include "gloss/base/parallel.h"
#include "gloss/explain/default_explainer.h"
#include "gloss/explain/pattern.h"

namespace gloss::app {
namespace {

struct ExplainCommand {
  CommonOptions common;
  std::string run, explainer, latents = "all", prompts;
  std::vector<std::string> hookpoints;
  ExampleSettings examples;
  LlmOptions llm;
  bool redo = false, json = false;
};

/// The table of explainers. A `program` explainer learns on the processor; the others ask a language model.
struct ExplainerRow {
  const char* name;
  const char* summary;
  bool needs_llm;
};
constexpr std::array<ExplainerRow, 3> kExplainers{{
    {"pattern", "rules learned from the examples, readable and executable", false},
    {"top-tokens", "naive baseline: the fewest tokens, at most 8, that cover 80 % of the marked ones", false},
    {"default", "a language model reads the examples with marked tokens", true},
}};

const ExplainerRow& find_explainer(const ExplainCommand& o) {
  const std::string name = !o.explainer.empty() ? o.explainer : o.llm.url.empty() ? "pattern" : "default";
  std::vector<std::string> known;
  for (const ExplainerRow& row : kExplainers) {
    if (name == row.name) {
      if (row.needs_llm && o.llm.url.empty())
        throw Error(ErrorKind::usage, "",
                    fmt::format("explainer '{}' asks a language model, and --llm names none", name),
                    "add --llm URL, or use --explainer pattern, which needs none");
      return row;
    }
    known.emplace_back(row.name);
  }
  fail_unknown_name("explainer", name, known);
}

struct Tally {
  std::uint64_t explained = 0, failed = 0, too_rare = 0, dead = 0, kept = 0;
};

/// One hookpoint's work: which latents, and where the results go.
struct Work {
  const ExplainCommand& options;
  const RunData& data;
  store::Store& store;
  std::string explainer, hookpoint;
  index::Reader reader;
  std::vector<LatentId> latents;
  Tally& tally;
  Reporter& report;
};

void put_result(Work& work, const examples::LatentExamples& found, const explain::Explanation* explanation) {
  work.store.put_latent({work.hookpoint, found.latent, found.firing_count, work.reader.density(found.latent),
                         found.max_activation, found.window_count, found.status});
  if (found.status == examples::Status::dead) ++work.tally.dead;
  if (found.status == examples::Status::too_rare) ++work.tally.too_rare;
  if (explanation == nullptr) return;
  ++(explanation->ok() ? work.tally.explained : work.tally.failed);
  work.store.put_explanation({work.hookpoint, work.explainer, *explanation});
}

/// Drops the latents whose explanation is in the store already.
void skip_done(Work& work) {
  if (work.options.redo) return;
  std::vector<bool> done(work.reader.latent_count(), false);
  for (const store::ExplanationRow& row : work.store.explanations(work.hookpoint, work.explainer)) {
    if (row.explanation.ok()) done[to_index(row.explanation.latent)] = true;
  }
  const std::size_t before = work.latents.size();
  std::erase_if(work.latents, [&](LatentId f) { return done[to_index(f)]; });
  work.tally.kept += before - work.latents.size();
}

void explain_by_program(Work& work, const explain::Vocabulary& vocabulary) {
  constexpr std::size_t kBlock = 128;
  const std::size_t threads = work.options.common.thread_count();
  std::vector<examples::Builder> builders;
  for (std::size_t i = 0; i < threads; ++i)
    builders.emplace_back(work.reader, work.data.tokens, work.options.examples.options);
  const explain::PatternOptions options{work.options.examples.tau, work.options.common.seed};
  const bool top_tokens = work.explainer == "top-tokens";
  for (std::size_t first = 0; first < work.latents.size(); first += kBlock) {
    stop_if_interrupted();
    const std::size_t count = std::min(kBlock, work.latents.size() - first);
    std::vector<examples::LatentExamples> found(count);
    std::vector<explain::Explanation> explanations(count);
    parallel_for(count, threads, [&](std::size_t i, std::size_t worker) {
      found[i] = builders[worker].build(work.latents[first + i]);
      if (found[i].status != examples::Status::ok) return;
      explanations[i] = top_tokens
                            ? explain::explain_top_tokens(vocabulary, work.data.tokens, found[i], options)
                            : explain::explain_pattern(vocabulary, work.data.tokens, work.hookpoint, found[i], options);
    });
    store::Store::Transaction transaction(work.store);
    for (std::size_t i = 0; i < count; ++i)
      put_result(work, found[i], found[i].status == examples::Status::ok ? &explanations[i] : nullptr);
    transaction.commit();
    work.report.progress({"explain " + work.hookpoint, first + count, work.latents.size(), "latents", ""});
  }
}

/// Keeps enough latents under way that the endpoint never waits: each answer submits the next one.
void explain_by_llm(Work& work, llm::LanguageModel& client, explain::DefaultExplainer& explainer) {
  examples::Builder builder(work.reader, work.data.tokens, work.options.examples.options);
  std::size_t next = 0;
  std::size_t answered = 0;
  std::function<void()> submit_next = [&] {
    while (next < work.latents.size() && !interrupted()) {
      auto found = std::make_shared<examples::LatentExamples>(builder.build(work.latents[next++]));
      if (found->status != examples::Status::ok) {
        put_result(work, *found, nullptr);
        ++answered;
        continue;
      }
      explainer.submit(work.hookpoint, *found, [&, found](const explain::Explanation& explanation) {
        put_result(work, *found, &explanation);
        work.report.progress(
            {"explain " + work.hookpoint, ++answered, work.latents.size(), "latents", describe(client.totals())});
        submit_next();
      });
      return;
    }
  };
  for (std::uint32_t i = 0; i < 2 * work.options.llm.in_flight; ++i) submit_next();
  client.run();
  stop_if_interrupted();
}

int report_tally(const ExplainCommand& o, const std::string& explainer, const Tally& t, Context& context) {
  if (o.json) {
    context.out << nlohmann::json{{"explainer", explainer}, {"explained", t.explained}, {"failed", t.failed},
                                  {"too_rare", t.too_rare}, {"dead", t.dead},           {"already_done", t.kept}}
                       .dump(2)
                << "\n";
  }
  context.reporter.info(
      fmt::format("{}: {} explained, {} failed, {} too rare (fewer than {} windows), {} dead, {} done before",
                  explainer, t.explained, t.failed, t.too_rare, o.examples.options.min_windows, t.dead, t.kept));
  return t.failed > 0 ? kSomeFailed : kDone;
}

int explain_command(ExplainCommand o, const CLI::App& cli, Context& context) {
  const ExplainerRow& row = find_explainer(o);
  const examples::LatentSpec spec = examples::LatentSpec::parse(o.latents);
  const RunFolder run(o.run);
  const RunData data = RunData::open(run);
  o.examples.options.seed = o.common.seed;
  store::Store store(run.results());
  keep_example_settings(store, run, o.examples);
  save_settings(run, "explain", cli);

  std::unique_ptr<llm::LanguageModel> client;
  if (row.needs_llm) client = open_language_model(o.llm, store, o.common.thread_count());
  std::unique_ptr<explain::DefaultExplainer> explainer;
  if (client) {
    explainer = std::make_unique<explain::DefaultExplainer>(*client, data.tokenizer, data.tokens,
                                                            explain::DefaultOptions{o.examples.tau, o.prompts});
    keep_method(store, run, std::string("explainer:") + row.name,
                fmt::format("{} {}", client->model(), explainer->fingerprint()), o.redo);
  }
  const explain::Vocabulary vocabulary(data.tokenizer);
  Tally tally;
  for (const std::string& hookpoint : run.select_hookpoints(o.hookpoints)) {
    index::Reader reader = data.index(hookpoint);
    const std::vector<bool> eligible =
        eligible_latents(reader, o.examples.options.window, o.examples.options.min_windows, o.common.thread_count());
    std::vector<LatentId> latents = spec.select(hookpoint, reader.latent_count(), o.common.seed, eligible);
    Work work{o, data, store, row.name, hookpoint, std::move(reader), std::move(latents), tally, context.reporter};
    skip_done(work);
    if (client)
      explain_by_llm(work, *client, *explainer);
    else
      explain_by_program(work, vocabulary);
  }
  if (client) context.reporter.info(describe(client->totals()));
  return report_tally(o, row.name, tally, context);
}

}  // namespace

Runner setup_explain(CLI::App& cli) {
  auto o = std::make_shared<ExplainCommand>();
  std::string names;
  for (const ExplainerRow& row : kExplainers) names += fmt::format("\n  {}: {}", row.name, row.summary);
  cli.add_option("run", o->run, "run folder with a finished cache")->required();
  cli.add_option("--explainer", o->explainer, "pattern without --llm, default with it:" + names);
  cli.add_option("--hookpoint", o->hookpoints, "hookpoint; all of the run by default");
  cli.add_option("--latents", o->latents, "0-99,512 or random:300 or file:LIST.csv (hookpoint,latent a line) or all");
  add_llm(cli, o->llm);
  cli.add_option("--prompts", o->prompts, "folder whose prompt files replace the built-in ones");
  examples::Options& e = o->examples.options;
  cli.add_option("--window", e.window, "tokens a window; divides the context length")->check(CLI::Range(1, 4096));
  cli.add_option("--quantiles", e.quantiles, "quantiles of a latent's windows by their maximum")
      ->check(CLI::Range(1, 100));
  cli.add_option("--explain-windows", e.explain,
                 "activating windows shown to the explainer, equally from all quantiles");
  cli.add_option("--test-windows", e.test, "activating windows kept for scorers, equally from all quantiles");
  cli.add_option("--silent-windows", e.silent, "silent windows for explaining, and as many for testing");
  cli.add_option("--min-windows", e.min_windows, "a latent with fewer activating windows is too rare");
  cli.add_flag("!--no-split-documents", e.split_documents,
               "let one document give windows to explainer and scorer both");
  cli.add_option("--tau", o->examples.tau, "a token is marked from this fraction of its window's maximum")
      ->check(CLI::Range(0.0, 1.0));
  cli.add_flag("--redo", o->redo, "explain again what is explained already; its scores are dropped");
  cli.add_flag("--json", o->json, "print the outcome as JSON");
  add_seed(cli, o->common);
  add_threads(cli, o->common);
  return [o, &cli](Context& context) { return explain_command(*o, cli, context); };
}

}  // namespace gloss::app
