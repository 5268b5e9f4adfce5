/// Gemma: embeddings times sqrt(D), norm weights stored as w - 1, gated GELU, heads of a width of their own.
/// Gemma 2: norms after the sublayers too, capped scores and logits, a sliding window in every other layer.
/// Gemma 3: q/k norms instead of caps, five layers of six with a window and rotary positions of their own.
/// Source: Gemma Team 2024 (arXiv 2403.08295, 2408.00118), 2025 (2503.19786); keys as transformers saves them.
#include <cmath>
#include <nlohmann/json.hpp>

#include "gloss/model/family.h"

namespace gloss::model {
namespace {

Config read_shared(const formats::Fields& fields, const LlamaDefaults& defaults) {
  Config config = read_llama_like(fields, defaults);
  // The first release said "gelu" in hidden_act and meant the approximation; hidden_activation, where given, is right.
  config.activation = read_activation(fields, "hidden_activation", "gelu_pytorch_tanh");
  config.gain_offset = 1.0;
  config.embedding_scale = std::sqrt(static_cast<double>(config.width));
  return config;
}

/// Queries are scaled by query_pre_attn_scalar^-1/2; scores and logits are capped.
void read_second(const formats::Fields& fields, Config& config, double default_scalar) {
  config.sublayer_norms = true;
  set_layers(config, 1.0 / std::sqrt(read_positive(fields, "query_pre_attn_scalar", default_scalar)));
  config.attention_cap = read_cap(fields, "attn_logit_softcapping");
  config.logit_cap = read_cap(fields, "final_logit_softcapping");
}

}  // namespace

Config read_gemma(const formats::Fields& fields) {
  Config config = read_shared(fields, {.activation = "gelu_pytorch_tanh",
                                       .tied = true,
                                       .max_context = 8192,
                                       .heads = {.default_width = 256},
                                       .vocabulary = 256000});
  config.ropes = {read_rope(fields, config.max_context)};
  return config;
}

Config read_gemma2(const formats::Fields& fields) {
  Config config = read_shared(fields, {.activation = "gelu_pytorch_tanh",
                                       .tied = true,
                                       .max_context = 8192,
                                       .heads = {.default_width = 256},
                                       .vocabulary = 256000});
  read_second(fields, config, 256.0);
  config.ropes = {read_rope(fields, config.max_context)};
  set_windows(fields, config, read_size(fields, "sliding_window", kMaxContext, 4096),
              [](std::uint32_t layer) { return layer % 2 == 0; });
  return config;
}

Config read_gemma3(const formats::Fields& outer) {
  // The models that see pictures keep the language model's keys in text_config, less those that have their default.
  const bool nested = outer.has("text_config");
  const formats::Fields fields =
      nested ? formats::Fields(outer.at("text_config"), outer.where() + ": 'text_config'") : outer;
  Config config = read_shared(fields, {.activation = "gelu_pytorch_tanh",
                                       .tied = true,
                                       .max_context = 131072,
                                       .heads = {.default_heads = 8, .default_kv_heads = 4, .default_width = 256},
                                       .vocabulary = 262208});
  read_second(fields, config, 256.0);
  config.qk_norm = true;
  config.ropes = {read_rope(fields, config.max_context, 1e6, "full_attention")};
  // The layers with a window have positions of their own, never scaled in the older files.
  Rope local;
  if (fields.has("rope_parameters")) {
    local = read_rope(fields, config.max_context, 1e4, "sliding_attention");
  } else {
    local.theta = read_positive(fields, "rope_local_base_freq", 1e4);
  }
  config.ropes.push_back(local);
  const std::uint32_t window = read_size(fields, "sliding_window", kMaxContext, 4096);
  const std::uint32_t pattern = read_size(fields, "sliding_window_pattern", kMaxLayers, 6);
  set_windows(fields, config, window, [](std::uint32_t) { return true; });
  for (std::uint32_t i = 0; i < config.layers; ++i) {
    if (!fields.has("layer_types") && (i + 1) % pattern == 0) config.layer[i].window = 0;
    config.layer[i].rope = config.layer[i].window == 0 ? 0 : 1;
  }
  return config;
}

}  // namespace gloss::model
