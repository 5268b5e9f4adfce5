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
#include "gloss/app/job_file.h"
#include "gloss/app/latent_properties.h"
#include "gloss/app/llm_options.h"
#include "gloss/app/run_data.h"
#include "gloss/app/score_judges.h"
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
#include "gloss/score/choice_questions.h"
#include "gloss/score/judge.h"
#include "gloss/score/stopped_estimate.h"
#include "gloss/score/until_width.h"

namespace gloss::app {
namespace {

struct ScoreCommand {
  CommonOptions common;
  std::string run, explainer, latents = "all", shuffled = "auto", fuzz_shape = "scattered", fuzz_negatives = "own";
  std::vector<std::string> scorers = {"detection", "fuzz"}, hookpoints;
  JudgeOptions judging;
  score::QuestionOptions asking;  // what the flags set of it
  double until_width = 0.0;       // 0 = everything is asked
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
  Judges& judges;
  std::string hookpoint;
  std::vector<score::Scorer> scorers;
  ExampleSettings settings;
  index::Reader reader;
  std::vector<Item> items;
  std::vector<explain::Explanation> explained;  // all of the explainer
  std::vector<double> densities;                // [explained]
  std::uint64_t failed_judgements = 0;
  std::uint64_t asked = 0, available = 0;  // with --until-width: questions
  Reporter& report;
};

struct Task {
  const Item* item;
  score::Scorer scorer;
};

/// Tasks of one judge, asked about windows drawn alike.
struct TaskGroup {
  Judges::Kind kind;
  bool neighbours;
  std::vector<Task> tasks;
};

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
std::size_t shuffled_count(const ScoreCommand& o, bool paid) {
  constexpr std::size_t kPaid = 100;
  if (o.shuffled == "auto") return paid ? kPaid : std::string::npos;
  if (o.shuffled == "all") return std::string::npos;
  if (o.shuffled == "none") return 0;
  std::size_t count = 0;
  const char* end = o.shuffled.data() + o.shuffled.size();
  if (std::from_chars(o.shuffled.data(), end, count).ptr != end)
    throw Error(ErrorKind::usage, "--shuffled", fmt::format("'{}' is not auto, all, none or a number", o.shuffled));
  return count;
}

void add_shuffled(Scoring& s, const std::vector<bool>& selected) {
  std::vector<explain::Explanation> moved =
      score::shuffle_explanations(s.settings.options.seed, s.hookpoint, s.explained, s.densities);
  std::erase_if(moved, [&](const explain::Explanation& e) { return !selected[to_index(e.latent)]; });
  const std::size_t count = shuffled_count(s.options, s.judges.asks_model());
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
  for (store::ExplanationRow& row : s.store.explanations(s.hookpoint, explainer)) {
    if (!row.explanation.ok() || to_index(row.explanation.latent) >= s.reader.latent_count()) continue;
    explained_latents[to_index(row.explanation.latent)] = true;
    s.densities.push_back(s.reader.density(row.explanation.latent));
    s.explained.push_back(std::move(row.explanation));
  }
  std::vector<bool> selected(s.reader.latent_count(), false);
  for (const LatentId f : spec.select(s.hookpoint, s.reader.latent_count(), s.options.common.seed, explained_latents,
                                      properties_of(s.reader, s.hookpoint, &s.store)))
    selected[to_index(f)] = explained_latents[to_index(f)];
  for (const explain::Explanation& e : s.explained) {
    if (selected[to_index(e.latent)]) s.items.push_back({explainer, e});
  }
  if (!s.items.empty()) add_shuffled(s, selected);
}

/// Whether a scorer says nothing of this item: a language model finds intruders without any explanation, so that
/// another's in its place would be the same question again.
bool is_idle(const Scoring& s, const Item& item, score::Scorer scorer) {
  return scorer == score::Scorer::intruder && s.judges.kind(scorer) == Judges::Kind::llm &&
         score::is_shuffled_name(item.explainer);
}

/// What is not scored yet.
std::vector<TaskGroup> open_tasks(const Scoring& s) {
  std::vector<TaskGroup> groups;
  const auto group_of = [&](score::Scorer scorer) -> TaskGroup& {
    const Judges::Kind kind = s.judges.kind(scorer);
    const bool neighbours = score::wants_neighbours(scorer);
    const auto found = std::find_if(groups.begin(), groups.end(),
                                    [&](const TaskGroup& g) { return g.kind == kind && g.neighbours == neighbours; });
    if (found != groups.end()) return *found;
    return groups.emplace_back(TaskGroup{kind, neighbours, {}});
  };
  for (const Item& item : s.items) {
    for (const score::Scorer scorer : s.scorers) {
      const bool done = !s.options.redo && s.store.has_score(s.hookpoint, item.explanation.latent, item.explainer,
                                                             score::name_of(scorer), s.judges.name(scorer));
      if (!done && !is_idle(s, item, scorer)) group_of(scorer).tasks.push_back({&item, scorer});
    }
  }
  return groups;
}

/// What the answers about one latent are counted apart by: the silent windows, and how many windows of each kind the
/// whole cache has.
struct Asked {
  std::vector<examples::Window> silent;
  score::Strata strata;
  std::vector<examples::Window> simulated;  // of simulation: the windows, in the order of the questions
  double strong = 0.0;  // of generation: what the weakest window of the fifth of ten quantiles reaches, of M
};

/// The weakest of the windows drawn from the quantile in the middle (the fifth of ten), as a part of the largest
/// activation; 1 where there is none.
double middle_strength(const examples::LatentExamples& found, std::uint32_t quantiles) {
  float weakest = found.max_activation;
  for (const auto* split : {&found.explain, &found.test}) {
    for (const examples::Window& w : *split) {
      if (w.quantile == (quantiles + 1) / 2) weakest = std::min(weakest, w.max);
    }
  }
  return found.max_activation > 0.0F ? double{weakest} / double{found.max_activation} : 1.0;
}

void put_judgements(Scoring& s, const Task& task, const Asked& asked, const std::vector<score::Judgement>& judgements) {
  if (s.settings.options.negatives != examples::Negatives::random || s.settings.options.neighbours > 0)
    s.store.put_negatives(s.hookpoint, task.item->explanation.latent, asked.silent);
  score::LatentScore result = score::summarize(task.item->explanation.latent, judgements, s.settings.options.quantiles);
  if (s.options.until_width > 0 && score::is_balanced(task.scorer)) {
    score::Interval& b = result.balanced_accuracy;
    b.value = score::stopped_balanced_accuracy(judgements, s.options.until_width);
    b.low = std::min(b.low, b.value);
    b.high = std::max(b.high, b.value);
  }
  if (task.scorer == score::Scorer::detection) score::add_base_rate(result, judgements, asked.strata);
  if (task.scorer == score::Scorer::generation) score::add_strengths(result, judgements, asked.strong);
  if (task.scorer == score::Scorer::simulation)
    score::add_simulation(result, judgements, asked.simulated, s.settings.options.seed);
  if (task.scorer == score::Scorer::intervention) score::add_gains(result, judgements, s.settings.options.seed);
  s.failed_judgements += result.failed;
  s.store.put_score(
      {s.hookpoint, task.item->explainer, std::string(score::name_of(task.scorer)), s.judges.name(task.scorer), result},
      judgements);
}

std::vector<score::Question> questions_of(const Scoring& s, const Task& task, examples::Builder& builder,
                                          Asked& asked) {
  examples::LatentExamples found = builder.build(task.item->explanation.latent);
  score::QuestionOptions options = s.options.asking;
  const score::QuestionOptions drawn = question_options(s.settings);
  options.quantiles = drawn.quantiles;
  options.tau = drawn.tau;
  options.seed = drawn.seed;
  std::vector<score::Question> questions = score::make_questions(task.scorer, s.hookpoint, found, options);
  if (task.scorer == score::Scorer::forced_choice)
    score::add_rivals(questions, s.hookpoint, task.item->explanation, s.reader.density(found.latent), s.explained,
                      s.densities, options);
  asked.strong = middle_strength(found, s.settings.options.quantiles);
  if (task.scorer == score::Scorer::simulation) {
    for (const score::Question& q : questions) asked.simulated.push_back(q.window);
  }
  asked.strata = score::strata_of(found.window_count, found.silent_count, s.settings.options.quantiles);
  asked.silent = std::move(found.test_silent);
  asked.silent.insert(asked.silent.end(), found.test_neighbours.begin(), found.test_neighbours.end());
  return questions;
}

/// The judge itself, or one that asks it as long as the score is not known well enough.
class Stopping {
 public:
  Stopping(score::Judge& judge, double width) : all_(&judge), judge_(&judge) {
    if (width > 0) judge_ = &until_.emplace(judge, width);
  }
  Stopping(const Stopping&) = delete;
  Stopping& operator=(const Stopping&) = delete;

