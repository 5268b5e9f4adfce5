/// The Llama family: RMSNorm before each sublayer, rotary positions in the rotate-half form, grouped-query attention,
/// SwiGLU, no biases. Source: Touvron et al. 2023 (arXiv 2302.13971 and 2307.09288); keys and tensor names as
/// transformers saves them.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "gloss/base/error.h"
#include "gloss/model/architecture.h"

namespace gloss::model {
namespace {

// Beyond what any published model has; a larger number is a damaged file, and must not become an allocation.
constexpr std::uint64_t kMaxLayers = 1024;
constexpr std::uint64_t kMaxWidth = 1 << 17;
constexpr std::uint64_t kMaxHeads = 4096;
constexpr std::uint64_t kMaxHeadWidth = 4096;
constexpr std::uint64_t kMaxHidden = 1 << 20;
constexpr std::uint64_t kMaxVocabulary = 1 << 24;
constexpr std::uint64_t kMaxContext = 1 << 28;

std::uint32_t size(const formats::Fields& fields, std::string_view key, std::uint64_t high,
                   std::optional<std::uint64_t> fallback = {}) {
  return static_cast<std::uint32_t>(fields.integer(key, 1, high, fallback));
}

double positive(const formats::Fields& fields, std::string_view key, double fallback) {
  const double value = fields.number(key, fallback);
  if (!(value > 0.0)) fail_input(fields.where(), fmt::format("'{}' is {}, wanted a number above 0", key, value));
  return value;
}

/// The kind of rotary scaling that `key` (rope_scaling, or rope_parameters of newer files) asks for.
void refuse_scaling(const formats::Fields& fields, std::string_view key) {
  if (!fields.has(key)) return;
  const formats::Fields rope(fields.at(key), fmt::format("{}: '{}'", fields.where(), key));
  const std::string_view type_key = rope.has("rope_type") ? "rope_type" : "type";
  const std::string type = rope.string(type_key, "default");
  if (type != "default")
    fail_input(rope.where(), fmt::format("has {} '{}', which is not supported yet; supported: default", type_key, type),
               "its positions would be wrong, so the model is refused rather than run without the scaling");
}

double read_rope_theta(const formats::Fields& fields) {
  constexpr double kDefault = 10000.0;
  refuse_scaling(fields, "rope_scaling");
  refuse_scaling(fields, "rope_parameters");
  if (!fields.has("rope_parameters")) return positive(fields, "rope_theta", kDefault);
  const formats::Fields rope(fields.at("rope_parameters"), fields.where() + ": 'rope_parameters'");
  return positive(rope, "rope_theta", positive(fields, "rope_theta", kDefault));
}

void refuse_biases(const formats::Fields& fields) {
  for (const std::string_view key : {"attention_bias", "mlp_bias"}) {
    if (fields.boolean(key, false))
      fail_input(fields.where(), fmt::format("'{}' is true, which is not supported yet", key));
  }
}

void read_heads(const formats::Fields& fields, Config& config) {
  config.heads = size(fields, "num_attention_heads", kMaxHeads);
  config.kv_heads = size(fields, "num_key_value_heads", kMaxHeads, config.heads);
  if (config.heads % config.kv_heads != 0)
    fail_input(fields.where(),
               fmt::format("'num_key_value_heads' is {}, which does not divide num_attention_heads = {}",
                           config.kv_heads, config.heads));
  if (fields.has("head_dim")) {
    config.head_width = size(fields, "head_dim", kMaxHeadWidth);
  } else if (config.width % config.heads == 0) {
    config.head_width = config.width / config.heads;
  } else {
    fail_input(fields.where(),
               fmt::format("'hidden_size' is {}, which is no multiple of num_attention_heads = {}", config.width,
                           config.heads),
               "a model whose heads have another width says so with 'head_dim'");
  }
  if (config.head_width % 2 != 0)
    fail_input(fields.where(),
               fmt::format("the width of a head is {}, wanted an even number: rotary positions turn pairs",
                           config.head_width));
}

}  // namespace

Config read_llama(const formats::Fields& fields) {
  Config config;
  config.layers = size(fields, "num_hidden_layers", kMaxLayers);
  config.width = size(fields, "hidden_size", kMaxWidth);
  config.hidden = size(fields, "intermediate_size", kMaxHidden);
  config.vocabulary = size(fields, "vocab_size", kMaxVocabulary);
  config.max_context = size(fields, "max_position_embeddings", kMaxContext, 2048);
  read_heads(fields, config);
  config.norm_epsilon = positive(fields, "rms_norm_eps", 1e-6);
  config.rope_theta = read_rope_theta(fields);
  config.tied_embeddings = fields.boolean("tie_word_embeddings", false);
  const std::string activation = fields.string("hidden_act", "silu");
  if (activation != "silu")
    fail_input(fields.where(),
               fmt::format("'hidden_act' is '{}', which is not supported; supported: silu", activation));
  refuse_biases(fields);
  return config;
}

std::vector<PlannedTensor> plan_llama(const Config& c) {
  const std::uint64_t width = c.width;
  const std::uint64_t hidden = c.hidden;
  const std::uint64_t queries = std::uint64_t{c.heads} * c.head_width;
  const std::uint64_t keys = std::uint64_t{c.kv_heads} * c.head_width;
  const std::string is_width = fmt::format("hidden_size = {}", width);
  const std::string is_words = fmt::format("vocab_size = {} and {}", c.vocabulary, is_width);
  const std::string is_queries =
      fmt::format("num_attention_heads = {} of {} each and {}", c.heads, c.head_width, is_width);
  const std::string is_keys =
      fmt::format("num_key_value_heads = {} of {} each and {}", c.kv_heads, c.head_width, is_width);
  const std::string is_hidden = fmt::format("intermediate_size = {} and {}", hidden, is_width);

  std::vector<PlannedTensor> plan{
      {"model.embed_tokens.weight", {c.vocabulary, width}, is_words, Part::embedding},
      {"model.norm.weight", {width}, is_width, Part::final_norm},
  };
  if (!c.tied_embeddings)
    plan.push_back(
        {"lm_head.weight", {c.vocabulary, width}, is_words + " (tie_word_embeddings is not true)", Part::head});
  for (std::uint32_t layer = 0; layer < c.layers; ++layer) {
    const auto add = [&](std::string_view name, std::vector<std::uint64_t> shape, const std::string& because, Part part,
                         std::uint64_t first_row = 0) {
      plan.push_back(
          {fmt::format("model.layers.{}.{}.weight", layer, name), std::move(shape), because, part, layer, first_row});
    };
    add("input_layernorm", {width}, is_width, Part::attn_norm);
    add("self_attn.q_proj", {queries, width}, is_queries, Part::qkv);
    add("self_attn.k_proj", {keys, width}, is_keys, Part::qkv, queries);
    add("self_attn.v_proj", {keys, width}, is_keys, Part::qkv, queries + keys);
    add("self_attn.o_proj", {width, queries}, is_queries, Part::attn_out);
    add("post_attention_layernorm", {width}, is_width, Part::mlp_norm);
    add("mlp.gate_proj", {hidden, width}, is_hidden, Part::gate_up);
    add("mlp.up_proj", {hidden, width}, is_hidden, Part::gate_up, hidden);
    add("mlp.down_proj", {width, hidden}, is_hidden, Part::down);
  }
  return plan;
}

}  // namespace gloss::model
