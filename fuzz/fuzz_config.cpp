/// config.json from anywhere: it is a Config whose plan is bounded, or an Error; never anything else.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "gloss/base/error.h"
#include "gloss/model/architecture.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const gloss::model::Config config = gloss::model::parse_config(text, "config.json");
    const bool whole = config.heads % config.kv_heads == 0 && config.head_width % 2 == 0 && config.norm_epsilon > 0.0;
    if (!whole) std::abort();
    // Long plans take long to write and differ only in the number of the layer.
    constexpr std::uint32_t kFewLayers = 8;
    if (config.layers <= kFewLayers && gloss::model::architecture_of(config).plan(config).empty()) std::abort();
  } catch (const gloss::Error&) {
  }
  return 0;
}
