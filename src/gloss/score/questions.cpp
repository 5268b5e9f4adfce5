#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <span>
#include <string>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/base/random.h"
#include "gloss/score/choice_questions.h"
#include "gloss/score/fuzz_marks.h"
#include "gloss/score/intervention.h"
#include "gloss/score/judge.h"
#include "gloss/score/simulation.h"

namespace gloss::score {
namespace {

using examples::LatentExamples;
using examples::Window;

using Questions = std::vector<Question>;

Questions detection_questions(Scorer, std::string_view, const LatentExamples&, const QuestionOptions&);
Questions fuzz_questions(Scorer, std::string_view, const LatentExamples&, const QuestionOptions&);
Questions simulation_questions(Scorer, std::string_view, const LatentExamples&, const QuestionOptions&);
Questions no_questions(Scorer, std::string_view, const LatentExamples&, const QuestionOptions&) { return {}; }

/// A scorer: its name, what it asks, and what its answers are.
struct Row {
  std::string_view name;
  Questions (*make)(Scorer, std::string_view, const LatentExamples&, const QuestionOptions&);
  bool choice = false, ranking = false, neighbours = false, experiment = false, simulation = false;
  double chance = 0.5;  // of guessing, with the options that are the default
};
constexpr std::array kRows{
    Row{"detection", detection_questions},
    Row{"fuzz", fuzz_questions},
    Row{"fuzz-matched", fuzz_questions},
    Row{"fuzz-silent", fuzz_questions},
    Row{"fuzz-silent-matched", fuzz_questions},
    Row{"fuzz-neighbours", fuzz_questions},
    Row{.name = "neighbours", .make = detection_questions, .neighbours = true},
    Row{.name = "intruder", .make = intruder_questions, .choice = true, .chance = 0.2},
    Row{.name = "forced-choice", .make = forced_choice_questions, .choice = true, .chance = 0.25},
    Row{.name = "embedding", .make = detection_questions, .ranking = true},
    Row{.name = "surprisal", .make = detection_questions, .ranking = true},
    Row{.name = "generation", .make = no_questions, .experiment = true},
    Row{.name = "intervention", .make = no_questions, .experiment = true, .chance = 0.0},
    Row{.name = "simulation", .make = simulation_questions, .simulation = true, .chance = 0.0},
};
const Row& row_of(Scorer scorer) { return kRows[static_cast<std::size_t>(scorer)]; }
const Row* find_row(std::string_view name) {
  const auto* const row = std::find_if(kRows.begin(), kRows.end(), [&](const Row& r) { return r.name == name; });
  return row == kRows.end() ? nullptr : &*row;
}

constexpr std::array<std::string_view, 2> kShapes{"scattered", "matched"};
constexpr std::array<std::string_view, 3> kIn{"own", "silent", "neighbours"};

Questions detection_questions(Scorer scorer, std::string_view, const LatentExamples& examples,
                              const QuestionOptions& options) {
  std::vector<Question> questions;
  const auto ask = [&](const Window& w, bool truth) {
    questions.push_back({w, std::vector<bool>(w.activation.size(), false), truth});
  };
  for (std::uint32_t q = 1; q <= options.quantiles; ++q) {
    const std::vector<const Window*> windows = windows_of(examples, q);
    const std::size_t count = std::min<std::size_t>(windows.size(), options.detection_per_quantile);
    for (std::size_t i = 0; i < count; ++i) ask(*windows[i], true);
  }
  if (wants_neighbours(scorer)) {
    for (const Window& w : examples.test_neighbours) ask(w, false);
  }
  for (const Window& w : examples.test_silent) {
    if (!wants_neighbours(scorer) || w.kind == examples::WindowKind::silent_neighbour) ask(w, false);
  }
  return questions;
}

Questions simulation_questions(Scorer, std::string_view, const LatentExamples& examples,
                               const QuestionOptions& options) {
  using Simulated = QuestionOptions::Simulated;
  std::vector<const Window*> chosen;
  const auto take = [&](std::vector<const Window*> windows, std::size_t count) {
    windows.resize(std::min(windows.size(), count));
    chosen.insert(chosen.end(), windows.begin(), windows.end());
  };
  const std::size_t count = options.simulated_windows;
  if (options.simulated == Simulated::top_and_random) {
    std::vector<const Window*> strongest;
    for (const Window& w : examples.test) strongest.push_back(&w);
    std::sort(strongest.begin(), strongest.end(), [](const Window* a, const Window* b) {
      return std::pair(-a->max, a->start) < std::pair(-b->max, b->start);
    });
    take(std::move(strongest), count);
  }
  for (std::uint32_t q = 1; q <= options.quantiles && options.simulated == Simulated::quantiles; ++q)
    take(windows_of(examples, q), count);
  if (options.simulated != Simulated::quantiles) {
    std::vector<const Window*> silent;
    for (const Window& w : examples.test_silent) {
      if (w.kind == examples::WindowKind::silent_random) silent.push_back(&w);
    }
    take(std::move(silent), options.simulated == Simulated::random ? 2 * count : count);
  }
  std::vector<Question> questions;
  questions.reserve(chosen.size());
  for (const Window* w : chosen)
    questions.push_back(
        {*w, std::vector<bool>(w->activation.size(), false), w->kind == examples::WindowKind::activating});
  return questions;
}

bool has_silent_token(const Window& w) {
  return std::any_of(w.activation.begin(), w.activation.end(), [](float a) { return !(a > 0.0F); });
}

/// Asks about the windows of one latent, some of them marked wrongly.
class FuzzQuestions {
 public:
  FuzzQuestions(FuzzKind kind, std::string_view hookpoint, const LatentExamples& examples,
                const QuestionOptions& options)
      : kind_(kind),
        hookpoint_(hookpoint),
        examples_(examples),
        options_(options),
        marks_(mean_marked(examples, options.tau)) {}

