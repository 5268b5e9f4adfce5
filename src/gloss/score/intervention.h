#pragma once
/// `intervention`: does the explanation fit what the subject model writes when the latent is turned up? The fair score
/// of latents that are known by what they write. Method: docs/methods.md 14. Source: Paulo et al. 2024, section 4.
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/llm/prompt.h"
#include "gloss/score/model_judge.h"

namespace gloss::score {

/// What the subject model wrote after each of P prompts: as it is, with the latent's direction, and with a random one
/// of the same effect. Shapes: all [P]; `failure` not empty: steering did not work, and why.
struct SteeredTexts {
  std::vector<std::string> prompts, clean, steered, control;
  std::string failure;
};

/// Judgements (kind written, no window): prompt i is number i, truth true; with the random direction number P + i,
/// truth false. What is measured is the gain: by how many nats a token the text that the model wrote makes the
/// explanation more probable than the text it wrote undisturbed does. Yes when it is above 0; probability: see
/// probability_of_gain(). All failed when steering did not work. Threads: one at a time, the model's.
class InterventionJudge : public ModelJudge {
 public:
  using Steer = std::function<SteeredTexts(LatentId latent)>;

  /// Lifetime: `model` must outlive this; it can say how probable a given text is. `prompts`: a folder with
  /// intervention.txt of one's own; "" = the built-in text. Errors: bad_input for the prompt file.
  InterventionJudge(llm::LanguageModel& model, Steer steer, std::uint32_t prompt_count,
                    const std::filesystem::path& prompts = {});

  /// Asks of no windows: `questions` are empty.
  void submit(Scorer scorer, const explain::Explanation& explanation, std::vector<Question> questions,
              Done done) override;
  /// Hash of what, besides models and explanation, the judgements depend on.
  std::string fingerprint() const;

 private:
  struct Case;
  void ask(const std::shared_ptr<Case>& asked, std::size_t index, const std::string& prompt, const std::string& text);

  Steer steer_;
  std::uint32_t prompt_count_;
  llm::PromptTemplate prompt_;
};

/// A gain in (-inf, inf) as a number in (0, 1) that ranks alike and gives it back: 1/2 + g / (2 (1 + |g|)).
double probability_of_gain(double gain);
double gain_of_probability(double probability);

inline constexpr std::string_view kGain = "gain";
/// Adds `gain` and `control_gain`, the means over the prompts in nats a token with bootstrap intervals over prompts;
/// neither when nothing was answered.
void add_gains(LatentScore& score, std::span<const Judgement> judgements, std::uint64_t seed);

}  // namespace gloss::score
