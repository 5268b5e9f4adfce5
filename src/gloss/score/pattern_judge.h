#pragma once
/// Judges by executing: a pattern says at which tokens the latent should fire; no model is asked.
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "gloss/explain/pattern.h"
#include "gloss/score/judge.h"
#include "gloss/text/token_file.h"

namespace gloss::score {

/// What a prediction says to one question. Shapes: levels [W], 0 = not predicted.
/// detection: yes if any token is predicted; probability = the largest level.
/// fuzz: yes if F1 of predicted and shown marks is at least 0.5; probability = that F1.
/// Source: docs/methods.md 8.
Judgement judge_prediction(Scorer scorer, const Question& question, std::span<const float> levels);

/// How well a prediction agrees with marks: their F1, 0 when there are neither. Shapes: levels, marked [W].
double agreement(std::span<const float> levels, const std::vector<bool>& marked);
/// Log-likelihood of marks when a predicted token is marked with probability 0.9 and another one with 0.01 (ours).
/// Shapes: levels, marked [W].
double log_likelihood(std::span<const float> levels, const std::vector<bool>& marked);

/// Answers from within submit(). intruder: the window whose marks agree least with the prediction. forced-choice: the
/// explanation under which the marks are most likely; the judgement's probability is that of the right one given that
/// it is one of them. Ties are broken at random, by the question. Embedding and surprisal are not for this judge.
/// Threads: one at a time.
class PatternJudge : public Judge {
 public:
  /// Both are handles, kept as copies.
  PatternJudge(explain::Vocabulary vocabulary, text::TokenFile tokens);

  /// Errors: usage for an explanation in prose; bad_input for a program or a window that does not belong to this run.
  void submit(Scorer scorer, const explain::Explanation& explanation, std::vector<Question> questions,
              Done done) override;
  void run() override {}
  std::string name() const override { return "pattern"; }

 private:
  std::vector<float> predict(const explain::PatternProgram& program, const examples::Window& window) const;
  Judgement choose(Scorer scorer, const explain::Explanation& explanation, const Question& question) const;

  explain::Vocabulary vocabulary_;
  text::TokenFile tokens_;
};

}  // namespace gloss::score
