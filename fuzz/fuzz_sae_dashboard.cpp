/// Any bytes are an Error or a batch of SAEDashboard that is written again the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "gloss/base/error.h"
#include "gloss/examples/sae_dashboard.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using gloss::examples::DashboardBatch;
  try {
    const auto batch = DashboardBatch::parse({reinterpret_cast<const char*>(data), size}, "fuzz");
    for (const gloss::LatentId latent : batch.latents()) {
      for (const auto& sequence : batch.page(latent).sequences) {
        if (sequence.tokens.size() != sequence.values.size()) std::abort();
        if (sequence.at >= 0 && static_cast<std::size_t>(sequence.at) >= sequence.tokens.size()) std::abort();
      }
    }
    const std::string text = batch.text(batch.latents());
    const auto again = DashboardBatch::parse(text, "written");
    if (again.text(again.latents()) != text) std::abort();
  } catch (const gloss::Error&) {
  }
  return 0;
}
