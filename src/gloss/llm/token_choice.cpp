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

}  // namespace gloss::llm
