// gloss plan: what explaining and scoring will take - requests, tokens, dollars, hours - before anything is sent.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "gloss/app/command.h"
#include "gloss/app/example_options.h"
#include "gloss/app/latent_properties.h"
#include "gloss/app/llm_options.h"
#include "gloss/app/plan_scorers.h"
#include "gloss/app/prompt_counter.h"
#include "gloss/app/run_data.h"
#include "gloss/base/error.h"
#include "gloss/base/quantity.h"
#include "gloss/base/random.h"
#include "gloss/explain/prompt_explainer.h"
#include "gloss/llm/plan.h"
#include "gloss/llm/protocol.h"
#include "gloss/score/baselines.h"
#include "gloss/score/choice_questions.h"

namespace gloss::app {
namespace {

struct PlanCommand {
  CommonOptions common;
  std::string run, explainer = "default", latents = "all", prompts;
  std::vector<std::string> scorers = {"detection", "fuzz"}, hookpoints;
  std::uint32_t per_prompt = 5, sample = 50, shuffled = 100;
  double explanation_tokens = 0.0, latency_s = 1.5;
  ExampleSettings examples;
  LlmOptions llm;
  bool json = false;
};

/// One line: a stage asked in one way.
struct Row {
  std::string stage, way;
  std::uint64_t latents = 0;
  llm::LatentCost sum = {};
  llm::Plan::Money full = {}, cached = {};

  void add(const Row& other) {
    sum.calls += other.sum.calls;
    sum.shared += other.sum.shared;
    sum.own += other.sum.own;
    sum.output += other.sum.output;
    add(full, other.full);
    add(cached, other.cached);
  }

