#pragma once
/// Controls that every score is shown beside.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/explain/explanation.h"

namespace gloss::score {

/// Name under which explanations of `explainer` that were moved to another latent are stored.
std::string shuffled_name(std::string_view explainer);
bool is_shuffled_name(std::string_view explainer);

/// Who gets whose explanation: item i gets that of item result[i]; nobody keeps his own. Items of one tenth of the
/// ranking by density trade among themselves, as long as a tenth has two; ties by latent. Deterministic in (seed,
/// hookpoint, latents), whatever their order. Empty when there are fewer than two. Shapes: latents [n], densities [n].
std::vector<std::size_t> derange(std::uint64_t seed, std::string_view hookpoint, std::span<const LatentId> latents,
                                 std::span<const double> densities);

/// The `shuffled` baseline of one hookpoint: every latent with another's explanation, in the order given. Explanations
/// that failed take no part. Shapes: explanations [n], densities [n]; at most n come back. Source: docs/methods.md 11,
/// "random explanation".
std::vector<explain::Explanation> shuffle_explanations(std::uint64_t seed, std::string_view hookpoint,
                                                       std::span<const explain::Explanation> explanations,
                                                       std::span<const double> densities);

}  // namespace gloss::score
