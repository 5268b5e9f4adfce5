/// GPT-2: LayerNorm with biases, learned positions, one product for query, key and value, weights stored as [in, out]
/// (Conv1D). Source: Radford et al. 2019; keys and tensor names as transformers saves them.
#include <fmt/format.h>

#include <cmath>

#include "gloss/base/error.h"
#include "gloss/model/family.h"

namespace gloss::model {

Config read_gpt2(const formats::Fields& fields) {
  Config config;
  config.layers = read_size(fields, "n_layer", kMaxLayers);
  config.width = read_size(fields, "n_embd", kMaxWidth);
  config.hidden = read_size(fields, "n_inner", kMaxHidden, std::uint64_t{4} * config.width);
  config.vocabulary = read_size(fields, "vocab_size", kMaxVocabulary);
  config.max_context = read_size(fields, "n_positions", kMaxContext, 1024);
  config.heads = config.kv_heads = read_size(fields, "n_head", kMaxHeads);
  if (config.width % config.heads != 0)
    fail_input(fields.where(),
               fmt::format("'n_embd' is {}, which is no multiple of n_head = {}", config.width, config.heads));
  config.head_width = config.width / config.heads;
  config.norm = Norm::layer;
  config.norm_epsilon = read_positive(fields, "layer_norm_epsilon", 1e-5);
  config.activation = read_activation(fields, "activation_function", "gelu_new");
  config.gated = false;
  config.qkv_bias = config.attn_out_bias = config.mlp_bias = true;
  config.tied_embeddings = fields.boolean("tie_word_embeddings", true);
  const bool scaled = fields.boolean("scale_attn_weights", true);
  set_layers(config, scaled ? 1.0 / std::sqrt(static_cast<double>(config.head_width)) : 1.0);
  if (fields.boolean("scale_attn_by_inverse_layer_idx", false)) {
    for (std::uint32_t i = 0; i < config.layers; ++i) config.layer[i].attention_scale /= i + 1.0;
  }
  return config;
}

std::vector<PlannedTensor> plan_gpt2(const Config& c) {
  PlanBuilder plan(c, {"n_embd", "n_inner", "vocab_size", "n_head"});
  plan.embedding("transformer.wte", Part::embedding);
  plan.positions("transformer.wpe");
  plan.norm_with_bias("transformer.ln_f", Part::final_norm, Part::final_norm_bias);
  if (!c.tied_embeddings) plan.embedding("lm_head", Part::head);
  for (std::uint32_t layer = 0; layer < c.layers; ++layer) {
    const auto name = [&](std::string_view part) { return fmt::format("transformer.h.{}.{}", layer, part); };
    const auto product = [&](std::string_view part, Part weight, Part bias, std::uint64_t out, std::uint64_t in,
                             const std::string& because) {
      plan.product(name(part), layer, {weight, bias, out, in, because, /*bias=*/true, /*transposed=*/true});
    };
    const std::uint64_t width = c.width;
    plan.norm_with_bias(name("ln_1"), Part::attn_norm, Part::attn_norm_bias, layer);
    product("attn.c_attn", Part::qkv, Part::qkv_bias, 3 * width, width, plan.because_width());
    product("attn.c_proj", Part::attn_out, Part::attn_out_bias, width, width, plan.because_width());
    plan.norm_with_bias(name("ln_2"), Part::mlp_norm, Part::mlp_norm_bias, layer);
    product("mlp.c_fc", Part::mlp_in, Part::mlp_in_bias, c.hidden, width, plan.because_hidden());
    product("mlp.c_proj", Part::down, Part::down_bias, width, c.hidden, plan.because_hidden());
  }
  return plan.take();
}

}  // namespace gloss::model
