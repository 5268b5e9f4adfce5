#include "gloss/score/until_width.h"

#include <algorithm>
#include <utility>

namespace gloss::score {
namespace {

/// Yes, no, yes, ... as long as there are both, then the rest; each kind in its order.
std::vector<Question> in_turn(std::vector<Question> questions) {
  std::vector<Question> yes, no, ordered;
  for (Question& q : questions) (q.truth ? yes : no).push_back(std::move(q));
  for (std::size_t i = 0; i < std::max(yes.size(), no.size()); ++i) {
    if (i < yes.size()) ordered.push_back(std::move(yes[i]));
    if (i < no.size()) ordered.push_back(std::move(no[i]));
  }
  return ordered;
}

}  // namespace

struct UntilWidth::Case {
  Scorer scorer;
  explain::Explanation explanation;
  std::vector<Question> questions;
  std::vector<Judgement> judgements;  // of the first questions
  Done done;
};

bool is_narrow(const AnswerCounts& counts, double width) {
  const Interval known = balanced_accuracy(wilson(counts.yes_right, counts.yes), wilson(counts.no_right, counts.no));
  return known.high - known.low < width;
}

UntilWidth::UntilWidth(Judge& judge, double width) : judge_(&judge), width_(width) {}

void UntilWidth::submit(Scorer scorer, const explain::Explanation& explanation, std::vector<Question> questions,
                        Done done) {
  ask(std::make_shared<Case>(Case{scorer, explanation, in_turn(std::move(questions)), {}, std::move(done)}));
}

void UntilWidth::ask(const std::shared_ptr<Case>& work) {
  const std::size_t first = work->judgements.size();
  const auto narrow = [&] {
    const LatentScore s = summarize(work->explanation.latent, work->judgements, 0);
    return is_narrow({s.tp, std::size_t{s.tp} + s.fn, s.tn, std::size_t{s.tn} + s.fp}, width_);
  };
  if (first == work->questions.size() || (may_stop_after(first) && narrow())) {
    asked_ += first;
    available_ += work->questions.size();
    work->done(std::move(work->judgements));
    return;
  }
  const std::size_t count = std::min<std::size_t>(kBlock, work->questions.size() - first);
  const auto begin = work->questions.begin() + static_cast<std::ptrdiff_t>(first);
  judge_->submit(work->scorer, work->explanation, {begin, begin + static_cast<std::ptrdiff_t>(count)},
                 [this, work](std::vector<Judgement> judgements) {
                   std::move(judgements.begin(), judgements.end(), std::back_inserter(work->judgements));
                   ask(work);
                 });
}

}  // namespace gloss::score
