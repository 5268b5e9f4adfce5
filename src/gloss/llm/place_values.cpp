#include "gloss/llm/place_values.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

namespace gloss::llm {
namespace {

/// Which of `tokens`, the last ones of a text that ends with `text`, begins at byte `offset` of it; nothing when none
/// does. Requires: offset <= text.size().
std::optional<std::size_t> token_at(const text::Tokenizer& tokenizer, std::span<const TokenId> tokens,
                                    std::string_view text, std::size_t offset) {
  const std::size_t wanted = text.size() - offset;
  std::size_t bytes = 0;
  std::size_t at = tokens.size();
  while (at > 0 && bytes < wanted) bytes += tokenizer.token_bytes(tokens[--at]).size();
  if (bytes != wanted || at == tokens.size()) return std::nullopt;
  return at;
}

/// The token that each value is after `before`; nothing for those that are several, or join what is before.
std::vector<std::optional<TokenId>> single_tokens(const text::Tokenizer& tokenizer, std::string_view before,
                                                  std::span<const std::string> values) {
  const std::vector<TokenId> head = tokenizer.encode(before);
  std::vector<std::optional<TokenId>> found;
  for (const std::string& value : values) {
    const std::vector<TokenId> whole = tokenizer.encode(std::string(before) + value);
    const bool one = whole.size() == head.size() + 1 && std::equal(head.begin(), head.end(), whole.begin()) &&
                     tokenizer.token_bytes(whole.back()) == value;
    found.push_back(one ? std::optional(whole.back()) : std::nullopt);
  }
  return found;
}

/// Probabilities of the tokens given that one of them comes next; all 0 when there is none. Shapes: result [tokens].
std::vector<double> among(std::span<const float> logits, std::span<const std::optional<TokenId>> tokens) {
  double best = -std::numeric_limits<double>::infinity();
  for (const auto& token : tokens) {
    if (token) best = std::max(best, double{logits[to_index(*token)]});
  }
  std::vector<double> probabilities;
  double sum = 0.0;
  for (const auto& token : tokens) {
    probabilities.push_back(token ? std::exp(double{logits[to_index(*token)]} - best) : 0.0);
    sum += probabilities.back();
  }
  for (double& p : probabilities) p = sum > 0.0 ? p / sum : 0.0;
  return probabilities;
}

}  // namespace

std::string PlaceValues::prepare(const text::Tokenizer& tokenizer, std::span<const TokenId> tokens,
                                 const Request& request) {
  const std::string_view text = request.choices.front();
  tokens_.clear();
  for (const std::size_t place : request.places) {
    if (place > text.size()) return "a place is behind the end of its text";
    tokens_.push_back(token_at(tokenizer, tokens, text, place));
  }
  const std::size_t first = request.places.front();
  values_ = single_tokens(tokenizer, first == 0 ? "" : text.substr(first - 1, 1), request.values);
  if (std::none_of(values_.begin(), values_.end(), [](const auto& token) { return token.has_value(); }))
    return "none of the values is one token of this model";
  probabilities_.assign(tokens_.size() * values_.size(), 0.0);
  return "";
}

void PlaceValues::weigh(std::size_t token, std::span<const float> logits) {
  for (std::size_t p = 0; p < tokens_.size(); ++p) {
    if (tokens_[p] != token) continue;
    const std::vector<double> found = among(logits, values_);
    std::copy(found.begin(), found.end(), probabilities_.begin() + static_cast<std::ptrdiff_t>(p * values_.size()));
  }
}

}  // namespace gloss::llm
