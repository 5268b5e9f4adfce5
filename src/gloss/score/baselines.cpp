#include "gloss/score/baselines.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "gloss/base/random.h"

namespace gloss::score {
namespace {

constexpr std::string_view kPrefix = "shuffled:";
constexpr std::size_t kGroups = 10;

}  // namespace

std::string shuffled_name(std::string_view explainer) { return std::string(kPrefix).append(explainer); }

bool is_shuffled_name(std::string_view explainer) { return explainer.starts_with(kPrefix); }

std::vector<std::size_t> derange(std::uint64_t seed, std::string_view hookpoint, std::span<const LatentId> latents,
                                 std::span<const double> densities) {
  const std::size_t n = std::min(latents.size(), densities.size());
  if (n < 2) return {};
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::pair(densities[a], latents[a]) < std::pair(densities[b], latents[b]);
  });
  std::vector<std::size_t> from(n);
  const std::size_t groups = std::min(kGroups, n / 2);
  for (std::size_t g = 0; g < groups; ++g) {
    const std::size_t first = g * n / groups;
    const auto group = std::span(order).subspan(first, (g + 1) * n / groups - first);
    // A random cycle through the group: everybody takes the explanation of the next one.
    Random random = Random::for_latent(seed, hookpoint, LatentId{0}, "shuffled-explanations", g);
    random.shuffle(group);
    for (std::size_t i = 0; i < group.size(); ++i) from[group[i]] = group[(i + 1) % group.size()];
  }
  return from;
}

std::vector<explain::Explanation> shuffle_explanations(std::uint64_t seed, std::string_view hookpoint,
                                                       std::span<const explain::Explanation> explanations,
                                                       std::span<const double> densities) {
  std::vector<const explain::Explanation*> good;
  std::vector<LatentId> latents;
  std::vector<double> good_densities;
  for (std::size_t i = 0; i < std::min(explanations.size(), densities.size()); ++i) {
    if (!explanations[i].ok()) continue;
    good.push_back(&explanations[i]);
    latents.push_back(explanations[i].latent);
    good_densities.push_back(densities[i]);
  }
  std::vector<explain::Explanation> moved;
  for (const std::size_t from : derange(seed, hookpoint, latents, good_densities)) {
    moved.push_back(*good[from]);
    moved.back().latent = latents[moved.size() - 1];
  }
  return moved;
}

}  // namespace gloss::score
