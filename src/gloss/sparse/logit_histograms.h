#pragma once
/// How the logit weights of a latent are spread over the vocabulary.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "gloss/base/reporter.h"
#include "gloss/sparse/kernels.h"
#include "gloss/sparse/row_source.h"

namespace gloss::sparse {

struct HistogramOptions {
  std::size_t bins = 50;
  std::size_t tokens = 4096;  // counted: all where there are no more, else as many at random; at most 65,535
  std::uint64_t seed = 1;
  std::size_t threads = 1;
  std::string stage = "logit histograms";  // what progress says, and where errors are
};

/// Shape: counts [F, bins] row-major; a row's sum is `tokens`.
struct LogitHistograms {
  std::size_t bins = 0, tokens = 0;
  std::vector<std::uint16_t> counts;
};

/// Bins of equal width from `low` to `high`, a latent's smallest and largest logit weight; the last one holds its upper
/// edge, and where both are equal everything is in the first. The counted tokens are the same for all latents.
/// Shapes: decoder [F, D]; unembedding [V, D] with the final norm folded in; low, high [F]. Memory: 2 F bins bytes, and
/// of the counted tokens' rows. Threads: `threads` workers; the result is the same for any number of them. Errors:
/// bad_input: a value is not finite. Requires: rows of equal width, V > 0.
LogitHistograms logit_histograms(const RowSource& decoder, const RowSource& unembedding, std::span<const float> low,
                                 std::span<const float> high, const HistogramOptions& options, Reporter& reporter,
                                 const Kernels& with = kernels());

}  // namespace gloss::sparse
