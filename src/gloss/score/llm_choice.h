#pragma once
/// A language model that chooses: which window does not belong, which description fits. Method: docs/methods.md 14.
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/explain/delimiters.h"
#include "gloss/llm/language_model.h"
#include "gloss/llm/prompt.h"
#include "gloss/score/judge.h"
#include "gloss/text/token_file.h"
#include "gloss/text/tokenizer.h"

namespace gloss::score {

/// One question a prompt. An answer that cannot be read is asked for once more, then it is Verdict::failed. By
/// probability, nothing is generated: the verdict is the most probable number, the judgement's probability that of the
/// right one. Threads: one at a time, the model's.
class LlmChoice {
 public:
  /// `prompts`: a folder with intruder.txt and forced_choice.txt of one's own; "" = the built-in texts. Lifetime:
  /// `model` must outlive this. Errors: bad_input for a prompt file.
  LlmChoice(llm::LanguageModel& model, const text::Tokenizer& tokenizer, const text::TokenFile& tokens,
            const std::filesystem::path& prompts, bool by_probability);

  /// Requires: is_choice(scorer). `done` is called from within the model's run(); at once when there are no questions.
  void submit(Scorer scorer, const explain::Explanation& explanation, std::vector<Question> questions,
              Judge::Done done);
  /// Hash of what, besides model and questions, the verdicts of this scorer depend on.
  std::string fingerprint(Scorer scorer) const;

 private:
  struct Case;
  void ask(const std::shared_ptr<Case>& asked, std::size_t index, bool again);
  void take(const std::shared_ptr<Case>& asked, std::size_t index, bool again, const llm::Reply& reply);
  std::vector<llm::Message> messages(const Case& asked, std::size_t index) const;
  const llm::PromptTemplate& prompt(Scorer scorer) const;

  llm::LanguageModel* model_;
  text::Tokenizer tokenizer_;
  text::TokenFile tokens_;
  bool by_probability_;
  llm::PromptTemplate intruder_, forced_choice_;
};

/// The last number in brackets, 1 to `count`.
std::optional<std::size_t> parse_choice(std::string_view reply, std::size_t count);

}  // namespace gloss::score
