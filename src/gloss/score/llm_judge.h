#pragma once
/// A language model as judge of detection and fuzz questions. Method: docs/methods.md 6.
#include <cstddef>
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
#include "gloss/score/llm_choice.h"
#include "gloss/score/model_judge.h"
#include "gloss/text/token_file.h"
#include "gloss/text/tokenizer.h"

namespace gloss::score {

struct LlmJudgeOptions {
  std::uint32_t per_prompt = 5;   // windows in one prompt, 1 to 20
  std::filesystem::path prompts;  // a folder with detection.txt and fuzz.txt of one's own; "" = the built-in texts
  std::uint32_t max_tokens = 256;
  /// One window a prompt, detection_one.txt and fuzz_one.txt, and the reply is how probable 0 and 1 are: for models
  /// that can say so (llm::Reply::probabilities), of which the native engine reads them without generating anything.
  bool by_probability = false;
  /// Not by probability: the reply is held to {"answers": [0, 1 ...]} with as many items as windows
  /// (llm::Request::schema), for models that can be held so.
  bool by_schema = false;
  /// Questions with several answers are answered by probability (LlmChoice): for the native engine.
  bool choose_by_probability = false;
};

/// Questions go out in prompts of `per_prompt`, the last one of what is left. A prompt whose answer cannot be read is
/// asked once more, each window alone; what cannot be read then, and what the server never answered, is
/// Verdict::failed. By probability, a judgement's probability is that of 1 given that the answer is 0 or 1, and the
/// verdict is yes from 0.5 on; no window is asked about twice, and one without probabilities is Verdict::failed.
/// Threads: one at a time, the client's.
class LlmJudge : public ModelJudge {
 public:
  /// Lifetime: `client` must outlive this; tokenizer and tokens are handles, kept as copies. Errors: usage for
  /// per_prompt, bad_input for a prompt file.
  LlmJudge(llm::LanguageModel& client, const text::Tokenizer& tokenizer, const text::TokenFile& tokens,
           LlmJudgeOptions options = {});

  void submit(Scorer scorer, const explain::Explanation& explanation, std::vector<Question> questions,
              Done done) override;

  /// Hash of what, besides model, explanation and questions, the verdicts depend on: prompts and options.
  std::string fingerprint() const;
  /// The same of a scorer whose questions have several answers (is_choice); its prompts are not part of the other.
  std::string fingerprint(Scorer scorer) const { return choice_.fingerprint(scorer); }

 private:
  struct Case;
  void ask(const std::shared_ptr<Case>& asked, std::size_t first, std::size_t count, bool again);
  void take_probability(const std::shared_ptr<Case>& asked, std::size_t index, const llm::Reply& reply);
  void take(const std::shared_ptr<Case>& asked, std::size_t first, std::size_t count, bool again,
            const llm::Reply& reply);
  std::vector<llm::Message> messages(const Case& asked, std::size_t first, std::size_t count) const;
  std::vector<std::string> texts(const Case& asked, std::size_t first, std::size_t count,
                                 const explain::Delimiters& pair) const;

  text::Tokenizer tokenizer_;
  text::TokenFile tokens_;
  LlmJudgeOptions options_;
  llm::PromptTemplate detection_, fuzz_;
  LlmChoice choice_;
};

/// The answers in a reply: the last bracketed list of exactly `count` items that holds nothing but 0, 1, true and
/// false.
std::optional<std::vector<bool>> parse_answers(std::string_view reply, std::size_t count);

}  // namespace gloss::score
