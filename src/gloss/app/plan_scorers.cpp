#include "gloss/app/plan_scorers.h"

#include <fmt/format.h>

#include "gloss/score/generation.h"
#include "gloss/score/intervention.h"
#include "gloss/score/llm_judge.h"
#include "gloss/score/ranking_judge.h"
#include "gloss/score/simulation.h"

namespace gloss::app {
namespace {

using score::Scorer;

/// What a replying model writes, in tokens. A verdict with its comma or bracket: "[1, 0, 0, 1, 0]".
constexpr double kOfVerdict = 2.0, kAroundVerdicts = 2.0;
constexpr double kOfLevel = 14.0;        // {"token": " dog", "activation": 7},
constexpr double kOfWrittenText = 40.0;  // of generation
constexpr double kOfChoice = 4.0;        // "[3]" or "[1, 2]"

PlannedJudge classification(Scorer scorer, bool by_probability, const PlannedAsking& asking, llm::LanguageModel& model,
                            const text::Tokenizer& tokenizer, const text::TokenFile& tokens) {
  score::LlmJudgeOptions options{asking.per_prompt, asking.prompts};
  options.by_probability = by_probability;
  options.choose_by_probability = by_probability;
  PlannedJudge planned;
  planned.judge = std::make_unique<score::LlmJudge>(model, tokenizer, tokens, options);
  const bool choice = score::is_choice(scorer);
  planned.way =
      by_probability ? "probabilities, 1 a prompt" : fmt::format("text, {} a prompt", choice ? 1 : asking.per_prompt);
  planned.output = by_probability ? 1.0 : choice ? kOfChoice : kOfVerdict * asking.per_prompt + kAroundVerdicts;
  return planned;
}

PlannedJudge generation(const PlannedAsking& asking, llm::LanguageModel& model) {
  score::GenerationOptions options;
  options.texts = asking.texts;
  options.prompts = asking.prompts;
  PlannedJudge planned;
  planned.judge = std::make_unique<score::GenerationJudge>(
      model,
      [](const std::vector<std::string>& texts, std::span<const score::Watched> latents) {
        return std::vector<std::vector<float>>(texts.size(), std::vector<float>(latents.size(), 0.0F));
      },
      [](LatentId latent) {
        return std::vector<score::Watched>{{latent, 1.0F}};
      },
      options);
  planned.way = fmt::format("text, {} texts", asking.texts);
  planned.output = kOfWrittenText * asking.texts;
  planned.windows = false;
  return planned;
}

PlannedJudge intervention(const PlannedAsking& asking, llm::LanguageModel& model, const text::Tokenizer& tokenizer) {
  const auto steer = [asking, tokenizer](LatentId latent) {
    score::SteeredTexts texts;
    for (std::uint64_t i = 0; i < asking.steered; ++i) {
      const auto write = [&](std::uint64_t kind) {
        return words_of(tokenizer, (to_index(latent) * std::uint64_t{asking.steered} + i) * 4 + kind,
                        asking.steered_tokens);
      };
      texts.prompts.push_back(write(0));
      texts.clean.push_back(write(1));
      texts.steered.push_back(write(2));
      texts.control.push_back(write(3));
    }
    return texts;
  };
  PlannedJudge planned;
  planned.judge = std::make_unique<score::InterventionJudge>(model, steer, asking.steered, asking.prompts);
  planned.way = "probability of a text";
  planned.output = 1.0;
  planned.windows = false;
  return planned;
}

}  // namespace

PlannedJudge planned_judge(Scorer scorer, bool by_probability, const PlannedAsking& asking, llm::LanguageModel& model,
                           const text::Tokenizer& tokenizer, const text::TokenFile& tokens) {
  PlannedJudge planned;
  switch (scorer) {
    case Scorer::embedding:
      planned.judge = std::make_unique<score::ServedEmbeddingJudge>(model, "", tokenizer, tokens);
      planned.way = "embeddings";
      return planned;
    case Scorer::surprisal:
      planned.judge = std::make_unique<score::SurprisalJudge>(model, tokenizer, tokens, asking.prompts);
      planned.way = "probability of a text";
      planned.output = 1.0;
      return planned;
    case Scorer::generation:
      return generation(asking, model);
    case Scorer::intervention:
      return intervention(asking, model, tokenizer);
    case Scorer::simulation:
      planned.judge = std::make_unique<score::SimulationJudge>(
          model, tokenizer, tokens, score::SimulationOptions{by_probability, asking.prompts});
      planned.way = by_probability ? "probabilities, 1 a prompt" : "text, 1 a prompt";
      planned.output = by_probability ? 1.0 : kOfLevel * asking.window;
      return planned;
    case Scorer::detection:
    case Scorer::fuzz:
    case Scorer::fuzz_matched:
    case Scorer::fuzz_silent:
    case Scorer::fuzz_silent_matched:
    case Scorer::fuzz_neighbours:
    case Scorer::neighbours:
    case Scorer::intruder:
    case Scorer::forced_choice:
      break;
  }
  return classification(scorer, by_probability, asking, model, tokenizer, tokens);
}

std::string words_of(const text::Tokenizer& tokenizer, std::uint64_t number, double tokens) {
  constexpr std::string_view kWords[] = {"words", "and", "names", "of", "a", "place", "or", "time", "in", "the"};
  std::string text = std::to_string(number);
  for (std::size_t i = 0; static_cast<double>(tokenizer.encode(text).size()) < tokens; ++i)
    text += fmt::format(" {}", kWords[i % std::size(kWords)]);
  return text;
}

}  // namespace gloss::app
