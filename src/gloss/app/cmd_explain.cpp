// gloss explain: examples of each latent -> an explanation, by a pattern learner or a language model.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "gloss/app/command.h"
#include "gloss/app/example_options.h"
#include "gloss/app/given_explanations.h"
#include "gloss/app/job_file.h"
#include "gloss/app/latent_properties.h"
#include "gloss/app/llm_options.h"
#include "gloss/app/run_data.h"
#include "gloss/app/settings.h"
#include "gloss/base/error.h"
#include "gloss/base/interrupt.h"
#include "gloss/base/parallel.h"
#include "gloss/explain/pattern.h"
#include "gloss/explain/promoted_tokens.h"
#include "gloss/explain/prompt_explainer.h"
#include "gloss/score/llm_judge.h"
#include "gloss/score/refine.h"

namespace gloss::app {
namespace {

struct ExplainCommand {
  CommonOptions common;
  std::string run, explainer, latents = "all", prompts, written, of, preset;
  std::vector<std::string> hookpoints;
  ExampleSettings examples;
  LlmOptions llm;
  score::RefineOptions refine;
  bool redo = false, json = false;
};

enum class Kind : std::uint8_t { pattern, top_tokens, promoted_tokens, prompt, refine, human, random };

/// The table of explainers. Those of Kind::prompt ask a language model.
struct ExplainerRow {
  const char* name;
  Kind kind;
  const char* summary;
};
constexpr std::array<ExplainerRow, 14> kExplainers{{
    {"pattern", Kind::pattern, "rules learned from the examples, readable and executable"},
    {"top-tokens", Kind::top_tokens,
     "naive baseline: the fewest tokens, at most 8, that cover 80 % of the marked ones"},
    {"promoted-tokens", Kind::promoted_tokens,
     "what the latent writes: the tokens it promotes, without a language model"},
    {"default", Kind::prompt, "a language model reads the examples with marked tokens"},
    {"activations", Kind::prompt, "... and how strongly the latent fires on each"},
    {"cot", Kind::prompt, "... and reasons in steps before it answers"},
    {"logits", Kind::prompt, "... and sees which tokens the latent promotes"},
    {"contrastive", Kind::prompt,
     "... and sees silent windows beside them (those nearest in meaning with --contrast-windows)"},
    {"single-token", Kind::prompt, "a language model reads the marked tokens with their counts, without context"},
    {"max-act-logits", Kind::prompt,
     "a language model reads the strongest examples and the promoted and suppressed tokens, and says what the latent "
     "fires on and what it writes"},
    {"vocab-proj", Kind::prompt,
     "a language model reads the promoted and suppressed tokens alone, and says what the latent writes"},
    {"refine", Kind::refine,
     "a language model proposes several (as --of says, default if it says nothing), judges them on windows kept for "
     "this, sees their mistakes and tries again; several times as many requests"},
    {"human", Kind::human, "what a person wrote, from --explanations"},
    {"random", Kind::random, "baseline: what the explainer --of said of another latent of the same density"},
}};

/// What was asked for, in its one name.
struct Chosen {
  Kind kind;
  std::string name;
  explain::PromptMethod method;
};

Chosen find_explainer(const ExplainCommand& o) {
  const std::string name = !o.explainer.empty() ? o.explainer : o.llm.url.empty() ? "pattern" : "default";
  const auto usage = [&](const std::string& what, const char* hint) {
    throw Error(ErrorKind::usage, "", fmt::format("explainer '{}' {}", name, what), hint);
  };
  for (const ExplainerRow& row : kExplainers) {
    if (row.kind == Kind::prompt || name != row.name) continue;
    if (row.kind == Kind::refine) {
      if (o.llm.url.empty()) usage("asks a language model, and --llm names none", "add --llm URL");
      if (o.examples.options.refine == 0) usage("wants windows to judge on", "--refine-windows 20");
      const explain::PromptMethod method = explain::PromptMethod::parse(o.of.empty() ? "default" : o.of);
      if (method.show == explain::PromptMethod::Show::input_output ||
          method.show == explain::PromptMethod::Show::output)
        usage(fmt::format("cannot propose by '{}'", method.name()),
              "what it describes is not what the windows that judge it show");
      const std::string of = method.name() == "default" ? "" : ":" + method.name();
      return {row.kind, row.name + of, method};
    }
    if (row.kind == Kind::human && o.written.empty())
      usage("wants --explanations FILE", "a CSV of hookpoint,latent,text");
    if (row.kind == Kind::random && o.of.empty())
      usage("wants --of EXPLAINER", "whose explanations are traded among latents");
    return {row.kind, row.name, {}};
  }
  if (name.find('+') == std::string::npos) {
    std::vector<std::string> known;
    known.reserve(kExplainers.size());
    for (const ExplainerRow& row : kExplainers) known.emplace_back(row.name);
    if (std::find(known.begin(), known.end(), name) == known.end()) fail_unknown_name("explainer", name, known);
  }
  const explain::PromptMethod method = explain::PromptMethod::parse(name);
  if (o.llm.url.empty())
    usage("asks a language model, and --llm names none", "add --llm URL, or use --explainer pattern, which needs none");
  return {Kind::prompt, method.name(), method};
}

struct Tally {
  std::uint64_t explained = 0, failed = 0, too_rare = 0, dead = 0, kept = 0;
  std::uint64_t few_silent = 0, no_silent = 0;   // fewer silent test windows than wanted, and none of them
  std::map<std::string, std::uint64_t> reasons;  // of failed ones

