#include "gloss/llm/plan.h"

#include <algorithm>
#include <cmath>

namespace gloss::llm {
namespace {

double full_price(const LatentCost& c, const Prices& prices) {
  return dollars(prices, {c.shared + c.own, 0.0, 0.0, c.output});
}
double cached_price(const LatentCost& c, const Prices& prices) {
  return dollars(prices, {c.shared + c.own, c.shared, 0.0, c.output});
}

template <class Price>
Plan::Money money(std::span<const LatentCost> sample, double latents, const Prices& prices, const Price& price) {
  constexpr double kNormal = 1.959964;
  const double n = static_cast<double>(sample.size());
  double mean = 0.0;
  for (const LatentCost& c : sample) mean += price(c, prices) / n;
  double variance = 0.0;
  for (const LatentCost& c : sample) {
    const double off = price(c, prices) - mean;
    variance += off * off / std::max(1.0, n - 1.0);
  }
  const double error = kNormal * std::sqrt(variance / n * std::max(0.0, 1.0 - n / latents));
  return {latents * mean, latents * std::max(0.0, mean - error), latents * (mean + error)};
}

}  // namespace

Plan extrapolate(std::span<const LatentCost> sample, std::uint64_t latents, const Prices& prices) {
  Plan plan;
  if (sample.empty() || latents == 0) return plan;
  const double all = static_cast<double>(latents);
  const double each = all / static_cast<double>(sample.size());
  for (const LatentCost& c : sample) {
    plan.sum.calls += each * c.calls;
    plan.sum.shared += each * c.shared;
    plan.sum.own += each * c.own;
    plan.sum.output += each * c.output;
  }
  plan.full = money(sample, all, prices, full_price);
  plan.cached = money(sample, all, prices, cached_price);
  return plan;
}

}  // namespace gloss::llm
