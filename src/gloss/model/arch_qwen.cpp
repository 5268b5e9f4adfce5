/// Qwen 2 and 2.5: Llama's layers with biases on query, key and value. Qwen 3: without them, with a norm of every
/// head's query and key, and heads of a width of their own. Source: Yang et al. 2024 (arXiv 2407.10671), 2025
/// (2505.09388).
#include "gloss/base/error.h"
#include "gloss/model/family.h"

namespace gloss::model {
namespace {

/// use_sliding_window: the layers from max_window_layers on see a window.
void read_windows(const formats::Fields& fields, Config& config) {
  if (!fields.boolean("use_sliding_window", false) || !fields.has("sliding_window")) return;
  const std::uint32_t window = read_size(fields, "sliding_window", kMaxContext);
  const std::uint64_t first = fields.integer("max_window_layers", 0, kMaxLayers, 28);
  if (fields.has("layer_types")) {
    set_windows(fields, config, window, [](std::uint32_t) { return false; });
    return;
  }
  for (std::uint32_t i = 0; i < config.layers; ++i) config.layer[i].window = i >= first ? window : 0;
}

}  // namespace

Config read_qwen2(const formats::Fields& fields) {
  Config config = read_llama_like(fields, {.max_context = 32768});
  config.qkv_bias = true;
  config.attn_out_bias = false;
  config.ropes = {read_rope(fields, config.max_context)};
  read_windows(fields, config);
  return config;
}

Config read_qwen3(const formats::Fields& fields) {
  Config config = read_llama_like(fields, {.max_context = 32768, .heads = {.default_width = 128}});
  config.qk_norm = true;
  config.ropes = {read_rope(fields, config.max_context)};
  read_windows(fields, config);
  return config;
}

}  // namespace gloss::model