  void count(const examples::LatentExamples& found, const examples::Options& wanted) {
    if (found.status == examples::Status::dead) ++dead;
    if (found.status == examples::Status::too_rare) ++too_rare;
    if (found.status != examples::Status::ok || found.test_silent.size() >= wanted.silent) return;
    ++few_silent;
    if (found.test_silent.empty()) ++no_silent;
  }
};

/// One hookpoint's work: which latents, and where the results go.
struct Work {
  const ExplainCommand& options;
  const RunData& data;
  store::Store& store;
  Kind kind;
  std::string explainer, hookpoint;
  index::Reader reader;
  std::vector<LatentId> latents;
  Tally& tally;
  Reporter& report;
};

void put_result(Work& work, const examples::LatentExamples& found, const explain::Explanation* explanation) {
  work.store.put_latent({work.hookpoint, found.latent, found.firing_count, work.reader.density(found.latent),
                         found.max_activation, found.window_count, found.status, work.options.examples.options.silent,
                         static_cast<std::uint32_t>(found.test_silent.size())});
  work.tally.count(found, work.options.examples.options);
  if (explanation == nullptr) return;
  ++(explanation->ok() ? work.tally.explained : work.tally.failed);
  if (!explanation->ok()) ++work.tally.reasons[explanation->failure];
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

/// Promoted and suppressed tokens, where they are shown.
class WrittenTokens {
 public:
  WrittenTokens(const Work& work, bool shown) {
    if (!shown) return;
    weights_ = work.data.weights(work.hookpoint);
    if (weights_ && weights_->has(index::WeightList::promoted)) return;
    fail_input(work.data.run.weights(work.hookpoint).string(),
               fmt::format("holds no logit weights, which explainer '{}' shows", work.explainer),
               "run gloss cache without --no-weights at a hookpoint that writes to the residual stream");
  }
  std::vector<index::WeightEntry> of(index::WeightList list, LatentId latent) const {
    return weights_ ? weights_->entries(list, latent) : std::vector<index::WeightEntry>{};
  }

 private:
  std::optional<index::LatentWeightsReader> weights_;
};

void explain_by_program(Work& work, const explain::Vocabulary& vocabulary) {
  constexpr std::size_t kBlock = 128;
  const std::size_t threads = work.options.common.thread_count();
  std::vector<examples::Builder> builders =
      make_builders(work.data, work.reader, work.options.examples, threads, work.report);
  const explain::PatternOptions options{work.options.examples.tau, work.options.common.seed};
  const WrittenTokens written(work, work.kind == Kind::promoted_tokens);
  const auto explain = [&](const examples::LatentExamples& found) {
    if (work.kind == Kind::promoted_tokens)
      return explain::explain_promoted_tokens(work.data.tokenizer, found.latent,
                                              written.of(index::WeightList::promoted, found.latent));
    return work.kind == Kind::top_tokens
               ? explain::explain_top_tokens(vocabulary, work.data.tokens, found, options)
               : explain::explain_pattern(vocabulary, work.data.tokens, work.hookpoint, found, options);
  };
  for (std::size_t first = 0; first < work.latents.size(); first += kBlock) {
    stop_if_interrupted();
    const std::size_t count = std::min(kBlock, work.latents.size() - first);
    std::vector<examples::LatentExamples> found(count);
    std::vector<explain::Explanation> explanations(count);
    parallel_for(count, threads, [&](std::size_t i, std::size_t worker) {
      found[i] = builders[worker].build(work.latents[first + i]);
      if (found[i].status == examples::Status::ok) explanations[i] = explain(found[i]);
    });
    store::Store::Transaction transaction(work.store);
    for (std::size_t i = 0; i < count; ++i)
      put_result(work, found[i], found[i].status == examples::Status::ok ? &explanations[i] : nullptr);
    transaction.commit();
    work.report.progress({"explain " + work.hookpoint, first + count, work.latents.size(), "latents", ""});
  }
}

/// What is known of a latent, kept until its answer is there.
using KnownLatent = score::Refiner::Evidence;
/// Submits a latent; `done` is called with its explanation.
using Submit = std::function<void(KnownLatent, std::function<void(const explain::Explanation&)> done)>;

/// Keeps enough latents under way that the endpoint never waits: each answer submits the next one.
void explain_by_llm(Work& work, llm::LanguageModel& client, const explain::PromptMethod& method, const Submit& submit) {
  examples::Builder builder = make_builder(work.data, work.reader, work.options.examples, work.report);
  const WrittenTokens written(work, method.needs_weights());
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
      KnownLatent known{found, written.of(index::WeightList::promoted, found->latent),
                        written.of(index::WeightList::suppressed, found->latent)};
      submit(std::move(known), [&, found](const explain::Explanation& explanation) {
        // What a batch file asks for is not failed, only not known yet.
        if (explanation.ok() || work.options.llm.batch_out.empty()) put_result(work, *found, &explanation);
        work.report.progress({"explain " + work.hookpoint, ++answered, work.latents.size(), "latents",
                              describe(client.totals(), answered, work.latents.size())});
        submit_next();
      });
      return;
    }
  };
  for (std::uint32_t i = 0; i < 2 * work.options.llm.at_once(); ++i) submit_next();
  client.run();
  stop_if_interrupted();
}

void explain_by_prompt(Work& work, llm::LanguageModel& client, explain::PromptExplainer& explainer) {
  explain_by_llm(work, client, explainer.method(), [&](const KnownLatent& known, auto done) {
    explainer.submit({*known.examples, known.promoted, known.suppressed}, std::move(done));
  });
}

/// What refining brought, over the latents that it explained.
struct RefineTally {
  std::vector<double> first, best;
  std::uint64_t proposals = 0;

