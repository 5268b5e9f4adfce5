/// GPT-Neo (also TinyStories): GPT-2's layers with scores that are not scaled, no biases on query, key and value, and a
/// window of keys in the "local" layers. Source: Black et al. 2021; keys and tensor names as transformers saves them.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "gloss/base/error.h"
#include "gloss/model/family.h"

namespace gloss::model {
namespace {

/// attention_layers, or attention_types: [[["global", "local"], 6]] = the two, six times over.
std::vector<std::string> attention_kinds(const formats::Fields& fields, std::uint32_t layers) {
  std::vector<std::string> kinds;
  const auto take = [&](const nlohmann::json& list) {
    if (!list.is_array()) fail_input(fields.where(), "the kinds of attention are no list");
    for (const nlohmann::json& kind : list) {
      if (kind != "global" && kind != "local")
        fail_input(fields.where(), fmt::format("has attention {}, wanted \"global\" or \"local\"", kind.dump()));
      kinds.push_back(kind.get<std::string>());
    }
  };
  if (fields.has("attention_layers")) {
    take(fields.at("attention_layers"));
  } else {
    const nlohmann::json standard = nlohmann::json::parse(fmt::format(R"([[["global", "local"], {}]])", layers / 2));
    const nlohmann::json& types = fields.has("attention_types") ? fields.at("attention_types") : standard;
    if (!types.is_array()) fail_input(fields.where(), "'attention_types' is no list");
    for (const nlohmann::json& entry : types) {
      if (!entry.is_array() || entry.size() != 2 || !entry[1].is_number_unsigned() || entry[1] > kMaxLayers)
        fail_input(fields.where(), fmt::format("'attention_types' has {}, wanted [kinds, times]", entry.dump()));
      for (std::uint64_t n = 0; n < entry[1].get<std::uint64_t>(); ++n) take(entry[0]);
    }
  }
  if (kinds.size() != layers)
    fail_input(fields.where(),
               fmt::format("gives the attention of {} layers, but num_layers = {}", kinds.size(), layers));
  return kinds;
}

}  // namespace

Config read_gpt_neo(const formats::Fields& fields) {
  Config config;
  config.layers = read_size(fields, "num_layers", kMaxLayers);
  config.width = read_size(fields, "hidden_size", kMaxWidth);
  config.hidden = read_size(fields, "intermediate_size", kMaxHidden, std::uint64_t{4} * config.width);
  config.vocabulary = read_size(fields, "vocab_size", kMaxVocabulary);
  config.max_context = read_size(fields, "max_position_embeddings", kMaxContext, 2048);
  read_heads(fields, config, {.heads = "num_heads", .kv_heads = ""});
  config.norm = Norm::layer;
  config.norm_epsilon = read_positive(fields, "layer_norm_epsilon", 1e-5);
  config.activation = read_activation(fields, "activation_function", "gelu_new");
  config.gated = false;
  config.attn_out_bias = config.mlp_bias = true;
  config.tied_embeddings = fields.boolean("tie_word_embeddings", true);
  set_layers(config, 1.0);
  const std::uint32_t window = read_size(fields, "window_size", kMaxContext, 256);
  const std::vector<std::string> kinds = attention_kinds(fields, config.layers);
  for (std::uint32_t i = 0; i < config.layers; ++i) config.layer[i].window = kinds[i] == "local" ? window : 0;
  return config;
}

std::vector<PlannedTensor> plan_gpt_neo(const Config& c) {
  PlanBuilder plan(c, {.heads = "num_heads"});
  plan.embedding("transformer.wte", Part::embedding);
  plan.positions("transformer.wpe");
  plan.norm_with_bias("transformer.ln_f", Part::final_norm, Part::final_norm_bias);
  if (!c.tied_embeddings) plan.embedding("lm_head", Part::head);
  const std::uint64_t width = c.width;
  const std::uint64_t heads = plan.queries();
  for (std::uint32_t layer = 0; layer < c.layers; ++layer) {
    const auto name = [&](std::string_view part) { return fmt::format("transformer.h.{}.{}", layer, part); };
    plan.norm_with_bias(name("ln_1"), Part::attn_norm, Part::attn_norm_bias, layer);
    std::uint64_t row = 0;
    for (const std::string_view part : {"q_proj", "k_proj", "v_proj"}) {
      plan.product(name(fmt::format("attn.attention.{}", part)), layer,
                   {Part::qkv, Part::qkv_bias, heads, width, plan.because_queries(), false, false, row});
      row += heads;
    }
    plan.product(name("attn.attention.out_proj"), layer,
                 {Part::attn_out, Part::attn_out_bias, width, heads, plan.because_queries(), true});
    plan.norm_with_bias(name("ln_2"), Part::mlp_norm, Part::mlp_norm_bias, layer);
    plan.product(name("mlp.c_fc"), layer,
                 {Part::mlp_in, Part::mlp_in_bias, c.hidden, width, plan.because_hidden(), true});
    plan.product(name("mlp.c_proj"), layer,
                 {Part::down, Part::down_bias, width, c.hidden, plan.because_hidden(), true});
  }
  return plan.take();
}

}  // namespace gloss::model
