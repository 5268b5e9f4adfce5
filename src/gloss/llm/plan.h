#pragma once
/// What a run will cost, from what a sample of its latents takes. Method: docs/providers.md, "Before anything is sent".
#include <cstdint>
#include <span>

#include "gloss/llm/prices.h"

namespace gloss::llm {

/// Requests that one latent takes, and their tokens, summed. `shared`: of prompts, what a request before it began with
/// too; `own`: the others.
struct LatentCost {
  double calls = 0.0, shared = 0.0, own = 0.0, output = 0.0;
};

/// Of all latents. Dollars: `full` with every token of a prompt at the price of input, `cached` with the shared ones at
/// the price of those that a server knows; low and high: 95 % interval of either, for what the sample did not see.
struct Plan {
  LatentCost sum;
  struct Money {
    double value = 0.0, low = 0.0, high = 0.0;
  } full, cached;
};

/// Source: mean of a sample without replacement, normal interval, finite population correction (Cochran 1977, ch. 2).
/// Requires: sample not larger than `latents`. An empty sample gives zeros.
Plan extrapolate(std::span<const LatentCost> sample, std::uint64_t latents, const Prices& prices);

}  // namespace gloss::llm