  void tell(Reporter& report, std::uint64_t seed) const {
    if (best.empty()) return;
    const score::Interval before = score::mean_over_latents(first, seed), after = score::mean_over_latents(best, seed);
    report.info(fmt::format(
        "refine: balanced accuracy on the refine windows {:.3f} [{:.3f}, {:.3f}] of first proposals, {:.3f} [{:.3f}, "
        "{:.3f}] of those kept; {} latents, {:.1f} proposals each. What is kept was chosen by these windows: gloss "
        "score says how good it is",
        before.value, before.low, before.high, after.value, after.low, after.high, best.size(),
        static_cast<double>(proposals) / static_cast<double>(best.size())));
  }
};

void explain_by_refining(Work& work, llm::LanguageModel& client, const explain::PromptExplainer& explainer,
                         score::Refiner& refiner, RefineTally& tally) {
  explain_by_llm(work, client, explainer.method(), [&](KnownLatent known, auto done) {
    refiner.submit(work.hookpoint, std::move(known), [&tally, done = std::move(done)](const score::Refined& refined) {
      if (refined.explanation.ok()) {
        tally.first.push_back(refined.first);
        tally.best.push_back(refined.best);
        tally.proposals += refined.proposals;
      }
      done(refined.explanation);
    });
  });
}

/// Explanations that are there already, for those of the latents that have one.
void take_given(Work& work, const std::vector<explain::Explanation>& given) {
  std::vector<const explain::Explanation*> by_latent(work.reader.latent_count(), nullptr);
  for (const explain::Explanation& e : given) by_latent[to_index(e.latent)] = &e;
  examples::Builder builder = make_builder(work.data, work.reader, work.options.examples, work.report);
  store::Store::Transaction transaction(work.store);
  for (const LatentId f : work.latents) {
    if (const explain::Explanation* e = by_latent[to_index(f)]; e != nullptr) put_result(work, builder.build(f), e);
  }
  transaction.commit();
}

/// The three most frequent reasons, as "2 failed: REASON"; of equally frequent ones the first by name.
std::vector<std::string> commonest(const std::map<std::string, std::uint64_t>& reasons) {
  std::vector<std::pair<std::string, std::uint64_t>> sorted(reasons.begin(), reasons.end());
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < std::min<std::size_t>(3, sorted.size()); ++i)
    lines.push_back(fmt::format("{} failed: {}", sorted[i].second, sorted[i].first));
  if (sorted.size() > 3) lines.push_back(fmt::format("and {} other reasons", sorted.size() - 3));
  return lines;
}

