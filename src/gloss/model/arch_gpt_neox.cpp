/// GPT-NeoX and Pythia: attention and MLP read the same stream (parallel residual), a part of each head turns (partial
/// rotary), and query, key and value of a head lie beside each other in one tensor. Source: Black et al. 2022 (arXiv
/// 2204.06745); keys and tensor names as transformers saves them.
#include <fmt/format.h>

#include <cmath>

#include "gloss/base/error.h"
#include "gloss/model/family.h"

namespace gloss::model {

Config read_gpt_neox(const formats::Fields& fields) {
  Config config;
  config.layers = read_size(fields, "num_hidden_layers", kMaxLayers);
  config.width = read_size(fields, "hidden_size", kMaxWidth);
  config.hidden = read_size(fields, "intermediate_size", kMaxHidden);
  config.vocabulary = read_size(fields, "vocab_size", kMaxVocabulary);
  config.max_context = read_size(fields, "max_position_embeddings", kMaxContext, 2048);
  read_heads(fields, config, {.kv_heads = ""});
  config.norm = Norm::layer;
  config.norm_epsilon = read_positive(fields, "layer_norm_eps", 1e-5);
  config.activation = read_activation(fields, "hidden_act", "gelu");
  config.gated = false;
  config.qkv_bias = config.attn_out_bias = fields.boolean("attention_bias", true);
  config.mlp_bias = true;
  config.parallel = fields.boolean("use_parallel_residual", true);
  config.tied_embeddings = fields.boolean("tie_word_embeddings", false);
  config.ropes = {read_rope(fields, config.max_context, read_positive(fields, "rotary_emb_base", 10000.0))};
  config.rotary_width = static_cast<std::uint32_t>(config.head_width * read_rotary_share(fields, "rotary_pct", 0.25));
  if (config.rotary_width == 0 || config.rotary_width % 2 != 0)
    fail_input(fields.where(), fmt::format("{} values of each head of {} turn, wanted an even number: rotary positions "
                                           "turn pairs",
                                           config.rotary_width, config.head_width));
  set_layers(config, 1.0 / std::sqrt(static_cast<double>(config.head_width)));
  return config;
}

std::vector<PlannedTensor> plan_gpt_neox(const Config& c) {
  PlanBuilder plan(c, {});
  plan.embedding("gpt_neox.embed_in", Part::embedding);
  plan.norm_with_bias("gpt_neox.final_layer_norm", Part::final_norm, Part::final_norm_bias);
  if (!c.tied_embeddings) plan.embedding("embed_out", Part::head);
  const std::uint64_t width = c.width;
  const std::uint64_t heads = plan.queries();
  for (std::uint32_t layer = 0; layer < c.layers; ++layer) {
    const auto name = [&](std::string_view part) { return fmt::format("gpt_neox.layers.{}.{}", layer, part); };
    plan.norm_with_bias(name("input_layernorm"), Part::attn_norm, Part::attn_norm_bias, layer);
    // Rows of the tensor: for each head its query, its key, its value; a part has all queries, all keys, all values.
    for (std::uint64_t i = 0; i < 3; ++i) {
      plan.product(name("attention.query_key_value"), layer,
                   {Part::qkv,
                    Part::qkv_bias,
                    3 * heads,
                    width,
                    plan.because_queries(),
                    c.qkv_bias,
                    /*transposed=*/false,
                    i * heads,
                    {c.head_width, std::uint64_t{3} * c.head_width, i * c.head_width}});
    }
    plan.product(name("attention.dense"), layer,
                 {Part::attn_out, Part::attn_out_bias, width, heads, plan.because_queries(), c.attn_out_bias});
    plan.norm_with_bias(name("post_attention_layernorm"), Part::mlp_norm, Part::mlp_norm_bias, layer);
    plan.product(name("mlp.dense_h_to_4h"), layer,
                 {Part::mlp_in, Part::mlp_in_bias, c.hidden, width, plan.because_hidden(), true});
    plan.product(name("mlp.dense_4h_to_h"), layer,
                 {Part::down, Part::down_bias, width, c.hidden, plan.because_hidden(), true});
  }
  return plan.take();
}

}  // namespace gloss::model
