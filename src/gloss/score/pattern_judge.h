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
/// Source: docs/methods.md 13.
Judgement judge_prediction(Scorer scorer, const Question& question, std::span<const float> levels);

/// Answers from within submit(). Threads: one at a time.
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
  explain::Vocabulary vocabulary_;
  text::TokenFile tokens_;
};

}  // namespace gloss::score
