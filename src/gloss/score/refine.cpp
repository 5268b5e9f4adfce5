#include "gloss/score/refine.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "gloss/base/hash.h"
#include "gloss/examples/token_window.h"
#include "gloss/explain/excerpts.h"

namespace gloss::score {
namespace {

using examples::Window;

constexpr std::array<Scorer, 2> kScorers{Scorer::detection, Scorer::fuzz};

/// A proposal, and what the judge said of it on the refine windows.
struct Candidate {
  explain::Explanation explanation;
  std::array<std::vector<Judgement>, kScorers.size()> judgements;

  /// Mean balanced accuracy of the scorers that have one; NaN when none has.
  double accuracy(std::uint32_t quantiles) const {
    double sum = 0.0, count = 0.0;
    for (const std::vector<Judgement>& judged : judgements) {
      const double accuracy = summarize(explanation.latent, judged, quantiles).balanced_accuracy.value;
      if (std::isnan(accuracy)) continue;
      sum += accuracy;
      ++count;
    }
    return sum / count;
  }
};

/// The same latent with its refine windows in the place of the test windows, as questions are made of those.
examples::LatentExamples refine_side(const examples::LatentExamples& found, std::uint32_t silent) {
  examples::LatentExamples side;
  side.latent = found.latent;
  side.status = found.status;
  side.max_activation = found.max_activation;
  side.test = found.refine;
  side.test_silent = found.refine_silent;
  if (side.test_silent.size() > silent) side.test_silent.resize(silent);
  return side;
}

}  // namespace

struct Refiner::Case {
  std::string hookpoint;
  Evidence evidence;
  Done done;
  llm::Request first;  // the conversation that every further question goes on from
  std::array<std::vector<Question>, kScorers.size()> questions;
  std::vector<Candidate> candidates;
  std::vector<explain::Explanation> proposals;  // of this round, in the order in which they were asked for
  std::size_t open_proposals = 0, open_judgements = 0;
  std::size_t best = 0;
  double best_accuracy = std::numeric_limits<double>::quiet_NaN();
  std::size_t compared = 0;  // candidates before this one are in best
  std::uint32_t round = 0;
  std::string failure;  // of the first proposal that failed
};

Refiner::Refiner(llm::LanguageModel& model, const explain::PromptExplainer& explainer, Judge& judge,
                 const text::Tokenizer& tokenizer, const text::TokenFile& tokens, RefineOptions options)
    : model_(&model),
      explainer_(&explainer),
      judge_(&judge),
      tokenizer_(tokenizer),
      tokens_(tokens),
      options_(std::move(options)),
      prompt_(llm::PromptTemplate::load("explain_refine", options_.prompts,
                                        std::vector<std::string>{"missed", "fitted", "?open", "?close"})) {}

std::string Refiner::fingerprint() const {
  Hasher hash;
  hash.add(prompt_.fingerprint());
  hash.add(fmt::format("proposals {} rounds {} silent {} shown {} temperature {}", options_.proposals, options_.rounds,
                       options_.silent, options_.shown, options_.temperature));
  return hash.digest_hex();
}

void Refiner::submit(std::string_view hookpoint, Evidence evidence, Done done) {
  const examples::LatentExamples& found = *evidence.examples;
  const explain::Evidence shown{found, evidence.promoted, evidence.suppressed};
  Refined none;
  none.explanation.latent = found.latent;
  none.explanation.failure = explainer_->missing(shown);
  if (none.explanation.ok() && (found.refine.empty() || found.refine_silent.empty())) {
    none.explanation.failure = fmt::format("nothing to refine on: {} activating and {} silent windows are left",
                                           found.refine.size(), found.refine_silent.size());
  }
  if (!none.explanation.ok()) {
    done(std::move(none));
    return;
  }
  auto work = std::make_shared<Case>();
  work->hookpoint = hookpoint;
  work->first = explainer_->request(shown);
  work->evidence = std::move(evidence);
  work->done = std::move(done);
  const examples::LatentExamples side = refine_side(*work->evidence.examples, options_.silent);
  for (std::size_t i = 0; i < kScorers.size(); ++i)
    work->questions[i] = make_questions(kScorers[i], hookpoint, side, options_.questions);
  std::vector<llm::Request> requests(std::max<std::uint32_t>(1, options_.proposals), work->first);
  for (std::size_t n = 1; n < requests.size(); ++n) {
    requests[n].temperature = options_.temperature;
    requests[n].seed = options_.questions.seed + n;
  }
  propose(work, requests);
}

void Refiner::propose(const Shared& work, const std::vector<llm::Request>& requests) {
  work->proposals.assign(requests.size(), {});
  work->open_proposals = requests.size();
  for (std::size_t n = 0; n < requests.size(); ++n) {
    model_->submit(requests[n], [this, work, n](const llm::Reply& reply) {
      work->proposals[n] = explainer_->read(work->evidence.examples->latent, reply);
      if (--work->open_proposals == 0) judge_proposals(work);
    });
  }
}

/// Those that say what another said before are not judged again.
void Refiner::judge_proposals(const Shared& work) {
  for (explain::Explanation& proposal : work->proposals) {
    if (!proposal.ok()) {
      if (work->failure.empty()) work->failure = std::move(proposal.failure);
      continue;
    }
    const bool known = std::any_of(work->candidates.begin(), work->candidates.end(),
                                   [&](const Candidate& c) { return c.explanation.text == proposal.text; });
    if (!known) work->candidates.push_back({std::move(proposal), {}});
  }
  const std::size_t count = work->candidates.size();
  work->open_judgements = (count - work->compared) * kScorers.size();
  if (work->open_judgements == 0) {
    finish_round(work);
    return;
  }
  for (std::size_t i = work->compared; i < count; ++i) judge(work, i);
}

void Refiner::judge(const Shared& work, std::size_t candidate) {
  for (std::size_t i = 0; i < kScorers.size(); ++i) {
    judge_->submit(kScorers[i], work->candidates[candidate].explanation, work->questions[i],
                   [this, work, candidate, i](std::vector<Judgement> judgements) {
                     work->candidates[candidate].judgements[i] = std::move(judgements);
                     if (--work->open_judgements == 0) finish_round(work);
                   });
  }
}

/// Requires: every candidate is judged.
void Refiner::finish_round(const Shared& work) {
  bool better = false;
  for (; work->compared < work->candidates.size(); ++work->compared) {
    const double accuracy = work->candidates[work->compared].accuracy(options_.questions.quantiles);
    if (std::isnan(accuracy) || accuracy <= work->best_accuracy) continue;
    work->best = work->compared;
    work->best_accuracy = accuracy;
    better = true;
  }
  if (better && work->round < options_.rounds && ask_again(work)) return;
  Refined result;
  result.proposals = static_cast<std::uint32_t>(work->candidates.size());
  result.explanation.latent = work->evidence.examples->latent;
  if (std::isnan(work->best_accuracy)) {
    result.explanation.failure = !work->candidates.empty() ? "no proposal could be judged" : work->failure;
  } else {
    result.explanation = work->candidates[work->best].explanation;
    result.best = work->best_accuracy;
    result.first = work->candidates.front().accuracy(options_.questions.quantiles);
  }
  work->done(std::move(result));
}

/// Shows the best proposal's mistakes. False when there are none.
bool Refiner::ask_again(const Shared& work) {
  const Candidate& best = work->candidates[work->best];
  std::vector<const Window*> missed;
  std::vector<std::string> fitted;
  for (std::size_t i = 0; i < kScorers.size(); ++i) {
    for (std::size_t n = 0; n < work->questions[i].size(); ++n) {
      const Question& question = work->questions[i][n];
      const Verdict verdict = best.judgements[i][n].verdict;
      if (question.truth && verdict == Verdict::no && missed.size() < options_.shown) {
        const bool shown = std::any_of(missed.begin(), missed.end(),
                                       [&](const Window* w) { return w->start == question.window.start; });
        if (!shown) missed.push_back(&question.window);
      }
      if (kScorers[i] == Scorer::detection && !question.truth && verdict == Verdict::yes &&
          fitted.size() < options_.shown)
        fitted.push_back(examples::plain_text(tokenizer_, examples::window_tokens(tokens_, question.window)));
    }
  }
  if (missed.empty() && fitted.empty()) return false;
  const float tau = options_.questions.tau;
  const explain::Delimiters pair = explain::delimiters_for(tokenizer_, tokens_, missed, fitted, tau);
  std::vector<std::string> marked;
  marked.reserve(missed.size());
  for (const Window* w : missed)
    marked.push_back(examples::marked_text(tokenizer_, examples::window_tokens(tokens_, *w),
                                           examples::marked_tokens(*w, tau), pair.open, pair.close));
  const auto list = [](const std::vector<std::string>& texts) {
    return texts.empty() ? std::string("(none)") : llm::numbered(texts);
  };
  llm::Request request = work->first;
  request.messages.push_back({"assistant", "[EXPLANATION]: " + best.explanation.text});
  for (llm::Message& message :
       prompt_.fill({{"missed", list(marked)}, {"fitted", list(fitted)}, {"open", pair.open}, {"close", pair.close}}))
    request.messages.push_back(std::move(message));
  ++work->round;
  propose(work, {request});
  return true;
}

}  // namespace gloss::score
