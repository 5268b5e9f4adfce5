/// Mistral: Llama's layers, in which every query sees a window of keys. Source: Jiang et al. 2023 (arXiv 2310.06825).
#include <cmath>

#include "gloss/model/family.h"

namespace gloss::model {

Config read_mistral(const formats::Fields& fields) {
  Config config = read_llama_like(fields, {.max_context = 131072});
  config.ropes = {read_rope(fields, config.max_context)};
  const std::uint32_t window = fields.has("sliding_window") ? read_size(fields, "sliding_window", kMaxContext) : 0;
  set_layers(config, config.layer[0].attention_scale, window);
  return config;
}

}  // namespace gloss::model
