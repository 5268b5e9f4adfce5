#pragma once
/// Explainers that ask a language model: what they show of a latent, and how they ask.
/// Methods: docs/methods.md 4 and 5.
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/examples/examples.h"
#include "gloss/explain/explanation.h"
#include "gloss/index/latent_weights.h"
#include "gloss/llm/language_model.h"
#include "gloss/llm/prompt.h"
#include "gloss/text/token_file.h"
#include "gloss/text/tokenizer.h"

namespace gloss::explain {

/// What is shown. `activations`, `cot` (worked reasoning), `logits` (promoted tokens) and `contrast` (silent windows)
/// combine freely; `tokens`, `input_output` and `output` stand alone.
struct PromptMethod {
  enum class Show : std::uint8_t { excerpts, tokens, input_output, output };
  Show show = Show::excerpts;
  bool activations = false, cot = false, logits = false, contrast = false;

  /// "default", "single-token", "max-act-logits", "vocab-proj", or parts joined by '+' in any order ("cot+logits");
  /// "default" as a part changes nothing. Errors: usage naming the part that is unknown, given twice, or cannot be
  /// combined.
  static PromptMethod parse(std::string_view name);
  /// Whether parse() takes it.
  static bool is_one(std::string_view name);
  /// The one name of the method: parts in the order activations, cot, logits, contrastive.
  std::string name() const;
  bool needs_weights() const { return logits || show == Show::input_output || show == Show::output; }
};

struct PromptExplainerOptions {
  float tau = 0.3F;               // a token is marked when a >= tau * the window's maximum
  std::filesystem::path prompts;  // a folder with explain_*.txt of one's own; "" = the built-in texts
  std::uint32_t max_tokens = 512;
  std::uint32_t contrast = 10;       // silent windows shown by `contrast`
  std::uint32_t strongest = 20;      // windows shown by `max-act-logits`
  std::uint32_t listed_tokens = 50;  // tokens shown by `single-token`
};

/// What is known of a latent when it is explained. Lists best first; both may be empty unless the method needs them.
struct Evidence {
  const examples::LatentExamples& examples;
  std::span<const index::WeightEntry> promoted = {}, suppressed = {};
};

/// Threads: one at a time, the model's.
class PromptExplainer {
 public:
  /// Lifetime: `model` must outlive this; tokenizer and tokens are handles, kept as copies. Errors: bad_input for a
  /// prompt file.
  PromptExplainer(llm::LanguageModel& model, const text::Tokenizer& tokenizer, const text::TokenFile& tokens,
                  PromptMethod method = {}, PromptExplainerOptions options = {});

  using Done = std::function<void(Explanation)>;
  /// Asks for an explanation of the explain windows, in their order. `done` is called from within run(), at once when
  /// there is nothing to show. Failed (a value): too few examples, no reply, a reply without explanation.
  /// The prompt depends on the evidence alone, not on hookpoint or latent; everything before it is the same for all
  /// latents, unless their text holds the marks.
  void submit(const Evidence& evidence, Done done);
  /// Why there is nothing to ask of it; "" = there is.
  std::string missing(const Evidence& evidence) const;
  /// What submit() asks; for counting its cost. Requires: examples with status ok and explain windows.
  llm::Request request(const Evidence& evidence) const;
  /// Reads the reply to request() as submit() does.
  Explanation read(LatentId latent, const llm::Reply& reply) const;
  /// Works until everything submitted is answered. Errors: those of llm::LanguageModel::run().
  void run() { model_->run(); }

  const PromptMethod& method() const { return method_; }
  /// Hash of what, besides model and evidence, the explanations depend on: prompt and options.
  std::string fingerprint() const;

 private:
  std::vector<const examples::Window*> shown_windows(const examples::LatentExamples& examples) const;
  std::string excerpts(std::span<const examples::Window* const> windows, float max, std::string_view open,
                       std::string_view close) const;
  std::string levels(const examples::Window& window, float max) const;
  std::string token_counts(const examples::LatentExamples& examples) const;

  llm::LanguageModel* model_;
  text::Tokenizer tokenizer_;
  text::TokenFile tokens_;
  PromptMethod method_;
  PromptExplainerOptions options_;
  llm::PromptTemplate prompt_;
};

/// The level shown for an activation: 0 if a <= 0, else min(10, max(1, ceil(10 a / max))). Source: docs/methods.md 4.
std::uint32_t level_of(float activation, float max);

}  // namespace gloss::explain
