#pragma once
/// For tests: a judge whose faults are known.
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "gloss/base/random.h"
#include "gloss/score/judge.h"

namespace gloss::score {

/// Says yes with a probability that a rule gives for each question; the same answer to the same window of a latent.
class ScriptedJudge : public Judge {
 public:
  using Rule = std::function<double(const explain::Explanation&, const Question&)>;
  ScriptedJudge(std::uint64_t seed, Rule rule) : seed_(seed), rule_(std::move(rule)) {}

  /// Right with probability `sensitivity` where the right answer is yes, with `specificity` where it is no.
  static ScriptedJudge of_rates(std::uint64_t seed, double sensitivity, double specificity) {
    return {seed,
            [=](const explain::Explanation&, const Question& q) { return q.truth ? sensitivity : 1 - specificity; }};
  }

  void submit(Scorer scorer, const explain::Explanation& explanation, std::vector<Question> questions,
              Done done) override {
    std::vector<Judgement> judgements;
    for (const Question& q : questions) {
      // A window's number and mark tell detection's questions from fuzz's.
      Random random = Random::for_latent(seed_, name_of(scorer), explanation.latent, "scripted",
                                         std::uint64_t{2} * q.window.start + (q.truth ? 1 : 0));
      Judgement j;
      j.start = q.window.start;
      j.kind = q.window.kind;
      j.quantile = q.window.quantile;
      j.truth = q.truth;
      j.verdict = random.uniform() < rule_(explanation, q) ? Verdict::yes : Verdict::no;
      judgements.push_back(std::move(j));
    }
    asked += questions.size();
    done(std::move(judgements));
  }
  void run() override {}
  std::string name() const override { return "scripted"; }

  std::uint64_t asked = 0;

 private:
  std::uint64_t seed_;
  Rule rule_;
};

}  // namespace gloss::score
