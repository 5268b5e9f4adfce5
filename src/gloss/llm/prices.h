#pragma once
/// What a provider takes for tokens.
#include <cstdint>
#include <string_view>

#include "gloss/llm/language_model.h"

namespace gloss::llm {

/// Dollars per million tokens.
struct Prices {
  double input = 0.0;         // of a prompt's token
  double cached_input = 0.0;  // of one that the provider had read before
  double kept_input = 0.0;    // of one that it writes to its cache (0 = as input)
  double output = 0.0;
  double batch_discount = 0.5;  // share that is taken off in batch files

  /// Something costs something.
  bool known() const { return input > 0.0 || output > 0.0; }
};

/// Tokens of one reply or of many; cached and kept are parts of prompt.
struct TokenUse {
  double prompt = 0.0, cached = 0.0, kept = 0.0, output = 0.0;
};

double dollars(const Prices& prices, const TokenUse& use);
TokenUse use_of(const Reply& reply);

/// "IN,CACHED,OUT" or "IN,OUT" (cached at the price of input), dollars per million tokens.
/// Errors: usage when it is not such numbers, or one is negative.
Prices parse_prices(std::string_view text);

}  // namespace gloss::llm
