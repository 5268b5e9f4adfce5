#pragma once
/// What logits say of the next token.
#include <span>

#include "gloss/base/ids.h"
#include "gloss/base/random.h"

namespace gloss::llm {

/// Log of the sum of exponentials, so that logit - log_sum is a log-probability. Requires: not empty.
double log_sum(std::span<const float> logits);

/// The most probable token, the first of equals; with a temperature above 0, one drawn with the probabilities
/// softmax(logits / temperature), for which `random` gives one number. Requires: not empty.
TokenId choose_token(std::span<const float> logits, double temperature, Random& random);

}  // namespace gloss::llm
