#pragma once
/// What a latent writes: its logit weights, by the direct path from its decoder row to the logits.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "gloss/base/reporter.h"
#include "gloss/sparse/best_of_row.h"
#include "gloss/sparse/kernels.h"
#include "gloss/sparse/row_source.h"

namespace gloss::sparse {

/// Shapes: promoted, suppressed and their weights [F, n] row-major; moments [F, 4]. Promoted by descending, suppressed
/// by ascending weight, ties by ascending token; kNoId and 0 where there are fewer than n tokens, and for a latent
/// whose row is zero. Units: logits per unit of activation, up to the final norm's scale, which depends on the token.
struct LogitWeights {
  std::size_t n = 0;
  std::vector<std::uint32_t> promoted, suppressed;
  std::vector<float> promoted_weight, suppressed_weight;
  /// Mean, standard deviation (of the population), skewness and kurtosis (a normal distribution has 3) of the latent's
  /// V weights; skewness and kurtosis are 0 where all weights are equal.
  std::vector<float> moments;
};

struct LogitOptions {
  std::size_t n = 10;
  std::size_t threads = 1;
  std::uint64_t memory_bytes = std::uint64_t{1} << 28;  // for rows of W_U, which are taken in parts of that size
  std::string stage = "logit weights";                  // what progress says, and where errors are
};

/// Logit weights of all latents: z = decoder unembedding^T, tile by tile; [F, V] is never held.
/// Shapes: decoder [F, D]; unembedding [V, D] with the final norm folded in (SubjectModel::unembedding). Memory:
/// options.memory_bytes, 16 F n + 24 F bytes, and a tile for each thread. Threads: `threads` workers; the result is the
/// same for any number of them. Errors: bad_input: the widths differ (names both), or a value is not finite.
/// Source: docs/methods.md 11.
LogitWeights logit_weights(const RowSource& decoder, const RowSource& unembedding, const LogitOptions& options,
                           Reporter& reporter, const Kernels& with = kernels());

}  // namespace gloss::sparse
