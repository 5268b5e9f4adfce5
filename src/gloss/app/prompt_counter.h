#pragma once
/// A language model that answers nothing: it counts what it is asked.
#include <cstdint>
#include <deque>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "gloss/llm/language_model.h"
#include "gloss/llm/plan.h"
#include "gloss/text/tokenizer.h"

namespace gloss::app {

/// Every request is answered with a failure. Threads: one at a time.
class PromptCounter : public llm::LanguageModel {
 public:
  /// `paid` says whether the answer to a request is there already: it costs nothing then. `frame`: tokens that a chat
  /// template puts around a message.
  using Paid = std::function<bool(const llm::Request&)>;
  PromptCounter(const text::Tokenizer& tokenizer, std::string model, Paid paid, std::uint32_t frame = 4);

  const std::string& model() const override { return model_; }
  void submit(const llm::Request& request, Callback done) override;
  void run() override;
  llm::Totals totals() const override { return {}; }

  /// What each latent took, `output` tokens a request, in the order of their first requests. What a request shares
  /// is what all begin with, or, where that is longer, what it begins with as the one before it. Forgets them.
  /// Latents without a request (all paid) are left out. A request that was made before is sent once, and counts once.
  std::vector<llm::LatentCost> take(double output);

 private:
  struct Asked {
    std::int64_t latent;
    std::string text;
    std::size_t messages;
    bool paid;
  };
  double count(std::string_view text) const;

  text::Tokenizer tokenizer_;
  std::string model_;
  Paid paid_;
  std::uint32_t frame_;
  std::vector<Asked> asked_;
  std::set<std::string> known_;  // hashes of their texts
  std::deque<Callback> waiting_;
};

}  // namespace gloss::app