int report_tally(const ExplainCommand& o, const std::string& explainer, const Tally& t, Context& context) {
  if (o.json) {
    context.out << nlohmann::json{{"explainer", explainer},
                                  {"explained", t.explained},
                                  {"failed", t.failed},
                                  {"too_rare", t.too_rare},
                                  {"dead", t.dead},
                                  {"already_done", t.kept},
                                  {"few_silent_windows", t.few_silent},
                                  {"no_silent_windows", t.no_silent}}
                       .dump(2)
                << "\n";
  }
  context.reporter.info(
      fmt::format("{}: {} explained, {} failed, {} too rare (fewer than {} windows), {} dead, {} done before",
                  explainer, t.explained, t.failed, t.too_rare, o.examples.options.min_windows, t.dead, t.kept));
  for (const std::string& reason : commonest(t.reasons)) context.reporter.warn(reason);
  if (t.few_silent > 0)
    context.reporter.info(
        fmt::format("{} of them have fewer silent windows ({}) than the {} wanted for testing, {} none", t.few_silent,
                    name_of(o.examples.options.negatives), o.examples.options.silent, t.no_silent));
  return t.failed > 0 ? kSomeFailed : kDone;
}

/// The latents to work on. Those of a person's table are asked for by being in it, whether they fire often or not.
std::vector<LatentId> select_latents(const ExplainCommand& o, const RunData& data, const examples::LatentSpec& spec,
                                     Kind kind, const std::string& hookpoint, const index::Reader& reader,
                                     const store::Store& store) {
  const std::vector<bool> eligible = kind == Kind::human
                                         ? std::vector<bool>(reader.latent_count(), true)
                                         : eligible_latents(data, reader, o.examples, o.common.thread_count());
  return spec.select(hookpoint, reader.latent_count(), o.common.seed, eligible,
                     properties_of(reader, hookpoint, &store));
}

/// What --preset sets, where the flags themselves do not say otherwise. circuit: as the article explained a circuit's
/// latents (docs/methods.md, "Circuits"). output: output latents, by what they write (docs/methods.md 13).
void apply_preset(ExplainCommand& o, const CLI::App& cli) {
  constexpr float kTauOfCircuits = 0.7F;
  if (o.preset.empty()) return;
  if (o.preset == "output") {
    if (cli.count("--latents") == 0) o.latents = "output";
    if (cli.count("--explainer") == 0) o.explainer = o.llm.url.empty() ? "promoted-tokens" : "vocab-proj";
    return;
  }
  if (o.preset != "circuit") fail_unknown_name("preset", o.preset, std::vector<std::string>{"circuit", "output"});
  if (cli.count("--explainer") == 0) o.explainer = "cot+logits";
  if (cli.count("--tau") == 0) o.examples.tau = kTauOfCircuits;
}

