#pragma once
/// What logits say of the next token.
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/base/ids.h"
#include "gloss/base/random.h"
#include "gloss/text/tokenizer.h"

namespace gloss::llm {

/// Log of the sum of exponentials, so that logit - log_sum is a log-probability. Requires: not empty.
double log_sum(std::span<const float> logits);

/// The most probable token, the first of equals; with a temperature above 0, one drawn with the probabilities
/// softmax(logits / temperature), for which `random` gives one number. Requires: not empty.
TokenId choose_token(std::span<const float> logits, double temperature, Random& random);

/// Which of `tokens`, the last ones of a text that ends with `text`, begins at byte `offset` of it; nothing when none
/// does. Requires: offset <= text.size().
std::optional<std::size_t> token_at(const text::Tokenizer& tokenizer, std::span<const TokenId> tokens,
                                    std::string_view text, std::size_t offset);
/// The token that each value is after `before`; nothing for those that are several, or join what is before.
std::vector<std::optional<TokenId>> single_tokens(const text::Tokenizer& tokenizer, std::string_view before,
                                                  std::span<const std::string> values);
/// Probabilities of the tokens given that one of them comes next; all 0 when there is none.
/// Shapes: result [tokens].
std::vector<double> among(std::span<const float> logits, std::span<const std::optional<TokenId>> tokens);

}  // namespace gloss::llm
