#pragma once
/// SAEDashboard's `batch-N.json`, as its runner for Neuronpedia writes it: docs/formats/sae-dashboard.md.
/// Source: jbloomAus/SAEDashboard @ db4839a, sae_dashboard/neuronpedia/.
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/examples/latent_page.h"

namespace gloss::examples {

/// Latents of one batch file.
inline constexpr std::size_t kDashboardBatch = 128;

/// Whose latents they are, and what they were seen on.
struct DashboardOrigin {
  std::string model_id, sae_set, dataset;
  std::uint32_t layer = 0, prompts = 0, tokens_in_prompt = 0;
};

/// The text of a batch file. Numbers are rounded to 5 decimal places, as they do it.
std::string dashboard_text(const DashboardOrigin& origin, std::span<const LatentPage> pages);

/// A batch file that was read. What gloss has no name for is kept and written again. Copies share it.
class DashboardBatch {
 public:
  /// Checks everything that page() gives. Errors: bad_input with the latent and the sequence: a key that is missing or
  /// of another type, lists of different lengths, a latent that comes twice.
  static DashboardBatch open(const std::filesystem::path& file);
  static DashboardBatch parse(std::string_view text, const std::string& where);

  /// In the order of the file.
  const std::vector<LatentId>& latents() const { return latents_; }
  /// "gpt2-small 0-res-jb".
  const std::string& name() const { return name_; }
  /// Without neighbours. Errors: bad_input when the file has no such latent (tells which it has).
  LatentPage page(LatentId latent) const;
  /// The text of a batch file of those latents, in this order. Errors: as page().
  std::string text(std::span<const LatentId> latents) const;

 private:
  std::size_t place_of(LatentId latent) const;

  std::shared_ptr<const nlohmann::json> json_;
  std::vector<LatentPage> pages_;
  std::vector<LatentId> latents_;
  std::string name_, where_;
};

}  // namespace gloss::examples
