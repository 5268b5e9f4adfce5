#pragma once
/// Judges that give a number to each window instead of an answer: how near it is to the explanation. The score is how
/// well the numbers rank activating above silent windows, the AUC. Method: docs/methods.md 14.
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gloss/llm/prompt.h"
#include "gloss/score/model_judge.h"
#include "gloss/text/token_file.h"
#include "gloss/text/tokenizer.h"

namespace gloss::score {

/// Judgements from numbers, larger = nearer; NaN = failed. The probability of a judgement is number / 2 + 1/2 of
/// numbers in [-1, 1], which ranks like them and is no probability of anything. Verdicts need a threshold: yes for the
/// windows above the median of the latent's numbers, which knows nothing of the right answers. Shapes: numbers [n].
std::vector<Judgement> rank_questions(const std::vector<Question>& questions, const std::vector<double>& numbers);

/// `embedding`: the cosine of explanation and window. Answers from within submit(). Threads: as `embed`.
/// Source: Paulo et al. 2024, section 4.
class EmbeddingJudge : public Judge {
 public:
  /// [D], unit norm. `is_query`: of the explanation, not of a window.
  using Embed = std::function<std::vector<float>(const std::string& text, bool is_query)>;
  EmbeddingJudge(Embed embed, std::string name, text::Tokenizer tokenizer, text::TokenFile tokens);

  void submit(Scorer scorer, const explain::Explanation& explanation, std::vector<Question> questions,
              Done done) override;
  void run() override {}
  std::string name() const override { return "embedding:" + name_; }

 private:
  Embed embed_;
  std::string name_;
  text::Tokenizer tokenizer_;
  text::TokenFile tokens_;
};

/// The same by a server's embeddings: `model` answers llm::embedding_request().
class ServedEmbeddingJudge : public ModelJudge {
 public:
  /// `query_prefix` goes before explanations. Lifetime: `model` must outlive this.
  ServedEmbeddingJudge(llm::LanguageModel& model, std::string query_prefix, text::Tokenizer tokenizer,
                       text::TokenFile tokens);

  void submit(Scorer scorer, const explain::Explanation& explanation, std::vector<Question> questions,
              Done done) override;
  std::string name() const override { return "embedding:" + model().model(); }
  /// Hash of what, besides model, explanation and questions, the numbers depend on.
  std::string fingerprint() const;

 private:
  struct Case;
  std::string query_prefix_;
  text::Tokenizer tokenizer_;
  text::TokenFile tokens_;
};

/// `surprisal`: by how much the explanation in front lowers a language model's loss on the window, in nats a token,
/// against a text that fits anything. Works with models that can say how probable a given reply is (the native engine).
/// Source: Paulo et al. 2024, section 4. Threads: one at a time, the model's.
class SurprisalJudge : public ModelJudge {
 public:
  static constexpr const char* kControl = "an excerpt of any text";

  /// Lifetime: `model` must outlive this. `prompts`: a folder with surprisal.txt of one's own; "" = the built-in text.
  /// Errors: bad_input for the prompt file.
  SurprisalJudge(llm::LanguageModel& model, const text::Tokenizer& tokenizer, const text::TokenFile& tokens,
                 const std::filesystem::path& prompts = {});

  void submit(Scorer scorer, const explain::Explanation& explanation, std::vector<Question> questions,
              Done done) override;
  /// Hash of what, besides model, explanation and questions, the numbers depend on.
  std::string fingerprint() const;

 private:
  struct Case;
  void ask(const std::shared_ptr<Case>& asked, std::size_t index, bool control);

  text::Tokenizer tokenizer_;
  text::TokenFile tokens_;
  llm::PromptTemplate prompt_;
};

}  // namespace gloss::score
