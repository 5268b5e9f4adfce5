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

enum class Scorer : std::uint8_t { detection, fuzz };
std::string_view name_of(Scorer scorer);
/// Errors: usage, unknown scorer (lists the known and the nearest).
Scorer parse_scorer(std::string_view name);

/// "Does this window fit the explanation?" `marked` [W] is shown by fuzz; detection shows no marks (all false).
struct Question {
  examples::Window window;
  std::vector<bool> marked;
  bool truth = false;
};

/// detection: per quantile the first 5 (options) activating test windows, and all silent test windows; truth =
/// activates. fuzz: per quantile 5 windows marked correctly and 2 wrongly (a shortage keeps the ratio, see
/// docs/methods.md 6); wrong marks are N silent tokens of the window, N = mean number of marked tokens over the test
/// windows. Questions come in an order random in (seed, hookpoint, latent). Deterministic.
struct QuestionOptions {
  std::uint32_t detection_per_quantile = 5, fuzz_right_per_quantile = 5, fuzz_wrong_per_quantile = 2;
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
