#pragma once
/// `default`: a language model reads the explain windows with marks and describes the latent in a sentence.
/// Method: docs/methods.md 4 and 5.
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "gloss/examples/examples.h"
#include "gloss/explain/delimiters.h"
#include "gloss/explain/explanation.h"
#include "gloss/llm/language_model.h"
#include "gloss/llm/prompt.h"
#include "gloss/text/token_file.h"
#include "gloss/text/tokenizer.h"

namespace gloss::explain {

struct DefaultOptions {
  float tau = 0.3F;               // a token is marked when a >= tau * the window's maximum
  std::filesystem::path prompts;  // a folder with an explain_default.txt of one's own; "" = the built-in text
  std::uint32_t max_tokens = 512;
};

/// Threads: one at a time, the client's.
class DefaultExplainer {
 public:
  /// Lifetime: `client` must outlive this; tokenizer and tokens are handles, kept as copies. Errors: bad_input for a
  /// prompt file.
  DefaultExplainer(llm::LanguageModel& client, const text::Tokenizer& tokenizer, const text::TokenFile& tokens,
                   DefaultOptions options = {});

  using Done = std::function<void(Explanation)>;
  /// Asks for an explanation of the explain windows, in their order. `done` is called from within run(), at once when
  /// there is nothing to show. Failed (a value): too few examples, no reply, a reply without explanation.
  /// The prompt depends on the windows alone, not on `hookpoint` or latent; everything before the windows is the same
  /// for all latents, unless their text holds the marks.
  void submit(std::string_view hookpoint, const examples::LatentExamples& examples, Done done);
  /// Works until everything submitted is answered. Errors: those of llm::LanguageModel::run().
  void run() { client_->run(); }

  /// Hash of what, besides model and windows, the explanations depend on: prompt and options.
  std::string fingerprint() const;

 private:
  llm::LanguageModel* client_;
  text::Tokenizer tokenizer_;
  text::TokenFile tokens_;
  DefaultOptions options_;
  llm::PromptTemplate prompt_;
};

/// The explanation in a reply: what follows the tag `[EXPLANATION]:` in the last line that begins with it, in any case
/// and with Markdown around it. Failed: no such line, or nothing after the tag. Sets text or failure only.
Explanation parse_explanation(std::string_view reply);

}  // namespace gloss::explain
