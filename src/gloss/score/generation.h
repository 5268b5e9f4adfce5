#pragma once
/// `generation`: a language model writes texts from the explanation, and the latent itself says whether they fit.
/// Method: docs/methods.md 14. Source: Paulo et al. 2024, section 4.
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/llm/prompt.h"
#include "gloss/score/model_judge.h"

namespace gloss::score {

struct GenerationOptions {
  std::uint32_t texts = 10;
  std::filesystem::path prompts;    // a folder with generation.txt of one's own; "" = the built-in text
  bool by_schema = false;           // the model can be held to a JSON schema
  std::uint32_t max_tokens = 2048;  // of a reply
};

/// The latents whose activations on the texts are wanted, and what each is measured by.
struct Watched {
  LatentId latent{};
  float max_activation = 0.0F;  // M, over the whole cache; 0 = unknown
};

/// Texts of a reply: the last JSON array in it that holds nothing but texts, however many; nothing when there is none.
/// Blank ones count as texts.
std::optional<std::vector<std::string>> parse_texts(std::string_view reply);

/// Judgements (kind written, no window): text i of n is number i, truth true, yes when the latent fires anywhere in it;
/// its probability is max a / M, at most 1. The same texts through other latents of the same density are the base rate:
/// numbers n and up, truth false. A text that came twice counts once; one that did not come, or is blank, is failed.
/// Threads: one at a time, the model's.
class GenerationJudge : public ModelJudge {
 public:
  /// The largest activation of each latent in each text, in order of both.
  using Fire = std::function<std::vector<std::vector<float>>(const std::vector<std::string>& texts,
                                                             std::span<const Watched> latents)>;
  /// A latent, and behind it those it is compared with.
  using Watch = std::function<std::vector<Watched>(LatentId latent)>;

  /// Lifetime: `model` must outlive this. Errors: bad_input for the prompt file.
  GenerationJudge(llm::LanguageModel& model, Fire fire, Watch watch, GenerationOptions options);

  /// Asks of no windows: `questions` are empty.
  void submit(Scorer scorer, const explain::Explanation& explanation, std::vector<Question> questions,
              Done done) override;
  /// Hash of what, besides models and explanation, the judgements depend on.
  std::string fingerprint() const;

 private:
  struct Case;
  void ask(const std::shared_ptr<Case>& asked, bool again);
  std::vector<Judgement> judge(const Case& asked, const llm::Reply& reply) const;

  Fire fire_;
  Watch watch_;
  GenerationOptions options_;
  llm::PromptTemplate prompt_;
};

/// Adds what the verdicts do not say: `strength`, the mean of max a / M over the texts, and `strong_texts`, the share
/// of those that reach `strong` (of M): what the weakest window of the latent's upper quantiles reaches.
void add_strengths(LatentScore& score, std::span<const Judgement> judgements, double strong);

}  // namespace gloss::score
