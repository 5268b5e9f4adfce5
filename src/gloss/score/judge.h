#pragma once
/// Scorers ask, judges answer. A scorer turns a latent's test windows into questions; a judge says yes or no to each.
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/examples/examples.h"
#include "gloss/explain/explanation.h"
#include "gloss/score/judgement.h"

namespace gloss::score {

/// "detection", "fuzz", and fuzz with other wrong marks: "fuzz-matched", "fuzz-silent", "fuzz-silent-matched",
/// "fuzz-neighbours"; "neighbours", detection against windows of neighbours; "intruder" and "forced-choice", questions
/// with several answers of which one is right; "embedding" and "surprisal", numbers that rank detection's windows;
/// "generation" and "intervention", which run the subject model; "simulation", a level for each token.
enum class Scorer : std::uint8_t {
  detection,
  fuzz,
  fuzz_matched,
  fuzz_silent,
  fuzz_silent_matched,
  fuzz_neighbours,
  neighbours,
  intruder,
  forced_choice,
  embedding,
  surprisal,
  generation,
  intervention,
  simulation
};
std::string_view name_of(Scorer scorer);
/// Errors: usage, unknown scorer (lists the known and the nearest).
Scorer parse_scorer(std::string_view name);

/// Of several answers one is right: the score is a share of questions answered rightly, beside chance.
bool is_choice(Scorer scorer);
/// The score is how well a number ranks activating above silent windows: the AUC.
bool is_ranking(Scorer scorer);
/// It asks of no windows: the subject model is run, on texts made for it or with its activations changed.
bool is_experiment(Scorer scorer);
/// The score is the balanced accuracy of yes and no: of none of the others, and not of simulation.
bool is_balanced(Scorer scorer);
/// The one number of a score that says how right an explanation is, by the scorer's name: accuracy of choices, the AUC
/// of rankings, the share of written texts in which the latent fires, the gain of steering, the correlation of
/// simulation, else balanced accuracy.
struct Headline {
  std::string_view
      name;        // "balanced accuracy", "accuracy", "AUC", "texts that fire", "gain in nats a token", "correlation"
  Interval value;  // bounds NaN where it has no interval
  double chance = 0.5;  // what guessing gives; of generation: the share in which others of the same density fire
};
Headline headline(std::string_view scorer, const LatentScore& score);
/// Puts that number where headline() finds it; generation's chance stays with the counts.
void set_headline(std::string_view scorer, LatentScore& score, const Interval& value);
/// Whether a judgement's probability is that of yes: not of choices, where it is that of the right answer, of rankings
/// of experiments or simulation.
bool has_probabilities(std::string_view scorer);

/// The silent windows must be those of neighbours, whichever the run's are.
bool wants_neighbours(Scorer scorer);

/// How fuzz's wrong marks lie, and which windows carry them (docs/methods.md 6).
struct FuzzKind {
  bool matched = false;                                      // in runs as long as those of right marks
  enum class In : std::uint8_t { own, silent, neighbours };  // the latent's test windows, its silent ones, neighbours'
  In in = In::own;
};
/// Of a scorer named fuzz.
FuzzKind fuzz_kind(Scorer scorer);
/// The scorer named fuzz with `shape` "scattered" or "matched" and `negatives` "own", "silent" or "neighbours".
/// Errors: usage, unknown names (lists the known), or matched with neighbours, whose marks are where they fire.
Scorer fuzz_scorer(std::string_view shape, std::string_view negatives);

/// A window with marks, as a judge sees it. Shapes: marked [W].
struct Shown {
  examples::Window window;
  std::vector<bool> marked;
};

/// "Does this window fit the explanation?" `marked` [W] is shown by fuzz; detection shows no marks (all false).
/// Questions with several answers (is_choice) show windows beside this one; truth is true, and a judge says yes when it
/// gives the right answer.
struct Question {
  examples::Window window;
  std::vector<bool> marked;
  bool truth = false;
  std::vector<Shown> beside = {};                 // intruder: the others, the intruder last; forced-choice: the others
  std::vector<explain::Explanation> rivals = {};  // forced-choice: of other latents
  std::size_t place = 0;                          // of the right answer among those shown
};

/// detection: per quantile the first 5 (options) activating test windows, and all silent test windows; truth =
/// activates. fuzz: per quantile 5 windows marked correctly and 2 wrongly (a shortage keeps the ratio, see
/// docs/methods.md 6); wrong marks are N silent tokens of the window, N = mean number of marked tokens over the test
/// windows. Its variants: runs of silent tokens as long as the window's right ones (matched); wrong marks in silent
/// test windows, or on the neighbours' firings in theirs, of which as many as there would be of its own. Questions come
/// in an order random in (seed, hookpoint, latent). Deterministic.
/// neighbours, embedding, surprisal: as detection, neighbours with neighbours' silent windows alone.
/// intruder: per quantile 5 times 4 activating test windows and a silent one with N marks at random, each silent
/// window once; a quantile's windows take turns. forced-choice: per quantile its first 5 test windows, marked; rivals
/// are for add_rivals(). simulation: the 5 strongest test windows and 5 random silent ones.
struct QuestionOptions {
  std::uint32_t detection_per_quantile = 5, fuzz_right_per_quantile = 5, fuzz_wrong_per_quantile = 2;
  std::uint32_t intruder_per_quantile = 5, intruder_beside = 4;  // questions; activating windows in each
  std::uint32_t choice_windows = 5, choice_rivals = 3;           // windows and wrong explanations of a question
  /// Which windows simulation is asked about, and how many of each kind: the strongest and silent ones, silent ones
  /// alone, or as many of every quantile.
  enum class Simulated : std::uint8_t { top_and_random, random, quantiles };
  Simulated simulated = Simulated::top_and_random;
  std::uint32_t simulated_windows = 5;
  std::uint32_t quantiles = 10;
  float tau = 0.3F;
  std::uint64_t seed = 1;
};
std::vector<Question> make_questions(Scorer scorer, std::string_view hookpoint,
                                     const examples::LatentExamples& examples, const QuestionOptions& options);

/// Answers are values: what a judge cannot answer is Verdict::failed.
class Judge {
 public:
  virtual ~Judge() = default;
  using Done = std::function<void(std::vector<Judgement>)>;  // in the order of the questions
  /// May answer at once, or from within run(). Requires: explanation.ok().
  virtual void submit(Scorer scorer, const explain::Explanation& explanation, std::vector<Question> questions,
                      Done done) = 0;
  /// Works until everything submitted is answered.
  virtual void run() = 0;
  virtual std::string name() const = 0;  // "pattern", "llm:MODEL"
};

}  // namespace gloss::score
