#include "gloss/score/pattern_judge.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/examples/token_window.h"

namespace gloss::score {
namespace {

constexpr double kEnoughAgreement = 0.5;

/// F1 of predicted and marked tokens; 0 when there are neither.
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

}  // namespace

Judgement judge_prediction(Scorer scorer, const Question& question, std::span<const float> levels) {
  Judgement judgement;
  judgement.start = question.window.start;
  judgement.kind = question.window.kind;
  judgement.quantile = question.window.quantile;
  judgement.truth = question.truth;
  bool yes = false;
  if (scorer == Scorer::detection) {
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
    const std::size_t width = question.window.activation.size();
    if (width > tokens_.token_count() || question.window.start > tokens_.token_count() - width) {
      fail_input("window",
                 fmt::format("begins at token {} and has {}, the run has {} tokens", question.window.start, width,
                             tokens_.token_count()),
                 "the windows and the token file are of different runs");
    }
    judgements.push_back(
        judge_prediction(scorer, question, program.predict(examples::window_tokens(tokens_, question.window))));
  }
  done(std::move(judgements));
}

}  // namespace gloss::score
