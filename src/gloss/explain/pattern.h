#pragma once
/// `pattern`: an explanation that a program can execute, learned from a latent's windows without any model.
/// Method: docs/methods.md 13, after Neuron2Graph (Foote et al. 2023), made data-only.
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gloss/examples/examples.h"
#include "gloss/explain/explanation.h"
#include "gloss/text/token_file.h"
#include "gloss/text/tokenizer.h"

namespace gloss::explain {

struct PatternOptions {
  float tau = 0.3F;  // a token is marked when a >= tau * the window's maximum
  std::uint64_t seed = 1;
};

/// What the learner needs of a vocabulary, computed once per run: each token's bytes, class, word shape. Any thread.
class Vocabulary {
 public:
  explicit Vocabulary(const text::Tokenizer& tokenizer);
  struct Impl;
  explicit Vocabulary(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  const Impl& impl() const { return *impl_; }

 private:
  std::shared_ptr<const Impl> impl_;
};

/// Learns from the explain windows and explain_silent windows only. Deterministic in (windows, options).
/// Failed (a value): too few examples, or no rule better than none. Errors: bad_input for windows that lie outside the
/// token file, or tokens that the vocabulary has not.
Explanation explain_pattern(const Vocabulary& vocabulary, const text::TokenFile& tokens, std::string_view hookpoint,
                            const examples::LatentExamples& examples, const PatternOptions& options);

/// `top-tokens`, the naive baseline as a program of the same kind: one rule for each of the fewest tokens, at most 8,
/// that cover 80 % of the marked ones; the most frequent first, ties by id. Failed (a value): too few examples.
Explanation explain_top_tokens(const Vocabulary& vocabulary, const text::TokenFile& tokens,
                               const examples::LatentExamples& examples, const PatternOptions& options);

/// Executes a pattern on windows. Sees the tokens of the window and nothing before it, as an LLM judge would.
class PatternProgram {
 public:
  /// Errors: bad_input when `program` is no pattern of this vocabulary.
  static PatternProgram parse(const Vocabulary& vocabulary, std::string_view program);
  /// Predicted level 0..1 of each token: the first matching rule's, which is the mean activation over M of all tokens
  /// it matched when it was learned, silent ones being 0; always above 0. 0 = not predicted. Shapes: ids [W]. Errors:
  /// bad_input for an id that the vocabulary has not.
  std::vector<float> predict(std::span<const TokenId> ids) const;

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

}  // namespace gloss::explain
