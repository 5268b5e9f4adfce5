#pragma once
/// `simulation`: from the explanation alone, how strongly does the latent fire on each token? The score is how well the
/// answers go together with the activations. Method: docs/methods.md 14. Source: Bills et al. 2023.
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/llm/prompt.h"
#include "gloss/score/model_judge.h"
#include "gloss/text/token_file.h"
#include "gloss/text/tokenizer.h"

namespace gloss::score {

inline constexpr float kHighestLevel = 10.0F;

/// The judgement of a window whose tokens were given these levels, 0..10: yes when one is at least 1; its probability
/// is the largest level by 10, which ranks and is none. Shapes: levels [W].
Judgement simulated(const Question& question, std::vector<float> levels);

/// Levels of a reply that names every token: the last JSON array in it that holds `tokens.size()` objects
/// {"token": as shown, "activation": 0..10}. Nothing when there is none, a text differs, or a level is out of range.
std::optional<std::vector<float>> parse_levels(std::string_view reply, std::span<const std::string> tokens);

struct SimulationOptions {
  bool at_once = false;             // by the probabilities of 0..10 at each token; else a JSON array is written
  std::filesystem::path prompts;    // a folder with simulation.txt, simulation_at_once.txt of one's own; "" = built in
  std::uint32_t max_tokens = 4096;  // of a reply
};

/// A window a prompt. At once: the tokens are shown with `unknown` behind each, and at each of these places the level
/// is the mean of 0..10 by the probabilities that the model gives to those that are one token there. As JSON: one
/// object a token; what cannot be read is asked for once more, then the window is failed. Threads: one at a time, the
/// model's.
class SimulationJudge : public ModelJudge {
 public:
  /// Lifetime: `model` must outlive this. Errors: bad_input for the prompt file.
  SimulationJudge(llm::LanguageModel& model, const text::Tokenizer& tokenizer, const text::TokenFile& tokens,
                  SimulationOptions options);

  void submit(Scorer scorer, const explain::Explanation& explanation, std::vector<Question> questions,
              Done done) override;
  /// Hash of what, besides model, explanation and questions, the levels depend on.
  std::string fingerprint() const;

 private:
  struct Case;
  void ask(const std::shared_ptr<Case>& asked, std::size_t index, bool again);
  void take(const std::shared_ptr<Case>& asked, std::size_t index, bool again, const llm::Reply& reply);

  text::Tokenizer tokenizer_;
  text::TokenFile tokens_;
  SimulationOptions options_;
  llm::PromptTemplate prompt_;
};

inline constexpr std::string_view kCorrelation = "correlation";
/// Adds, of the windows that were answered: `correlation`, Pearson's over all their tokens one after the other, with a
/// bootstrap interval over windows; the same of the activating windows alone (`correlation_activating`; in silent ones
/// every activation is 0, and there is none); `window_correlation`, the mean of each window's own where it is
/// defined; `r2`: the share of variance explained by a line from level to activation that is fitted, for each window,
/// on the others. What is not defined (a constant side) is not added. Shapes: windows [judgements], those judged.
void add_simulation(LatentScore& score, std::span<const Judgement> judgements,
                    std::span<const examples::Window> windows, std::uint64_t seed);

}  // namespace gloss::score
