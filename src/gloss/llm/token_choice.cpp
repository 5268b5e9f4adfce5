#include "gloss/llm/token_choice.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace gloss::llm {

double log_sum(std::span<const float> logits) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(double{logit} - largest);
  return largest + std::log(sum);
}

TokenId choose_token(std::span<const float> logits, double temperature, Random& random) {
  const auto best = std::max_element(logits.begin(), logits.end());
  if (temperature <= 0.0) return TokenId{static_cast<std::uint32_t>(best - logits.begin())};
  std::vector<double> weights(logits.size());
  double total = 0.0;
  for (std::size_t i = 0; i < logits.size(); ++i)
    total += weights[i] = std::exp((double{logits[i]} - double{*best}) / temperature);
  double left = random.uniform() * total;
  std::size_t chosen = 0;
  while (chosen + 1 < weights.size() && left >= weights[chosen]) left -= weights[chosen++];
  return TokenId{static_cast<std::uint32_t>(chosen)};
}

std::optional<std::size_t> token_at(const text::Tokenizer& tokenizer, std::span<const TokenId> tokens,
                                    std::string_view text, std::size_t offset) {
  const std::size_t wanted = text.size() - offset;
  std::size_t bytes = 0;
  std::size_t at = tokens.size();
  while (at > 0 && bytes < wanted) bytes += tokenizer.token_bytes(tokens[--at]).size();
  if (bytes != wanted || at == tokens.size()) return std::nullopt;
  return at;
}

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

}  // namespace gloss::llm