  std::vector<Question> make() {
    for (std::uint32_t q = 1; q <= options_.quantiles; ++q) ask_quantile(windows_of(examples_, q));
    if (kind_.in != FuzzKind::In::own) ask_silent();
    return std::move(questions_);
  }

 private:
  void ask_quantile(std::vector<const Window*> windows);
  void ask_silent();
  /// Which tokens depends on (seed, hookpoint, latent, window) alone.
  Random random_for(const Window& w) const {
    return Random::for_latent(options_.seed, hookpoint_, examples_.latent, "fuzz-marks", w.start);
  }
  std::vector<bool> wrong_marks(const Window& w, const std::vector<bool>& like) const {
    return kind_.matched ? matched_marks(w, run_lengths(like), random_for(w))
                         : scattered_marks(w, marks_, random_for(w));
  }

  FuzzKind kind_;
  std::string_view hookpoint_;
  const LatentExamples& examples_;
  const QuestionOptions& options_;
  std::size_t marks_;
  std::vector<Question> questions_;
};

/// How many of `found` windows are marked wrongly: the wanted number, or their share of a shortage, to nearest.
std::size_t wrong_count(std::size_t found, const QuestionOptions& options) {
  const std::size_t wanted = std::size_t{options.fuzz_right_per_quantile} + options.fuzz_wrong_per_quantile;
  if (wanted == 0 || found >= wanted) return options.fuzz_wrong_per_quantile;
  return (2 * found * options.fuzz_wrong_per_quantile + wanted) / (2 * wanted);
}

void FuzzQuestions::ask_quantile(std::vector<const Window*> windows) {
  const std::size_t most = std::size_t{options_.fuzz_right_per_quantile} + options_.fuzz_wrong_per_quantile;
  windows.resize(std::min(windows.size(), most));
  std::size_t wrong = wrong_count(windows.size(), options_);
  std::size_t right = windows.size() - wrong;
  if (kind_.in != FuzzKind::In::own) wrong = 0;
  // From the end, so that the first windows are marked rightly; a window that fires everywhere cannot be marked
  // wrongly.
  for (std::size_t i = windows.size(); i-- > 0;) {
    const Window& w = *windows[i];
    if (wrong > 0 && has_silent_token(w)) {
      questions_.push_back({w, wrong_marks(w, right_marks(w, options_.tau)), false});
      --wrong;
    } else if (right > 0) {
      questions_.push_back({w, right_marks(w, options_.tau), true});
      --right;
    }
  }
}

/// As many as all quantiles together would have of their own. Marks in runs are like those of a test window each.
void FuzzQuestions::ask_silent() {
  std::size_t left = std::size_t{options_.quantiles} * options_.fuzz_wrong_per_quantile;
  for (std::size_t i = 0; i < examples_.test_silent.size() && left > 0; ++i) {
    const Window& w = examples_.test_silent[i];
    const bool of_neighbour = w.kind == examples::WindowKind::silent_neighbour;
    if (kind_.in == FuzzKind::In::neighbours && !of_neighbour) continue;
    std::vector<bool> like;
    if (kind_.matched && !examples_.test.empty())
      like = right_marks(examples_.test[i % examples_.test.size()], options_.tau);
    questions_.push_back(
        {w, kind_.in == FuzzKind::In::neighbours ? neighbour_marks(w, options_.tau) : wrong_marks(w, like), false});
    --left;
  }
}

Questions fuzz_questions(Scorer scorer, std::string_view hookpoint, const LatentExamples& examples,
                         const QuestionOptions& options) {
  return FuzzQuestions(fuzz_kind(scorer), hookpoint, examples, options).make();
}

}  // namespace

std::string_view name_of(Scorer scorer) { return row_of(scorer).name; }
bool is_choice(Scorer scorer) { return row_of(scorer).choice; }
bool is_ranking(Scorer scorer) { return row_of(scorer).ranking; }
bool is_experiment(Scorer scorer) { return row_of(scorer).experiment; }

bool is_balanced(Scorer scorer) {
  const Row& row = row_of(scorer);
  return !row.choice && !row.ranking && !row.experiment && !row.simulation;
}

namespace {
/// NaN where the score has none of this name.
Interval measure_of(const LatentScore& score, std::string_view name) {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  const auto found =
      std::find_if(score.measures.begin(), score.measures.end(), [&](const Measure& m) { return m.name == name; });
  return found == score.measures.end() ? Interval{kNone, kNone, kNone} : found->value;
}
}  // namespace

Headline headline(std::string_view scorer, const LatentScore& score) {
  const Row* row = find_row(scorer);
  if (row != nullptr && row->choice) return {"accuracy", score.recall, row->chance};
  if (row != nullptr && row->ranking) return {"AUC", {score.auc, std::nan(""), std::nan("")}};
  if (row == &row_of(Scorer::generation)) return {"texts that fire", score.recall, 1.0 - score.specificity.value};
  if (row == &row_of(Scorer::intervention)) return {"gain in nats a token", measure_of(score, kGain), 0.0};
  if (row == &row_of(Scorer::simulation)) return {"correlation", measure_of(score, kCorrelation), 0.0};
  return {"balanced accuracy", score.balanced_accuracy};
}

void set_headline(std::string_view scorer, LatentScore& score, const Interval& value) {
  const Row* row = find_row(scorer);
  const auto set_measure = [&](std::string_view name) {
    std::erase_if(score.measures, [&](const Measure& m) { return m.name == name; });
    if (!std::isnan(value.value)) score.measures.push_back({std::string(name), value});
  };
  if (row != nullptr && row->ranking) {
    score.auc = value.value;
  } else if (row != nullptr && (row->choice || row == &row_of(Scorer::generation))) {
    score.recall = value;
  } else if (row == &row_of(Scorer::intervention)) {
    set_measure(kGain);
  } else if (row == &row_of(Scorer::simulation)) {
    set_measure(kCorrelation);
  } else {
    score.balanced_accuracy = value;
  }
}

bool has_probabilities(std::string_view scorer) {
  const Row* row = find_row(scorer);
  return row == nullptr || is_balanced(static_cast<Scorer>(row - kRows.data()));
}

bool wants_neighbours(Scorer scorer) { return row_of(scorer).neighbours; }

Scorer parse_scorer(std::string_view name) {
  std::vector<std::string> known;
  for (std::size_t i = 0; i < kRows.size(); ++i) {
    if (kRows[i].name == name) return static_cast<Scorer>(i);
    known.emplace_back(kRows[i].name);
  }
  fail_unknown_name("scorer", name, known);
}

FuzzKind fuzz_kind(Scorer scorer) {
  FuzzKind kind;
  kind.matched = scorer == Scorer::fuzz_matched || scorer == Scorer::fuzz_silent_matched;
  if (scorer == Scorer::fuzz_silent || scorer == Scorer::fuzz_silent_matched) kind.in = FuzzKind::In::silent;
  if (scorer == Scorer::fuzz_neighbours) kind.in = FuzzKind::In::neighbours;
  return kind;
}

Scorer fuzz_scorer(std::string_view shape, std::string_view negatives) {
  const auto check = [](std::string_view what, std::string_view name, std::span<const std::string_view> names) {
    const std::vector<std::string> known(names.begin(), names.end());
    if (std::find(names.begin(), names.end(), name) == names.end()) fail_unknown_name(what, name, known);
  };
  check("shape of wrong marks", shape, kShapes);
  check("windows of wrong marks", negatives, kIn);
  const bool matched = shape == "matched";
  if (negatives == "own") return matched ? Scorer::fuzz_matched : Scorer::fuzz;
  if (negatives == "silent") return matched ? Scorer::fuzz_silent_matched : Scorer::fuzz_silent;
  if (matched)
    throw Error(ErrorKind::usage, "", "--fuzz-shape matched says nothing of --fuzz-negatives neighbours",
                "a neighbour's window is marked where the neighbour fires: leave --fuzz-shape out");
  return Scorer::fuzz_neighbours;
}

std::vector<Question> make_questions(Scorer scorer, std::string_view hookpoint, const LatentExamples& examples,
                                     const QuestionOptions& options) {
  std::vector<Question> questions = row_of(scorer).make(scorer, hookpoint, examples, options);
  Random random = Random::for_latent(options.seed, hookpoint, examples.latent, "question-order",
                                     static_cast<std::uint64_t>(scorer));
  random.shuffle(std::span(questions));
  return questions;
}

}  // namespace gloss::score
