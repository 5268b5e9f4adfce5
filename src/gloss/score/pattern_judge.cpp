#include "gloss/score/pattern_judge.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/base/random.h"
#include "gloss/examples/token_window.h"
#include "gloss/score/choice_questions.h"
#include "gloss/score/simulation.h"

namespace gloss::score {
namespace {

constexpr double kEnoughAgreement = 0.5;
constexpr double kMarkedIfPredicted = 0.9, kMarkedOtherwise = 0.01;

}  // namespace

double agreement(std::span<const float> levels, const std::vector<bool>& marked) {
  std::size_t both = 0;
  std::size_t sum = 0;
  for (std::size_t i = 0; i < std::min(levels.size(), marked.size()); ++i) {
    const bool predicted = levels[i] > 0.0F;
    both += predicted && marked[i] ? 1 : 0;
    sum += (predicted ? 1U : 0U) + (marked[i] ? 1U : 0U);
  }
  return sum == 0 ? 0.0 : 2.0 * static_cast<double>(both) / static_cast<double>(sum);
}

double log_likelihood(std::span<const float> levels, const std::vector<bool>& marked) {
  double sum = 0.0;
  for (std::size_t i = 0; i < std::min(levels.size(), marked.size()); ++i) {
    const double p = levels[i] > 0.0F ? kMarkedIfPredicted : kMarkedOtherwise;
    sum += std::log(marked[i] ? p : 1.0 - p);
  }
  return sum;
}

Judgement judge_prediction(Scorer scorer, const Question& question, std::span<const float> levels) {
  Judgement judgement;
  judgement.start = question.window.start;
  judgement.kind = question.window.kind;
  judgement.quantile = question.window.quantile;
  judgement.truth = question.truth;
  bool yes = false;
  if (scorer == Scorer::detection || scorer == Scorer::neighbours) {
    float largest = 0.0F;
    for (const float level : levels) largest = std::max(largest, level);
    yes = largest > 0.0F;
    judgement.probability = largest;
  } else {
    const double f1 = agreement(levels, question.marked);
    yes = f1 >= kEnoughAgreement;
    judgement.probability = static_cast<float>(f1);
  }
  judgement.verdict = yes ? Verdict::yes : Verdict::no;
  return judgement;
}

PatternJudge::PatternJudge(explain::Vocabulary vocabulary, text::TokenFile tokens)
    : vocabulary_(std::move(vocabulary)), tokens_(std::move(tokens)) {}

void PatternJudge::submit(Scorer scorer, const explain::Explanation& explanation, std::vector<Question> questions,
                          Done done) {
  if (explanation.program.empty()) {
    throw Error(ErrorKind::usage, "--judge pattern",
                fmt::format("works for pattern explanations only; the explanation of latent {} is prose",
                            to_index(explanation.latent)),
                "prose needs a language model as its judge: --judge llm with --llm URL");
  }
  const auto program = explain::PatternProgram::parse(vocabulary_, explanation.program);
  std::vector<Judgement> judgements;
  judgements.reserve(questions.size());
  for (const Question& question : questions) {
    if (scorer == Scorer::simulation) {
      std::vector<float> levels = predict(program, question.window);
      for (float& level : levels) level *= kHighestLevel;
      judgements.push_back(simulated(question, std::move(levels)));
      continue;
    }
    judgements.push_back(is_choice(scorer) ? choose(scorer, explanation, question)
                                           : judge_prediction(scorer, question, predict(program, question.window)));
  }
  done(std::move(judgements));
}

std::vector<float> PatternJudge::predict(const explain::PatternProgram& program, const examples::Window& window) const {
  const std::size_t width = window.activation.size();
  if (width > tokens_.token_count() || window.start > tokens_.token_count() - width) {
    fail_input(
        "window",
        fmt::format("begins at token {} and has {}, the run has {} tokens", window.start, width, tokens_.token_count()),
        "the windows and the token file are of different runs");
  }
  return program.predict(examples::window_tokens(tokens_, window));
}

Judgement PatternJudge::choose(Scorer scorer, const explain::Explanation& explanation, const Question& question) const {
  const std::vector<const examples::Window*> windows = windows_shown(scorer, question);
  const std::vector<const std::vector<bool>*> marks = marks_shown(scorer, question);
  std::vector<double> weight;  // of each answer; the largest is chosen
  if (scorer == Scorer::intruder) {
    const auto program = explain::PatternProgram::parse(vocabulary_, explanation.program);
    for (std::size_t i = 0; i < windows.size(); ++i)
      weight.push_back(-agreement(predict(program, *windows[i]), *marks[i]));
  } else {
    for (const explain::Explanation* e : explanations_shown(question, explanation)) {
      const auto program = explain::PatternProgram::parse(vocabulary_, e->program);
      weight.push_back(0.0);
      for (std::size_t i = 0; i < windows.size(); ++i)
        weight.back() += log_likelihood(predict(program, *windows[i]), *marks[i]);
    }
  }
  const double best = *std::max_element(weight.begin(), weight.end());
  std::vector<std::size_t> equal;
  for (std::size_t i = 0; i < weight.size(); ++i) {
    if (weight[i] == best) equal.push_back(i);
  }
  Random random = Random::for_latent(0, name_of(scorer), explanation.latent, "equal answers", question.window.start);
  Judgement judgement;
  judgement.start = question.window.start;
  judgement.kind = question.window.kind;
  judgement.quantile = question.window.quantile;
  judgement.truth = question.truth;
  judgement.verdict = equal[random.below(equal.size())] == question.place ? Verdict::yes : Verdict::no;
  if (scorer == Scorer::forced_choice) {
    double sum = 0.0;
    for (const double w : weight) sum += std::exp(w - best);
    judgement.probability = static_cast<float>(std::exp(weight[question.place] - best) / sum);
  }
  return judgement;
}

}  // namespace gloss::score