 private:
  /// Intervals add as those of independent samples.
  static void add(llm::Plan::Money& a, const llm::Plan::Money& b) {
    const double low = std::hypot(a.value - a.low, b.value - b.low);
    const double high = std::hypot(a.high - a.value, b.high - b.value);
    a.value += b.value;
    a.low = std::max(0.0, a.value - low);
    a.high = a.value + high;
  }
};

struct Planning {
  const PlanCommand& options;
  const RunData& data;
  std::optional<store::Store>& store;
  ExampleSettings settings;
  explain::PromptMethod method;
  std::string model;
  const llm::Dialect& dialect;
  llm::Prices prices;
  Reporter& report;
  Row explain, totals[2];   // by text, by probabilities
  std::vector<Row> scores;  // by scorer, both ways each
  double explanation_tokens = 0.0;
};

bool is_paid(Planning& p, const llm::Request& request) {
  return p.store && !p.model.empty() && p.store->find(p.dialect.hash(p.dialect.body(request, p.model)));
}

PromptCounter make_counter(Planning& p) {
  return {p.data.tokenizer, p.model, [&p](const llm::Request& request) { return is_paid(p, request); }};
}

/// At most --sample of them.
std::vector<LatentId> sampled(const Planning& p, const std::string& hookpoint, const std::vector<LatentId>& from,
                              std::string_view purpose) {
  std::vector<LatentId> some;
  const std::string name = fmt::format("plan {} {}", purpose, hookpoint);
  for (const std::uint64_t i : Random::for_purpose(p.options.common.seed, name).sample(from.size(), p.options.sample))
    some.push_back(from[i]);
  std::sort(some.begin(), some.end());
  return some;
}

/// Adds what a sample took, for all of `latents`. Those of the sample that cost nothing count too.
void add_sample(const Planning& p, Row& row, std::vector<llm::LatentCost> costs, std::size_t sample, double latents) {
  costs.resize(std::max(sample, costs.size()));
  Row part;
  const auto count = static_cast<std::uint64_t>(std::llround(latents));
  const llm::Plan plan = llm::extrapolate(costs, count, p.prices);
  part.sum = plan.sum;
  part.full = plan.full;
  part.cached = plan.cached;
  row.latents += count;
  row.add(part);
}

void plan_explaining(Planning& p, const std::string& hookpoint, const index::Reader& reader,
                     std::vector<LatentId> latents) {
  if (p.store) {
    std::vector<bool> done(reader.latent_count(), false);
    for (const store::ExplanationRow& row : p.store->explanations(hookpoint, p.method.name())) {
      if (row.explanation.ok()) done[to_index(row.explanation.latent)] = true;
    }
    std::erase_if(latents, [&](LatentId f) { return done[to_index(f)]; });
  }
  PromptCounter counter = make_counter(p);
  const explain::PromptExplainer explainer(counter, p.data.tokenizer, p.data.tokens, p.method,
                                           {p.settings.tau, p.options.prompts});
  examples::Builder builder = make_builder(p.data, reader, p.settings, p.report);
  const auto weights = p.method.needs_weights() ? p.data.weights(hookpoint) : std::nullopt;
  const auto listed = [&](index::WeightList list, LatentId f) {
    return weights && weights->has(list) ? weights->entries(list, f) : std::vector<index::WeightEntry>{};
  };
  const std::vector<LatentId> some = sampled(p, hookpoint, latents, "explain");
  for (const LatentId f : some) {
    const examples::LatentExamples found = builder.build(f);
    if (found.status != examples::Status::ok || found.explain.empty()) continue;
    const auto promoted = listed(index::WeightList::promoted, f), suppressed = listed(index::WeightList::suppressed, f);
    counter.submit(explainer.request({found, promoted, suppressed}), [](const llm::Reply&) {});
  }
  add_sample(p, p.explain, counter.take(p.explanation_tokens), some.size(), static_cast<double>(latents.size()));
}

/// The latents that a scorer has not judged yet, and how many of these judgements the shuffled baseline adds.
std::vector<LatentId> unscored(const Planning& p, const std::string& hookpoint, const std::vector<LatentId>& latents,
                               const std::string& explainer, std::string_view scorer) {
  if (!p.store || p.model.empty()) return latents;
  std::vector<LatentId> open;
  for (const LatentId f : latents) {
    if (!p.store->has_score(hookpoint, f, explainer, scorer, "llm:" + p.model)) open.push_back(f);
  }
  return open;
}

/// The explanation of a latent, or what stands for one that it has not got yet: as many tokens as those are expected
/// to have.
explain::Explanation explanation_of(const Planning& p, const std::string& hookpoint, LatentId f) {
  const auto kept = p.store ? p.store->explanation(hookpoint, f, p.method.name()) : std::nullopt;
  if (kept && kept->explanation.ok()) return kept->explanation;
  explain::Explanation explanation;
  explanation.latent = f;
  explanation.text = words_of(p.data.tokenizer, to_index(f), p.explanation_tokens);
  return explanation;
}

/// Others' explanations, that forced-choice draws wrong answers from.
struct Rivals {
  std::vector<explain::Explanation> explanations;
  std::vector<double> densities;  // [explanations]
};
Rivals rivals_of(const Planning& p, const std::string& hookpoint, const index::Reader& reader,
                 const std::vector<LatentId>& latents) {
  Rivals rivals;
  for (const LatentId f : sampled(p, hookpoint, latents, "rivals")) {
    rivals.explanations.push_back(explanation_of(p, hookpoint, f));
    rivals.densities.push_back(reader.density(f));
  }
  return rivals;
}

PlannedAsking asking_of(const PlanCommand& o, const ExampleSettings& settings) {
  PlannedAsking asking;
  asking.per_prompt = o.per_prompt;
  asking.prompts = o.prompts;
  asking.window = settings.options.window;
  return asking;
}

void plan_scoring(Planning& p, const std::string& hookpoint, const index::Reader& reader,
                  const std::vector<LatentId>& latents, std::size_t at) {
  const score::Scorer scorer = score::parse_scorer(p.options.scorers[at]);
  const std::string name = p.method.name();
  const std::vector<LatentId> open = unscored(p, hookpoint, latents, name, score::name_of(scorer));
  const std::string shuffled = score::shuffled_name(name);
  const std::size_t judged = latents.size() - unscored(p, hookpoint, latents, shuffled, score::name_of(scorer)).size();
  const std::size_t baseline = std::min<std::size_t>(p.options.shuffled, latents.size());
  // Intruders are found without any explanation: no baseline is asked about.
  const double more =
      scorer == score::Scorer::intruder ? 0.0 : static_cast<double>(baseline - std::min(baseline, judged));
  // A baseline's requests are as large as the latents' own.
  const std::vector<LatentId>& from = open.empty() ? latents : open;
  const std::vector<LatentId> some = sampled(p, hookpoint, from, score::name_of(scorer));
  ExampleSettings settings = p.settings;
  if (score::wants_neighbours(scorer)) settings.options.negatives = examples::Negatives::neighbours;
  examples::Builder builder = make_builder(p.data, reader, settings, p.report);
  Rivals rivals;
  if (scorer == score::Scorer::forced_choice) rivals = rivals_of(p, hookpoint, reader, latents);
  const score::QuestionOptions asking = question_options(settings);
  for (const bool by_probability : {false, true}) {
    PromptCounter counter = make_counter(p);
    const PlannedJudge planned =
        planned_judge(scorer, by_probability, asking_of(p.options, settings), counter, p.data.tokenizer, p.data.tokens);
    for (const LatentId f : some) {
      std::vector<score::Question> questions;
      const explain::Explanation explanation = explanation_of(p, hookpoint, f);
      if (planned.windows) {
        const examples::LatentExamples found = builder.build(f);
        if (found.status != examples::Status::ok) continue;
        questions = score::make_questions(scorer, hookpoint, found, asking);
        if (scorer == score::Scorer::forced_choice)
          score::add_rivals(questions, hookpoint, explanation, reader.density(f), rivals.explanations, rivals.densities,
                            asking);
      }
      planned.judge->submit(scorer, explanation, std::move(questions), [](const std::vector<score::Judgement>&) {});
    }
    planned.judge->run();
    Row& row = p.scores[2 * at + (by_probability ? 1 : 0)];
    row.way = planned.way;
    add_sample(p, row, counter.take(planned.output), some.size(), static_cast<double>(open.size()) + more);
  }
}

/// Tokens of an explanation: what the run's had so far, else what such answers usually have.
double tokens_of_explanation(const PlanCommand& o, const explain::PromptMethod& method,
                             const std::optional<store::Store>& store) {
  constexpr double kPlain = 30.0, kReasoned = 250.0;
  if (o.explanation_tokens > 0.0) return o.explanation_tokens;
  double tokens = 0.0, replies = 0.0;
  if (store) {
    for (const store::CostRow& row : store->costs()) {
      if (row.stage != "explain") continue;
      tokens += static_cast<double>(row.completion_tokens);
      replies += static_cast<double>(row.replies);
    }
  }
  if (replies > 0.0) return tokens / replies;
  return method.cot ? kReasoned : kPlain;
}

double hours_of(const PlanCommand& o, double calls) {
  return calls * o.latency_s / 3600.0 / (o.llm.url.empty() ? 16 : o.llm.at_once());
}

std::string line_of(const PlanCommand& o, const Row& row) {
  const auto money = [](const llm::Plan::Money& m) {
    return fmt::format("${:.2f} [{:.2f}, {:.2f}]", m.value, m.low, m.high);
  };
  return fmt::format("{:<16} {:<26} {:>8} {:>9} {:>9} {:>9} {:>9}   {:<28} {:<28} {:>8}\n", row.stage, row.way,
                     row.latents, format_count(row.sum.calls), format_count(row.sum.shared), format_count(row.sum.own),
                     format_count(row.sum.output), money(row.cached), money(row.full),
                     format_seconds(hours_of(o, row.sum.calls) * 3600.0));
}

nlohmann::json json_of(const PlanCommand& o, const Row& row) {
  const auto money = [](const llm::Plan::Money& m) {
    return nlohmann::json{{"value", m.value}, {"low", m.low}, {"high", m.high}};
  };
  return {{"stage", row.stage},
          {"way", row.way},
          {"latents", row.latents},
          {"calls", row.sum.calls},
          {"shared_tokens", row.sum.shared},
          {"own_tokens", row.sum.own},
          {"output_tokens", row.sum.output},
          {"dollars_cached", money(row.cached)},
          {"dollars", money(row.full)},
          {"hours", hours_of(o, row.sum.calls)}};
}

void print(const Planning& p, Context& context) {
  std::vector<Row> rows = {p.explain};
  for (std::size_t i = 0; i < p.scores.size(); i += 2) {
    rows.push_back(p.scores[i]);
    if (p.scores[i + 1].way != p.scores[i].way) rows.push_back(p.scores[i + 1]);  // some scorers know one way only
  }
  rows.insert(rows.end(), std::begin(p.totals), std::end(p.totals));
  if (p.options.json) {
    nlohmann::json json = nlohmann::json::array();
    for (const Row& row : rows) json.push_back(json_of(p.options, row));
    context.out << nlohmann::json{{"model", p.model}, {"sample", p.options.sample}, {"rows", json}}.dump(2) << "\n";
    return;
  }
  context.out << fmt::format("{:<16} {:<26} {:>8} {:>9} {:>9} {:>9} {:>9}   {:<28} {:<28} {:>8}\n", "stage", "way",
                             "latents", "requests", "shared", "own", "output", "dollars, shared cached",
                             "dollars, nothing cached", "time");
  for (const Row& row : rows) context.out << line_of(p.options, row);
  context.reporter.info(
      "tokens are counted with the run's tokenizer; shared and own are those of prompts; what the store holds is left "
      "out; intervals (95 %) say what the sample leaves open, not what another tokenizer counts");
  if (!p.prices.known())
    context.reporter.info("no prices are known: --prices IN,CACHED,OUT, or a provider that has them");
}

int plan_command(PlanCommand& o, Context& context) {
  for (const std::string& scorer : o.scorers) score::parse_scorer(scorer);
  const explain::PromptMethod method = explain::PromptMethod::parse(o.explainer);
  const examples::LatentSpec spec = examples::LatentSpec::parse(o.latents);
  const RunFolder run(o.run);
  const RunData data = RunData::open(run);
  std::optional<store::Store> store;
  if (std::filesystem::exists(run.results())) store.emplace(run.results());
  o.examples.options.seed = o.common.seed;
  const bool explained = store && !store->explanations("", "").empty();
  llm::ClientOptions client;
  if (!o.llm.url.empty() && !o.llm.is_native()) {
    const Provider provider = find_provider(o.llm);
    client.dialect = provider.dialect;
    client.model = o.llm.model.empty() ? provider.model : o.llm.model;
    client.prices = provider.prices_of(client.model);
  }
  if (!o.llm.prices.empty()) client.prices = llm::parse_prices(o.llm.prices);
  Planning p{o,
             data,
             store,
             explained ? kept_example_settings(*store, run) : o.examples,
             method,
             client.model,
             llm::find_dialect(client.dialect),
             client.prices,
             context.reporter,
             {"explain", method.name()},
             {{"total", "judged by text"}, {"total", "judged by probabilities"}},
             {}};
  p.explanation_tokens = tokens_of_explanation(o, method, store);
  for (const std::string& scorer : o.scorers) {
    p.scores.push_back({scorer, ""});
    p.scores.push_back({scorer, ""});
  }
  for (const std::string& hookpoint : run.select_hookpoints(o.hookpoints)) {
    const index::Reader reader = data.index(hookpoint);
    const std::vector<LatentId> latents =
        spec.select(hookpoint, reader.latent_count(), o.common.seed,
                    eligible_latents(data, reader, p.settings, o.common.thread_count()),
                    properties_of(reader, hookpoint, store ? &*store : nullptr));
    plan_explaining(p, hookpoint, reader, latents);
    for (std::size_t i = 0; i < o.scorers.size(); ++i) plan_scoring(p, hookpoint, reader, latents, i);
  }
  for (std::size_t way = 0; way < 2; ++way) {
    p.totals[way].latents = p.explain.latents;
    p.totals[way].add(p.explain);
    for (std::size_t i = way; i < p.scores.size(); i += 2) p.totals[way].add(p.scores[i]);
  }
  print(p, context);
  return kDone;
}

}  // namespace

Runner setup_plan(CLI::App& cli) {
  auto o = std::make_shared<PlanCommand>();
  cli.add_option("run", o->run, "run folder with a finished cache")->required();
  cli.add_option("--explainer", o->explainer, "explainer that asks a language model");
  cli.add_option("--scorer", o->scorers, "any that a language model or a server of embeddings answers");
  cli.add_option("--hookpoint", o->hookpoints, "hookpoint; all of the run by default");
  cli.add_option("--latents", o->latents, kLatentsHelp);
  cli.add_option("--sample", o->sample, "latents whose prompts are built and counted, of each hookpoint")
      ->check(CLI::Range(1, 1'000'000));
  cli.add_option("--shuffled", o->shuffled, "latents that are also judged with another's explanation");
  cli.add_option("--per-prompt", o->per_prompt, "windows a prompt, judged by text")->check(CLI::Range(1, 20));
  cli.add_option("--explanation-tokens", o->explanation_tokens,
                 "of a reply; 0 = as those the run has, else 30, with cot 250")
      ->check(CLI::NonNegativeNumber);
  cli.add_option("--latency", o->latency_s, "seconds that a request takes")->check(CLI::PositiveNumber);
  add_llm(cli, o->llm);
  cli.add_option("--prompts", o->prompts, "folder whose prompt files replace the built-in ones");
  add_example_options(cli, o->examples);
  cli.add_flag("--json", o->json, "print the plan as JSON");
  add_seed(cli, o->common);
  add_threads(cli, o->common);
  return [o](Context& context) { return plan_command(*o, context); };
}

}  // namespace gloss::app
