#pragma once
/// An explainer that tests its own proposals and learns from their mistakes. It sees the explain and the refine
/// windows, never the test windows. Method: docs/methods.md 5.
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/explain/prompt_explainer.h"
#include "gloss/score/judge.h"

namespace gloss::score {

struct RefineOptions {
  std::uint32_t proposals = 3;    // first descriptions, of the same prompt
  std::uint32_t rounds = 3;       // of showing mistakes, at most
  std::uint32_t silent = 20;      // silent refine windows judged, at most
  std::uint32_t shown = 5;        // mistakes of each kind shown in one round
  double temperature = 0.8;       // of the proposals after the first, which is made at 0
  std::filesystem::path prompts;  // a folder with explain_refine.txt of one's own; "" = the built-in text
  QuestionOptions questions;      // as the scorers'; its seed also draws the proposals
};

/// The best of what was proposed, and how good it and the first one that could be read are on the refine windows: the
/// mean of the balanced accuracies of detection and fuzz. The best one's is an optimistic number, as of anything chosen
/// by it.
struct Refined {
  explain::Explanation explanation;
  double first = std::numeric_limits<double>::quiet_NaN(), best = std::numeric_limits<double>::quiet_NaN();
  std::uint32_t proposals = 0;  // judged ones
};

/// Threads: one at a time, the model's.
class Refiner {
 public:
  /// Lifetime: `model`, `explainer` and `judge` must outlive this; they work by the same model. Errors: bad_input for
  /// the prompt file.
  Refiner(llm::LanguageModel& model, const explain::PromptExplainer& explainer, Judge& judge,
          const text::Tokenizer& tokenizer, const text::TokenFile& tokens, RefineOptions options);

  /// What is known of one latent; see explain::Evidence.
  struct Evidence {
    std::shared_ptr<const examples::LatentExamples> examples;
    std::vector<index::WeightEntry> promoted = {}, suppressed = {};
  };
  using Done = std::function<void(Refined)>;
  /// Proposes, judges, and shows the best proposal's mistakes until a round brings nothing better, nothing is wrong, or
  /// the rounds are used up. Of equally good proposals the earliest is kept. `done` is called from within the model's
  /// run(), at once when there is nothing to show. Failed (a value): as PromptExplainer::submit(); no refine windows;
  /// no proposal, or none whose questions were answered.
  void submit(std::string_view hookpoint, Evidence evidence, Done done);

  /// Hash of what, besides model, evidence, explainer and judge, the explanations depend on.
  std::string fingerprint() const;

 private:
  struct Case;
  using Shared = std::shared_ptr<Case>;
  void propose(const Shared& work, const std::vector<llm::Request>& requests);
  void judge_proposals(const Shared& work);
  void judge(const Shared& work, std::size_t candidate);
  void finish_round(const Shared& work);
  bool ask_again(const Shared& work);

  llm::LanguageModel* model_;
  const explain::PromptExplainer* explainer_;
  Judge* judge_;
  text::Tokenizer tokenizer_;
  text::TokenFile tokens_;
  RefineOptions options_;
  llm::PromptTemplate prompt_;
};

}  // namespace gloss::score
