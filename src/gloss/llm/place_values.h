#pragma once
/// How probable given values are at given places of a text that a model reads.
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "gloss/base/ids.h"
#include "gloss/llm/language_model.h"
#include "gloss/text/tokenizer.h"

namespace gloss::llm {

/// Of one request with places (Request::places, values). Empty for one without.
class PlaceValues {
 public:
  /// `tokens`: the last ones of what is read, among them all of the request's only choice. The reason why it cannot be
  /// answered; "" = it can. Requires: the request has places and one choice.
  std::string prepare(const text::Tokenizer& tokenizer, std::span<const TokenId> tokens, const Request& request);
  /// What the logits before one of those tokens say. Shapes: logits [V].
  void weigh(std::size_t token, std::span<const float> logits);

  bool empty() const { return tokens_.empty(); }
  /// [places * values], row-major: of the values that are one token there, given that one of them comes next; all 0 at
  /// places where no token begins.
  const std::vector<double>& probabilities() const { return probabilities_; }

 private:
  std::vector<std::optional<std::size_t>> tokens_;  // which token begins at each place
  std::vector<std::optional<TokenId>> values_;      // those that are one token
  std::vector<double> probabilities_;
};

}  // namespace gloss::llm
