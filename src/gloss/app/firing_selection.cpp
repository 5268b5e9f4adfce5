#include "gloss/app/firing_selection.h"

#include <fmt/format.h>

#include <cmath>

#include "gloss/base/error.h"
#include "gloss/base/hash.h"
#include "gloss/examples/examples.h"

namespace gloss::app {
namespace {

constexpr const char* kAll = "all";

}  // namespace

void add_firing_selection(CLI::App& cli, FiringSelection& selection) {
  cli.add_option("--threshold", selection.threshold, "keep only activations above this");
  cli.add_option("--latents", selection.latents,
                 "keep only these latents: 0-99,512 or random:300 or all or file:LIST.csv (hookpoint,latent)");
}

KeptFirings::KeptFirings(const FiringSelection& selection, const std::string& hookpoint, std::uint32_t latent_count,
                         std::uint64_t seed)
    : kept_(latent_count), threshold_(static_cast<float>(selection.threshold)) {
  if (!(selection.threshold >= 0.0) || !std::isfinite(threshold_))
    throw Error(ErrorKind::usage, "--threshold", fmt::format("is {}, wanted a number from 0", selection.threshold));
  if (threshold_ > 0.0F) settings_["threshold"] = fmt::format("{}", threshold_);
  if (selection.latents == kAll) return;
  const auto chosen = examples::LatentSpec::parse(selection.latents)
                          .select(hookpoint, latent_count, seed, std::vector<bool>(latent_count, true));
  latents_.resize(latent_count, 0);
  for (const LatentId f : chosen) latents_[to_index(f)] = 1;
  kept_ = chosen.size();
  settings_["latents"] = selection.latents;
  settings_["latents_chosen"] = fmt::format("{} {}", kept_, hash_hex(std::as_bytes(std::span(latents_))));
}

void KeptFirings::collect(const sparse::Encoded& encoded, std::span<const TokenId> ids,
                          const std::vector<bool>& special, std::uint64_t first_position, std::uint64_t resume_position,
                          std::vector<index::Firing>& kept, std::vector<index::Firing>& at_special) const {
  kept.clear();
  at_special.clear();
  for (std::size_t row = 0; row < ids.size(); ++row) {
    const std::uint64_t position = first_position + row;
    if (position < resume_position) continue;
    std::vector<index::Firing>& out = special[to_index(ids[row])] ? at_special : kept;
    for (std::uint64_t j = encoded.offsets[row]; j < encoded.offsets[row + 1]; ++j) {
      // What is no number goes on to the writer, which refuses it and says where.
      if (encoded.value[j] <= threshold_ && encoded.value[j] > 0.0F) continue;
      if (!latents_.empty() && latents_[encoded.latent[j]] == 0) continue;
      out.push_back({encoded.latent[j], static_cast<std::uint32_t>(position), encoded.value[j]});
    }
  }
}

}  // namespace gloss::app
