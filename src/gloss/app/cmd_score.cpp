// gloss score: judges explanations on the test windows, beside the same explanations shuffled between latents.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <deque>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "gloss/app/command.h"
#include "gloss/app/example_options.h"
#include "gloss/app/llm_options.h"
#include "gloss/app/run_data.h"
#include "gloss/app/settings.h"
#include "gloss/base/error.h"
#include "gloss/base/interrupt.h"
#include "gloss/base/parallel.h"
#include "gloss/base/random.h"
#include "gloss/report/calibration.h"
#include "gloss/report/negatives.h"
#include "gloss/report/summary.h"
#include "gloss/score/base_rate.h"
#include "gloss/score/baselines.h"
#include "gloss/score/judge.h"
#include "gloss/score/llm_judge.h"
#include "gloss/score/pattern_judge.h"
#include "gloss/score/until_width.h"

namespace gloss::app {
namespace {

struct ScoreCommand {
  CommonOptions common;
  std::string run, explainer, judge = "auto", latents = "all", shuffled = "auto", prompts, fuzz_shape = "scattered",
                              fuzz_negatives = "own";
  std::vector<std::string> scorers = {"detection", "fuzz"}, hookpoints;
  std::uint32_t per_prompt = 5;
  double until_width = 0.0;  // 0 = everything is asked
  LlmOptions llm;
  bool redo = false, json = false;
};

/// One explanation to be judged: the latent's own, or (explainer "shuffled:NAME") another's in its place.
struct Item {
  std::string explainer;
  explain::Explanation explanation;
};

struct Scoring {
  const ScoreCommand& options;
  const RunData& data;
  store::Store& store;
  std::string hookpoint, judge_name;
  std::vector<score::Scorer> scorers;
  ExampleSettings settings;
  index::Reader reader;
  std::vector<Item> items;
  std::uint64_t failed_judgements = 0;
  std::uint64_t asked = 0, available = 0;  // with --until-width: questions
  Reporter& report;
};

struct Task {
  const Item* item;
  score::Scorer scorer;
};

std::string judge_kind(const ScoreCommand& o, const std::vector<store::ExplanationRow>& rows) {
  const std::vector<std::string> known = {"auto", "pattern", "llm"};
  if (std::find(known.begin(), known.end(), o.judge) == known.end()) fail_unknown_name("judge", o.judge, known);
  const bool programs = std::all_of(rows.begin(), rows.end(), [](const store::ExplanationRow& row) {
    return !row.explanation.ok() || !row.explanation.program.empty();
  });
  if (o.judge == "auto") {
    if (programs) return "pattern";
    if (!o.llm.url.empty()) return "llm";
    throw Error(ErrorKind::usage, "", "explanations in prose need a language model to judge them, and --llm names none",
                "add --llm URL");
  }
  if (o.judge == "llm" && o.llm.url.empty()) throw Error(ErrorKind::usage, "", "--judge llm wants --llm URL");
  if (o.judge == "pattern" && !programs)
    throw Error(ErrorKind::usage, "", "--judge pattern executes pattern explanations, and these are prose",
                "use --judge llm with --llm URL");
  return o.judge;
}

/// The explainer to score: the one asked for, or the only one there is.
std::string explainer_of(const ScoreCommand& o, const store::Store& store, const RunFolder& run) {
  std::vector<std::string> known;
  for (const store::ExplanationRow& row : store.explanations("", "")) {
    if (!score::is_shuffled_name(row.explainer) && std::find(known.begin(), known.end(), row.explainer) == known.end())
      known.push_back(row.explainer);
  }
  if (known.empty())
    fail_input(run.root().string(), "nothing was explained yet", fmt::format("gloss explain {} comes first", o.run));
  if (o.explainer.empty()) {
    if (known.size() == 1) return known.front();
    throw Error(ErrorKind::usage, "", fmt::format("the run has several explainers: {}", fmt::join(known, ", ")),
                "name one with --explainer");
  }
  if (std::find(known.begin(), known.end(), o.explainer) == known.end())
    fail_unknown_name("explainer", o.explainer, known);
  return o.explainer;
}

/// How many latents also get a shuffled explanation: all when judging is free, 100 when a model is paid for it.
std::size_t shuffled_count(const ScoreCommand& o, const std::string& judge) {
  constexpr std::size_t kPaid = 100;
  if (o.shuffled == "auto") return judge == "pattern" ? std::string::npos : kPaid;
  if (o.shuffled == "all") return std::string::npos;
  if (o.shuffled == "none") return 0;
  std::size_t count = 0;
  const char* end = o.shuffled.data() + o.shuffled.size();
  if (std::from_chars(o.shuffled.data(), end, count).ptr != end)
    throw Error(ErrorKind::usage, "--shuffled", fmt::format("'{}' is not auto, all, none or a number", o.shuffled));
  return count;
}

void add_shuffled(Scoring& s, const std::vector<explain::Explanation>& explained, const std::vector<bool>& selected) {
  std::vector<double> densities;
  densities.reserve(explained.size());
  for (const explain::Explanation& e : explained) densities.push_back(s.reader.density(e.latent));
  std::vector<explain::Explanation> moved =
      score::shuffle_explanations(s.settings.options.seed, s.hookpoint, explained, densities);
  std::erase_if(moved, [&](const explain::Explanation& e) { return !selected[to_index(e.latent)]; });
  const std::size_t count = shuffled_count(s.options, s.judge_name == "pattern" ? "pattern" : "llm");
  if (moved.size() > count) {
    Random::for_purpose(s.settings.options.seed, "shuffled-latents").shuffle(std::span(moved));
    moved.resize(count);
  }
  const std::string name = score::shuffled_name(s.items.front().explainer);
  store::Store::Transaction transaction(s.store);
  for (explain::Explanation& e : moved) {
    const auto kept = s.store.explanation(s.hookpoint, e.latent, name);
    // A baseline scored before stays as it was, so that a longer run does not change it; replacing would drop its
    // score.
    if (kept && kept->explanation.text == e.text && !s.options.redo)
      e = kept->explanation;
    else
      s.store.put_explanation({s.hookpoint, name, e});
    s.items.push_back({name, std::move(e)});
  }
  transaction.commit();
}

/// Explanations to judge, in order of latent; then the shuffled ones.
void collect_items(Scoring& s, const std::string& explainer, const examples::LatentSpec& spec) {
  std::vector<bool> explained_latents(s.reader.latent_count(), false);
  std::vector<explain::Explanation> explained;
  for (store::ExplanationRow& row : s.store.explanations(s.hookpoint, explainer)) {
    if (!row.explanation.ok() || to_index(row.explanation.latent) >= s.reader.latent_count()) continue;
    explained_latents[to_index(row.explanation.latent)] = true;
    explained.push_back(std::move(row.explanation));
  }
  std::vector<bool> selected(s.reader.latent_count(), false);
  for (const LatentId f : spec.select(s.hookpoint, s.reader.latent_count(), s.options.common.seed, explained_latents,
                                      [&](LatentId latent) { return s.reader.density(latent); }))
    selected[to_index(f)] = explained_latents[to_index(f)];
  for (const explain::Explanation& e : explained) {
    if (selected[to_index(e.latent)]) s.items.push_back({explainer, e});
  }
  if (!s.items.empty()) add_shuffled(s, explained, selected);
}

std::vector<Task> open_tasks(const Scoring& s) {
  std::vector<Task> tasks;
  for (const Item& item : s.items) {
    for (const score::Scorer scorer : s.scorers) {
      const bool done = !s.options.redo && s.store.has_score(s.hookpoint, item.explanation.latent, item.explainer,
                                                             score::name_of(scorer), s.judge_name);
      if (!done) tasks.push_back({&item, scorer});
    }
  }
  return tasks;
}

/// What the answers about one latent are counted apart by: the silent windows, and how many windows of each kind the
/// whole cache has.
struct Asked {
  std::vector<examples::Window> silent;
  score::Strata strata;
};

void put_judgements(Scoring& s, const Task& task, const Asked& asked, const std::vector<score::Judgement>& judgements) {
  if (s.settings.options.negatives != examples::Negatives::random)
    s.store.put_negatives(s.hookpoint, task.item->explanation.latent, asked.silent);
  score::LatentScore result = score::summarize(task.item->explanation.latent, judgements, s.settings.options.quantiles);
  if (task.scorer == score::Scorer::detection) score::add_base_rate(result, judgements, asked.strata);
  s.failed_judgements += result.failed;
  s.store.put_score({s.hookpoint, task.item->explainer, std::string(score::name_of(task.scorer)), s.judge_name, result},
                    judgements);
}

std::vector<score::Question> questions_of(const Scoring& s, const Task& task, examples::Builder& builder,
                                          Asked& asked) {
  examples::LatentExamples found = builder.build(task.item->explanation.latent);
  std::vector<score::Question> questions =
      score::make_questions(task.scorer, s.hookpoint, found, question_options(s.settings));
  asked.strata = score::strata_of(found.window_count, found.silent_count, s.settings.options.quantiles);
  asked.silent = std::move(found.test_silent);
  return questions;
}

/// The judge itself, or one that asks it as long as the score is not known well enough.
class Stopping {
 public:
  Stopping(score::Judge& judge, double width) : judge_(&judge) {
    if (width > 0) judge_ = &until_.emplace(judge, width);
  }
  Stopping(const Stopping&) = delete;
  Stopping& operator=(const Stopping&) = delete;

