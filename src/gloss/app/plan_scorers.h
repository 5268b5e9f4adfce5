#pragma once
/// What each scorer asks a language model, for `gloss plan`: the same judges as score, with a model that only counts.
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "gloss/llm/language_model.h"
#include "gloss/score/judge.h"
#include "gloss/text/token_file.h"
#include "gloss/text/tokenizer.h"

namespace gloss::app {

struct PlannedAsking {
  std::uint32_t per_prompt = 5;
  std::filesystem::path prompts;  // folder with prompt files of one's own; "" = the built-in ones
  std::uint32_t window = 32;      // tokens
  std::uint32_t texts = 10;       // that generation asks for
  std::uint32_t steered = 10;     // prompts of intervention
  std::uint32_t steered_tokens = 32;
};

/// A judge and what its replies are expected to hold.
struct PlannedJudge {
  std::unique_ptr<score::Judge> judge;
  std::string way;      // "text, 5 a prompt"
  double output = 0.0;  // tokens of a reply
  bool windows = true;  // it is asked about windows, not by experiment
};

/// How a scorer asks when answers come as text, or as probabilities; the same for scorers that know one way only.
/// Texts that nobody has yet, such as what a steered model writes, are stood in for by as many tokens. Lifetime:
/// `model` must outlive it.
PlannedJudge planned_judge(score::Scorer scorer, bool by_probability, const PlannedAsking& asking,
                           llm::LanguageModel& model, const text::Tokenizer& tokenizer, const text::TokenFile& tokens);

/// About `tokens` tokens of plain words, beginning with `number`, so that no two are alike.
std::string words_of(const text::Tokenizer& tokenizer, std::uint64_t number, double tokens);

}  // namespace gloss::app
