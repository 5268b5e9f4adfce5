#pragma once
/// Which latents fire at the same tokens.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "gloss/base/reporter.h"
#include "gloss/index/reader.h"

namespace gloss::index {

/// Shapes: latent, jaccard [F, n] row-major: descending Jaccard index, ties by ascending latent; kNoId (0xFFFFFFFF) and
/// 0 where there are fewer than n. Units: |A and B| / |A or B| of the positions at which two latents fire, 0 to 1.
struct Cooccurring {
  std::size_t n = 0;
  std::vector<std::uint32_t> latent;
  std::vector<float> jaccard;
};

struct CooccurrenceOptions {
  std::size_t n = 10;
  std::uint64_t min_count = 10;  // pairs with fewer common tokens do not count
  std::size_t threads = 1;
  std::uint64_t memory_bytes = std::uint64_t{1} << 30;
  std::string stage = "co-occurrence";  // what progress says
};

/// The n latents of largest Jaccard index with each latent. Exact: every firing of the index is counted, indexes are
/// compared as fractions, and the result does not depend on memory or threads. Every pair of firings at one token is
/// counted once for each of its sides: sum over tokens of (firings there)^2 steps; never F x F.
/// Memory: the latents that fire at each token, for as many latents at a time as memory_bytes holds (4 bytes a firing;
/// the whole index when it fits). Beside that 4 bytes a token, 8 F bytes for each thread and 20 F n bytes.
/// Requires: positions of `index` below its token_count(). Errors: bad_input naming the latent where one is not.
/// Source: docs/methods.md 12.
Cooccurring cooccurring(const Reader& index, const CooccurrenceOptions& options, Reporter& reporter);

}  // namespace gloss::index