  score::Judge& judge() { return *judge_; }
  void count(Scoring& s) const {
    if (!until_) return;
    s.asked += until_->asked();
    s.available += until_->available();
  }

 private:
  score::Judge* judge_;
  std::optional<score::UntilWidth> until_;
};

void score_by_pattern(Scoring& s, const std::vector<Task>& tasks) {
  constexpr std::size_t kBlock = 256;
  const std::size_t threads = s.options.common.thread_count();
  const explain::Vocabulary vocabulary(s.data.tokenizer);
  std::vector<examples::Builder> builders = make_builders(s.data, s.reader, s.settings, threads, s.report);
  std::vector<score::PatternJudge> judges(threads, score::PatternJudge(vocabulary, s.data.tokens));
  std::deque<Stopping> stopping;
  for (score::PatternJudge& judge : judges) stopping.emplace_back(judge, s.options.until_width);
  for (std::size_t first = 0; first < tasks.size(); first += kBlock) {
    stop_if_interrupted();
    const std::size_t count = std::min(kBlock, tasks.size() - first);
    std::vector<std::vector<score::Judgement>> judged(count);
    std::vector<Asked> asked(count);
    parallel_for(count, threads, [&](std::size_t i, std::size_t worker) {
      const Task& task = tasks[first + i];
      std::vector<score::Question> questions = questions_of(s, task, builders[worker], asked[i]);
      stopping[worker].judge().submit(
          task.scorer, task.item->explanation, std::move(questions),
          [&](std::vector<score::Judgement> judgements) { judged[i] = std::move(judgements); });
    });
    store::Store::Transaction transaction(s.store);
    for (std::size_t i = 0; i < count; ++i) put_judgements(s, tasks[first + i], asked[i], judged[i]);
    transaction.commit();
    s.report.progress({"score " + s.hookpoint, first + count, tasks.size(), "scores", ""});
  }
  for (const Stopping& one : stopping) one.count(s);
}

void score_by_llm(Scoring& s, const std::vector<Task>& tasks, llm::LanguageModel& client, score::Judge& judge) {
  examples::Builder builder = make_builder(s.data, s.reader, s.settings, s.report);
  Stopping stopping(judge, s.options.until_width);
  std::size_t next = 0;
  std::size_t answered = 0;
  std::function<void()> submit_next = [&] {
    if (next >= tasks.size() || interrupted()) return;
    const Task task = tasks[next++];
    Asked asked;
    std::vector<score::Question> questions = questions_of(s, task, builder, asked);
    stopping.judge().submit(task.scorer, task.item->explanation, std::move(questions),
                            [&, task, asked = std::move(asked)](const std::vector<score::Judgement>& judgements) {
                              // What a batch file asks for is not failed, only not known yet.
                              const bool known = std::none_of(
                                  judgements.begin(), judgements.end(),
                                  [](const score::Judgement& j) { return j.verdict == score::Verdict::failed; });
                              if (known || s.options.llm.batch_out.empty()) put_judgements(s, task, asked, judgements);
                              s.report.progress({"score " + s.hookpoint, ++answered, tasks.size(), "scores",
                                                 describe(client.totals(), answered, tasks.size())});
                              submit_next();
                            });
  };
  for (std::uint32_t i = 0; i < s.options.llm.at_once(); ++i) submit_next();
  judge.run();
  stop_if_interrupted();
  stopping.count(s);
}

std::string summary_line(const report::ScorerSummary& row) {
  return fmt::format(
      "{:<10} {:<22} {:>6} latents {:>8} judgements {:>5} failed   balanced accuracy {:.3f} [{:.3f}, {:.3f}]   "
      "precision {:.3f}  recall {:.3f}  F1 {:.3f}",
      row.scorer, row.explainer, row.latents, row.judgements, row.failed, row.balanced_accuracy.value,
      row.balanced_accuracy.low, row.balanced_accuracy.high, row.precision.value, row.recall.value, row.f1.value);
}

std::string correlation_line(const report::ScorerCorrelation& c) {
  const auto with_judge = [&](const std::string& scorer, const std::string& judge) {
    return c.judge_a == c.judge_b ? scorer : fmt::format("{} ({})", scorer, judge);
  };
  return fmt::format(
      "{:<33} {} and {} over {} latents: Pearson {:.3f} [{:.3f}, {:.3f}]   Spearman {:.3f} [{:.3f}, {:.3f}]",
      c.explainer, with_judge(c.scorer_a, c.judge_a), with_judge(c.scorer_b, c.judge_b), c.latents, c.pearson.value,
      c.pearson.low, c.pearson.high, c.spearman.value, c.spearman.low, c.spearman.high);
}

void print_summary(const ScoreCommand& o, const store::Store& store, Context& context) {
  const report::RunSummary summary =
      report::summarize_run(store.explanations("", ""), store.scores("", "", ""), o.common.seed, store.latents(""));
  if (o.json) {
    nlohmann::json json = summary.to_json();
    json["negatives"] = report::negatives_json(store);
    json["calibration"] = report::calibration_json(store);
    context.out << json.dump(2) << "\n";
    return;
  }
  for (const std::string& warning : summary.warnings()) context.reporter.warn(warning);
  for (const report::ScorerSummary& row : summary.all) context.out << summary_line(row) << "\n";
  for (const report::ScorerCorrelation& c : summary.correlations) context.out << correlation_line(c) << "\n";
  for (const std::string& line : report::negatives_lines(store)) context.out << line << "\n";
  for (const std::string& line : report::calibration_lines(store)) context.out << line << "\n";
}

/// Neighbours' windows must be among those the run was explained for.
void check_fuzz(score::Scorer fuzz, const ExampleSettings& settings) {
  const examples::Negatives negatives = settings.options.negatives;
  if (fuzz != score::Scorer::fuzz_neighbours || negatives == examples::Negatives::neighbours ||
      negatives == examples::Negatives::mixed)
    return;
  throw Error(ErrorKind::usage, "--fuzz-negatives neighbours",
              fmt::format("the run's silent windows are {}", name_of(negatives)),
              "explain into a run folder with --negatives neighbours or mixed");
}

/// By text where the run was judged so before, whatever else the model could do.
std::unique_ptr<score::LlmJudge> make_llm_judge(const ScoreCommand& o, const store::Store& store, const RunData& data,
                                                llm::LanguageModel& client, Reporter& report) {
  score::LlmJudgeOptions judging{o.per_prompt, o.prompts};
  const auto make = [&] { return std::make_unique<score::LlmJudge>(client, data.tokenizer, data.tokens, judging); };
  auto by_text = make();
  const auto kept = store.setting("judge:" + by_text->name());
  if (o.llm.answers == "auto" && !o.llm.is_native() && kept && kept->starts_with(by_text->fingerprint()))
    return by_text;
  const Answers answers = choose_answers(o.llm, client, report);
  judging.by_probability = answers == Answers::probabilities;
  judging.by_schema = answers == Answers::schema;
  return answers == Answers::text ? std::move(by_text) : make();
}

int score_command(const ScoreCommand& o, const CLI::App& cli, Context& context) {
  std::vector<score::Scorer> scorers;
  const score::Scorer fuzz = score::fuzz_scorer(o.fuzz_shape, o.fuzz_negatives);
  for (const std::string& name : o.scorers) {
    const score::Scorer scorer = score::parse_scorer(name);
    scorers.push_back(scorer == score::Scorer::fuzz ? fuzz : scorer);
  }
  const examples::LatentSpec spec = examples::LatentSpec::parse(o.latents);
  const RunFolder run(o.run);
  const RunData data = RunData::open(run);
  store::Store store(run.results());
  if (take_batch(o.llm, store, "score", context.reporter)) return kDone;
  const ExampleSettings settings = kept_example_settings(store, run);
  check_fuzz(fuzz, settings);
  const std::string explainer = explainer_of(o, store, run);
  const std::string kind = judge_kind(o, store.explanations("", explainer));
  shuffled_count(o, kind);  // a bad value fails before any work
  save_settings(run, "score", cli);

  std::unique_ptr<llm::LanguageModel> client;
  std::unique_ptr<score::LlmJudge> llm_judge;
  if (kind == "llm") {
    client = open_language_model(o.llm, store, o.common.thread_count());
    llm_judge = make_llm_judge(o, store, data, *client, context.reporter);
  }
  // Scores that stopped early and scores that did not are not of one method.
  keep_method(store, run, "judge:" + (llm_judge ? llm_judge->name() : "pattern"),
              (llm_judge ? llm_judge->fingerprint() : "pattern") +
                  (o.until_width > 0 ? fmt::format(" until {}", o.until_width) : ""),
              o.redo);
  std::uint64_t failed = 0, asked = 0, available = 0;
  for (const std::string& hookpoint : run.select_hookpoints(o.hookpoints)) {
    Scoring s{o,
              data,
              store,
              hookpoint,
              llm_judge ? llm_judge->name() : "pattern",
              scorers,
              settings,
              data.index(hookpoint),
              {},
              0,
              0,
              0,
              context.reporter};
    store.set_stage("score", hookpoint);
    collect_items(s, explainer, spec);
    const std::vector<Task> tasks = open_tasks(s);
    if (llm_judge)
      score_by_llm(s, tasks, *client, *llm_judge);
    else
      score_by_pattern(s, tasks);
    failed += s.failed_judgements;
    asked += s.asked;
    available += s.available;
  }
  if (client && finish_batch(o.llm, *client, context.reporter)) return kDone;
  if (available > 0)
    context.reporter.info(
        fmt::format("stopped early: {} of {} judgements asked ({:.0f} %), for intervals narrower than {}", asked,
                    available, 100.0 * static_cast<double>(asked) / static_cast<double>(available), o.until_width));
  if (client) {
    context.reporter.info(describe(client->totals()));
    for (const std::string& line : describe_costs(store)) context.reporter.info(line);
  }
  print_summary(o, store, context);
  return failed > 0 ? kSomeFailed : kDone;
}

}  // namespace

Runner setup_score(CLI::App& cli) {
  auto o = std::make_shared<ScoreCommand>();
  cli.add_option("run", o->run, "run folder with explanations")->required();
  cli.add_option("--scorer", o->scorers,
                 "detection: does the latent fire in this window? fuzz: are the right tokens of this window marked?");
  cli.add_option("--fuzz-shape", o->fuzz_shape,
                 "wrong marks of fuzz: scattered, or matched (in runs as long as those of the right ones)");
  cli.add_option("--fuzz-negatives", o->fuzz_negatives,
                 "windows that fuzz marks wrongly: own (the latent's), silent ones, or neighbours' marked where the "
                 "neighbour fires (of runs explained with --negatives neighbours or mixed)");
  cli.add_option("--explainer", o->explainer, "whose explanations; needed when the run has several");
  cli.add_option("--judge", o->judge,
                 "pattern executes pattern explanations, llm asks a language model, auto takes what fits");
  cli.add_option("--hookpoint", o->hookpoints, "hookpoint; all of the run by default");
  cli.add_option("--latents", o->latents, fmt::format("those explained of these: {}", kLatentsHelp));
  cli.add_option(
      "--shuffled", o->shuffled,
      "latents that are also judged with another's explanation, the baseline at 0.5: a number, all, none; auto = "
      "all for the pattern judge, 100 for a language model");
  add_llm(cli, o->llm);
  cli.add_option("--prompts", o->prompts, "folder whose prompt files replace the built-in ones");
  cli.add_option("--per-prompt", o->per_prompt,
                 "windows a prompt; a native model is asked about each alone, which costs it nothing")
      ->check(CLI::Range(1, 20));
  cli.add_option("--until-width", o->until_width,
                 "stop asking about a latent once the 95 % interval of its balanced accuracy is narrower than this "
                 "(after 20 windows at least); 0 = ask about all")
      ->check(CLI::Range(0.0, 1.0));
  cli.add_flag("--redo", o->redo, "judge again what is judged already");
  cli.add_flag("--json", o->json, "print the summary as JSON");
  add_seed(cli, o->common);
  add_threads(cli, o->common);
  return [o, &cli](Context& context) { return score_command(*o, cli, context); };
}

}  // namespace gloss::app