  /// Scorers without a balanced accuracy are asked about everything.
  score::Judge& judge(score::Scorer scorer) { return score::is_balanced(scorer) ? *judge_ : *all_; }
  void count(Scoring& s) const {
    if (!until_) return;
    s.asked += until_->asked();
    s.available += until_->available();
  }

 private:
  score::Judge* all_;
  score::Judge* judge_;
  std::optional<score::UntilWidth> until_;
};

void score_at_once(Scoring& s, const TaskGroup& group) {
  const std::vector<Task>& tasks = group.tasks;
  constexpr std::size_t kBlock = 256;
  const std::size_t threads = s.options.common.thread_count();
  std::vector<examples::Builder> builders = make_builders(s.data, s.reader, s.settings, threads, s.report);
  std::vector<std::unique_ptr<score::Judge>> judges;
  std::deque<Stopping> stopping;
  for (std::size_t i = 0; i < threads; ++i) {
    judges.push_back(s.judges.make(group.kind));
    stopping.emplace_back(*judges.back(), s.options.until_width);
  }
  for (std::size_t first = 0; first < tasks.size(); first += kBlock) {
    stop_if_interrupted();
    const std::size_t count = std::min(kBlock, tasks.size() - first);
    std::vector<std::vector<score::Judgement>> judged(count);
    std::vector<Asked> asked(count);
    parallel_for(count, threads, [&](std::size_t i, std::size_t worker) {
      const Task& task = tasks[first + i];
      std::vector<score::Question> questions = questions_of(s, task, builders[worker], asked[i]);
      stopping[worker]
          .judge(task.scorer)
          .submit(task.scorer, task.item->explanation, std::move(questions),
                  [&](std::vector<score::Judgement> judgements) { judged[i] = std::move(judgements); });
    });
    store::Store::Transaction transaction(s.store);
    for (std::size_t i = 0; i < count; ++i) put_judgements(s, tasks[first + i], asked[i], judged[i]);
    transaction.commit();
    s.report.progress({"score " + s.hookpoint, first + count, tasks.size(), "scores", ""});
  }
  for (const Stopping& one : stopping) one.count(s);
}

void score_by_model(Scoring& s, const TaskGroup& group) {
  const std::vector<Task>& tasks = group.tasks;
  llm::LanguageModel& client = *s.judges.model();
  score::Judge& judge = s.judges.shared(group.kind);
  examples::Builder builder = make_builder(s.data, s.reader, s.settings, s.report);
  Stopping stopping(judge, s.options.until_width);
  std::size_t next = 0;
  std::size_t answered = 0;
  std::function<void()> submit_next = [&] {
    if (next >= tasks.size() || interrupted()) return;
    const Task task = tasks[next++];
    Asked asked;
    std::vector<score::Question> questions = questions_of(s, task, builder, asked);
    stopping.judge(task.scorer)
        .submit(task.scorer, task.item->explanation, std::move(questions),
                [&, task, asked = std::move(asked)](const std::vector<score::Judgement>& judgements) {
                  // What a batch file asks for is not failed, only not known yet.
                  const bool known = std::none_of(judgements.begin(), judgements.end(), [](const score::Judgement& j) {
                    return j.verdict == score::Verdict::failed;
                  });
                  if (known || s.options.judging.llm.batch_out.empty()) put_judgements(s, task, asked, judgements);
                  s.report.progress({"score " + s.hookpoint, ++answered, tasks.size(), "scores",
                                     describe(client.totals(), answered, tasks.size())});
                  submit_next();
                });
  };
  for (std::uint32_t i = 0; i < s.options.judging.llm.at_once(); ++i) submit_next();
  judge.run();
  stop_if_interrupted();
  stopping.count(s);
}

/// Windows of neighbours wanted beside those that the run's silent windows have already.
std::uint32_t missing_neighbours(const examples::Options& o) {
  if (o.negatives == examples::Negatives::neighbours) return 0;
  return o.negatives == examples::Negatives::mixed ? o.silent - o.silent / 2 : o.silent;
}

void score_group(Scoring& s, const TaskGroup& group) {
  const std::uint32_t before = s.settings.options.neighbours;
  if (group.neighbours) s.settings.options.neighbours = missing_neighbours(s.settings.options);
  if (Judges::answers_at_once(group.kind))
    score_at_once(s, group);
  else
    score_by_model(s, group);
  s.settings.options.neighbours = before;
}

std::string summary_line(const report::ScorerSummary& row) {
  std::string line =
      fmt::format("{:<13} {:<22} {:>6} latents {:>8} judgements {:>5} failed   {} {:.3f} [{:.3f}, {:.3f}]", row.scorer,
                  row.explainer, row.latents, row.judgements, row.failed, row.score_name, row.score.value,
                  row.score.low, row.score.high);
  if (row.score_name == "balanced accuracy")
    line += fmt::format("   precision {:.3f}  recall {:.3f}  F1 {:.3f}", row.precision.value, row.recall.value,
                        row.f1.value);
  else
    line += fmt::format("   chance {:.3g}", row.chance);
  return line;
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
      report::summarize_run(store.explanations("", ""), store.scores("", "", ""), o.common.seed, store.latents(""),
                            report::output_latents(store));
  if (o.json) {
    nlohmann::json json = summary.to_json();
    json["negatives"] = report::negatives_json(store);
    json["calibration"] = report::calibration_json(store);
    context.out << json.dump(2) << "\n";
    return;
  }
  for (const std::string& warning : summary.warnings()) context.reporter.warn(warning);
  for (const report::ScorerSummary& row : summary.all) context.out << summary_line(row) << "\n";
  std::string_view group;
  for (const report::ScorerSummary& row : summary.by_group) {
    if (row.group != group) context.out << row.group << "\n";
    group = row.group;
    context.out << "  " << summary_line(row) << "\n";
  }
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

/// What of the flags makes a scorer's scores those of another method: those that stopped early, or were asked about
/// other windows, are not mixed with those that were not. "" by default.
std::string way_of_asking(const ScoreCommand& o, score::Scorer scorer) {
  const score::QuestionOptions usual;
  const score::QuestionOptions& a = o.asking;
  if (scorer == score::Scorer::simulation) {
    const bool same = a.simulated == usual.simulated && a.simulated_windows == usual.simulated_windows;
    return same ? "" : fmt::format(" simulated {} {}", static_cast<int>(a.simulated), a.simulated_windows);
  }
  std::string way = o.until_width > 0 ? fmt::format(" until {}", o.until_width) : "";
  if (a.detection_per_quantile != usual.detection_per_quantile ||
      a.fuzz_right_per_quantile != usual.fuzz_right_per_quantile ||
      a.fuzz_wrong_per_quantile != usual.fuzz_wrong_per_quantile)
    way += fmt::format(" windows {} {} {}", a.detection_per_quantile, a.fuzz_right_per_quantile,
                       a.fuzz_wrong_per_quantile);
  return way;
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
  if (take_batch(o.judging.llm, store, "score", context.reporter)) return kDone;
  const ExampleSettings settings = settle_example_settings(store, run);
  check_fuzz(fuzz, settings);
  const std::string explainer = explainer_of(o, store, run);
  save_settings(run, "score", cli);
  shuffled_count(o, false);  // a bad value fails before any work
  JudgeOptions judging = o.judging;
  if (judging.embedder.empty()) judging.embedder = settings.embedding_model;
  Judges judges(judging, scorers, store.explanations("", explainer), data, store, o.common, context.reporter);
  judges.keep_methods(
      scorers, store, [&](score::Scorer scorer) { return way_of_asking(o, scorer); }, o.redo);
  std::uint64_t failed = 0, asked = 0, available = 0;
  for (const std::string& hookpoint : run.select_hookpoints(o.hookpoints)) {
    Scoring s{o,  data, store, judges, hookpoint, scorers, settings,        data.index(hookpoint),
              {}, {},   {},    0,      0,         0,       context.reporter};
    store.set_stage("score", hookpoint);
    store.keep_prompts(!o.judging.llm.no_prompts);
    judges.select(hookpoint);
    collect_items(s, explainer, spec);
    for (const TaskGroup& group : open_tasks(s)) score_group(s, group);
    failed += s.failed_judgements;
    asked += s.asked;
    available += s.available;
  }
  if (judges.model() != nullptr && finish_batch(o.judging.llm, *judges.model(), context.reporter)) return kDone;
  if (available > 0)
    context.reporter.info(
        fmt::format("stopped early: {} of {} judgements asked ({:.0f} %), for intervals narrower than {}", asked,
                    available, 100.0 * static_cast<double>(asked) / static_cast<double>(available), o.until_width));
  if (judges.model() != nullptr) {
    context.reporter.info(describe(judges.model()->totals()));
    for (const std::string& line : commonest_reasons(judges.model()->totals())) context.reporter.info(line);
    for (const std::string& line : describe_costs(store)) context.reporter.info(line);
  }
  print_summary(o, store, context);
  return failed > 0 ? kSomeFailed : kDone;
}

void add_choices(CLI::App& cli, score::QuestionOptions& asking) {
  cli.add_option("--intruder-windows", asking.intruder_beside, "activating windows that an intruder is put among")
      ->check(CLI::Range(2, 20));
  cli.add_option("--intruders", asking.intruder_per_quantile, "questions of intruder for each quantile")
      ->check(CLI::Range(1, 1000));
  cli.add_option("--choice-windows", asking.choice_windows, "windows shown by forced-choice")->check(CLI::Range(1, 20));
  cli.add_option("--detection-windows", asking.detection_per_quantile,
                 "activating windows of each quantile that detection asks about, as far as the run has them")
      ->check(CLI::Range(1, 1000));
  cli.add_option("--fuzz-right", asking.fuzz_right_per_quantile, "windows of each quantile that fuzz marks rightly")
      ->check(CLI::Range(1, 1000));
  cli.add_option("--fuzz-wrong", asking.fuzz_wrong_per_quantile, "... and wrongly")->check(CLI::Range(1, 1000));
  const std::map<std::string, score::QuestionOptions::Simulated> kinds = {
      {"top-and-random", score::QuestionOptions::Simulated::top_and_random},
      {"random", score::QuestionOptions::Simulated::random},
      {"quantiles", score::QuestionOptions::Simulated::quantiles}};
  cli.add_option("--simulate", asking.simulated,
                 "windows of simulation: top-and-random (the strongest and silent ones), random (silent ones), "
                 "quantiles (as many of each)")
      ->transform(CLI::CheckedTransformer(kinds))
      ->default_str("top-and-random");
  cli.add_option("--simulate-windows", asking.simulated_windows, "of each of these")->check(CLI::Range(1, 100));
  cli.add_option("--rivals", asking.choice_rivals, "wrong explanations shown by forced-choice")
      ->check(CLI::Range(1, 20));
}

}  // namespace

Runner setup_score(CLI::App& cli) {
  auto o = std::make_shared<ScoreCommand>();
  cli.add_option("run", o->run, "run folder with explanations")->required();
  cli.add_option(
      "--scorer", o->scorers,
      "detection: does the latent fire in this window? fuzz: are the right tokens of this window marked? "
      "neighbours: detection against windows of similar latents; intruder: which of five windows does not "
      "belong? forced-choice: which of four explanations fits? embedding: how near in meaning are "
      "explanation and window? surprisal: by how much does the explanation lower a model's loss? generation: "
      "does the latent fire in texts written from the explanation? intervention: does the explanation fit what "
      "the model writes when the latent is turned up? simulation: how "
      "strongly does it fire on each token?");
  add_choices(cli, o->asking);
  cli.add_option("--fuzz-shape", o->fuzz_shape,
                 "wrong marks of fuzz: scattered, or matched (in runs as long as those of the right ones)");
  cli.add_option("--fuzz-negatives", o->fuzz_negatives,
                 "windows that fuzz marks wrongly: own (the latent's), silent ones, or neighbours' marked where the "
                 "neighbour fires (of runs explained with --negatives neighbours or mixed)");
  cli.add_option("--explainer", o->explainer, "whose explanations; needed when the run has several");
  cli.add_option("--judge", o->judging.judge,
                 "pattern executes pattern explanations, llm asks a language model, auto takes what fits");
  cli.add_option("--hookpoint", o->hookpoints, "hookpoint; all of the run by default");
  cli.add_option("--latents", o->latents, fmt::format("those explained of these: {}", kLatentsHelp));
  cli.add_option(
      "--shuffled", o->shuffled,
      "latents that are also judged with another's explanation, the baseline at 0.5: a number, all, none; auto = "
      "all for the pattern judge, 100 for a language model");
  add_llm(cli, o->judging.llm);
  cli.add_option("--texts", o->judging.texts, "texts that generation has written for an explanation")
      ->check(CLI::Range(1, 100));
  add_subject(cli, o->judging.subject);
  cli.add_option("--embedder", o->judging.embedder,
                 "folder of the sentence encoder of embedding, a BERT such as all-MiniLM-L6-v2, or URL#MODEL of an "
                 "endpoint that speaks as OpenAI's /embeddings; by default the one the run was explained with");
  cli.add_option("--query-prefix", o->judging.query_prefix,
                 "text in front of explanations, for encoders trained with one");
  cli.add_option("--prompts", o->judging.prompts, "folder whose prompt files replace the built-in ones");
  cli.add_option("--per-prompt", o->judging.per_prompt,
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
  return [o, &cli](Context& context) {
    return as_job(o->run, "score", context, [&](Context& c) { return score_command(*o, cli, c); });
  };
}

}  // namespace gloss::app