int explain_command(ExplainCommand o, const CLI::App& cli, Context& context) {
  apply_preset(o, cli);
  const Chosen chosen = find_explainer(o);
  const examples::LatentSpec spec = examples::LatentSpec::parse(o.latents);
  const RunFolder run(o.run);
  const RunData data = RunData::open(run);
  const std::vector<std::string> hookpoints = run.select_hookpoints(o.hookpoints);
  std::optional<WrittenExplanations> written;
  if (chosen.kind == Kind::human) {
    written = WrittenExplanations::read(o.written);
    written->check_hookpoints(run.hookpoints());
  }
  o.examples.options.seed = o.common.seed;
  // What the settings want and the run lacks shows itself here, before they are kept for good.
  for (const std::string& hookpoint : hookpoints)
    make_builder(data, data.index(hookpoint), o.examples, context.reporter);
  store::Store store(run.results());
  if (take_batch(o.llm, store, "explain", context.reporter)) return kDone;
  keep_example_settings(store, run, o.examples);
  save_settings(run, "explain", cli);

  std::unique_ptr<llm::LanguageModel> client;
  std::unique_ptr<explain::PromptExplainer> explainer;
  std::unique_ptr<score::LlmJudge> judge;
  std::unique_ptr<score::Refiner> refiner;
  RefineTally refined;
  if (chosen.kind == Kind::prompt || chosen.kind == Kind::refine) {
    client = open_language_model(o.llm, store, o.common.thread_count());
    explainer = std::make_unique<explain::PromptExplainer>(*client, data.tokenizer, data.tokens, chosen.method,
                                                           explain::PromptExplainerOptions{o.examples.tau, o.prompts});
    std::string method = fmt::format("{} {}", client->model(), explainer->fingerprint());
    if (chosen.kind == Kind::refine) {
      score::LlmJudgeOptions judging;
      judging.prompts = o.prompts;
      const Answers answers = o.llm.answers != "auto" ? choose_answers(o.llm, *client, context.reporter)
                              : o.llm.is_native()     ? Answers::probabilities
                                                      : Answers::text;
      judging.by_probability = answers == Answers::probabilities;
      judging.by_schema = answers == Answers::schema;
      judge = std::make_unique<score::LlmJudge>(*client, data.tokenizer, data.tokens, judging);
      o.refine.questions = question_options(o.examples);
      o.refine.prompts = o.prompts;
      refiner = std::make_unique<score::Refiner>(*client, *explainer, *judge, data.tokenizer, data.tokens, o.refine);
      method += fmt::format(" {} {}", judge->fingerprint(), refiner->fingerprint());
    }
    keep_method(store, run, "explainer:" + chosen.name, method, o.redo);
  }
  const explain::Vocabulary vocabulary(data.tokenizer);
  Tally tally;
  for (const std::string& hookpoint : hookpoints) {
    index::Reader reader = data.index(hookpoint);
    std::vector<LatentId> latents = select_latents(o, data, spec, chosen.kind, hookpoint, reader, store);
    Work work{o,
              data,
              store,
              chosen.kind,
              chosen.name,
              hookpoint,
              std::move(reader),
              std::move(latents),
              tally,
              context.reporter};
    skip_done(work);
    store.set_stage("explain", hookpoint);
    store.keep_prompts(!o.llm.no_prompts);
    switch (chosen.kind) {
      case Kind::pattern:
      case Kind::top_tokens:
      case Kind::promoted_tokens:
        explain_by_program(work, vocabulary);
        break;
      case Kind::prompt:
        explain_by_prompt(work, *client, *explainer);
        break;
      case Kind::refine:
        explain_by_refining(work, *client, *explainer, *refiner, refined);
        break;
      case Kind::human:
        take_given(work, written->of(hookpoint, work.reader.latent_count()));
        break;
      case Kind::random:
        take_given(work, random_explanations(store, work.reader, hookpoint, o.of, o.common.seed));
        break;
    }
  }
  if (client && finish_batch(o.llm, *client, context.reporter)) return kDone;
  if (client) {
    context.reporter.info(describe(client->totals()));
    for (const std::string& line : describe_costs(store)) context.reporter.info(line);
  }
  refined.tell(context.reporter, o.common.seed);
  return report_tally(o, chosen.name, tally, context);
}

}  // namespace

Runner setup_explain(CLI::App& cli) {
  auto o = std::make_shared<ExplainCommand>();
  std::string names;
  for (const ExplainerRow& row : kExplainers) names += fmt::format("\n  {}: {}", row.name, row.summary);
  cli.add_option("run", o->run, "run folder with a finished cache")->required();
  cli.add_option(
      "--explainer", o->explainer,
      "pattern without --llm, default with it; activations, cot, logits and contrastive can be joined, as in "
      "cot+logits:" +
          names);
  cli.add_option(
      "--preset", o->preset,
      "circuit: chain of thought, promoted tokens and marks at 0.7, --explainer cot+logits --tau 0.7; output: "
      "output latents by what they write, --latents output --explainer vocab-proj (without --llm "
      "promoted-tokens), to be scored by intervention");
  cli.add_option("--explanations", o->written, "for human: a CSV of hookpoint,latent,text");
  cli.add_option(
      "--of", o->of,
      "for random: the explainer whose explanations are traded among latents; for refine: the one that proposes");
  cli.add_option("--proposals", o->refine.proposals, "for refine: descriptions proposed first")
      ->check(CLI::Range(1, 20));
  cli.add_option("--rounds", o->refine.rounds, "for refine: how often mistakes are shown, at most")
      ->check(CLI::Range(0, 20));
  cli.add_option("--hookpoint", o->hookpoints, "hookpoint; all of the run by default");
  cli.add_option("--latents", o->latents, kLatentsHelp);
  add_llm(cli, o->llm);
  cli.add_option("--prompts", o->prompts, "folder whose prompt files replace the built-in ones");
  add_example_options(cli, o->examples);
  cli.add_flag("--redo", o->redo, "explain again what is explained already; its scores are dropped");
  cli.add_flag("--json", o->json, "print the outcome as JSON");
  add_seed(cli, o->common);
  add_threads(cli, o->common);
  return [o, &cli](Context& context) {
    return as_job(o->run, "explain", context, [&](Context& c) { return explain_command(*o, cli, c); });
  };
}

}  // namespace gloss::app
