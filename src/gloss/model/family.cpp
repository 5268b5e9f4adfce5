#include "gloss/model/family.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>
#include <utility>

#include "gloss/base/error.h"

namespace gloss::model {
namespace {

struct ActivationRow {
  std::string_view name;
  Activation activation;
};
constexpr std::array<ActivationRow, 8> kActivations{{{"silu", Activation::silu},
                                                     {"swish", Activation::silu},
                                                     {"gelu", Activation::gelu},
                                                     {"gelu_new", Activation::gelu_tanh},
                                                     {"gelu_pytorch_tanh", Activation::gelu_tanh},
                                                     {"gelu_fast", Activation::gelu_tanh},
                                                     {"gelu_python", Activation::gelu},
                                                     {"relu", Activation::relu}}};

/// Where rotary parameters stand: in an object of their own in newer files, in two keys in older ones.
std::optional<formats::Fields> rope_object(const formats::Fields& fields, std::string_view layer_type) {
  for (const std::string_view key : {"rope_parameters", "rope_scaling"}) {
    if (!fields.has(key)) continue;
    const std::string where = fmt::format("{}: '{}'", fields.where(), key);
    const formats::Fields rope(fields.at(key), where);
    if (rope.has(layer_type)) return formats::Fields(rope.at(layer_type), fmt::format("{}: '{}'", where, layer_type));
    return rope;
  }
  return std::nullopt;
}

void read_llama3(const formats::Fields& rope, Rope& out) {
  out.scaling = Rope::Scaling::llama3;
  out.factor = read_positive(rope, "factor");
  out.low_frequency_factor = read_positive(rope, "low_freq_factor", 1.0);
  out.high_frequency_factor = read_positive(rope, "high_freq_factor", 4.0);
  if (out.high_frequency_factor <= out.low_frequency_factor)
    fail_input(rope.where(), fmt::format("'high_freq_factor' is {}, wanted more than low_freq_factor = {}",
                                         out.high_frequency_factor, out.low_frequency_factor));
}

void read_yarn(const formats::Fields& rope, Rope& out) {
  out.scaling = Rope::Scaling::yarn;
  out.factor = read_positive(rope, "factor");
  out.beta_fast = read_positive(rope, "beta_fast", 32.0);
  out.beta_slow = read_positive(rope, "beta_slow", 1.0);
  for (const std::string_view key : {"mscale", "mscale_all_dim"}) {
    if (rope.has(key)) fail_input(rope.where(), fmt::format("has '{}', which is not supported", key));
  }
  const double grown = out.factor > 1.0 ? 0.1 * std::log(out.factor) + 1.0 : 1.0;
  out.amplitude = read_positive(rope, "attention_factor", grown);
}

}  // namespace

std::uint32_t read_size(const formats::Fields& fields, std::string_view key, std::uint64_t high,
                        std::optional<std::uint64_t> fallback) {
  return static_cast<std::uint32_t>(fields.integer(key, 1, high, fallback));
}

double read_positive(const formats::Fields& fields, std::string_view key, std::optional<double> fallback) {
  const double value = fields.number(key, fallback);
  if (!(value > 0.0)) fail_input(fields.where(), fmt::format("'{}' is {}, wanted a number above 0", key, value));
  return value;
}

double read_cap(const formats::Fields& fields, std::string_view key) {
  return fields.has(key) ? read_positive(fields, key) : 0.0;
}

Activation read_activation(const formats::Fields& fields, std::string_view key, std::string_view fallback) {
  const std::string name = fields.string(key, std::string(fallback));
  std::string known;
  for (const ActivationRow& row : kActivations) {
    if (row.name == name) return row.activation;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", row.name);
  }
  fail_input(fields.where(), fmt::format("'{}' is '{}', which is not supported; supported: {}", key, name, known));
}

void read_heads(const formats::Fields& fields, Config& config, const HeadKeys& keys) {
  config.heads = read_size(fields, keys.heads, kMaxHeads, keys.default_heads);
  config.kv_heads = keys.kv_heads.empty()
                        ? config.heads
                        : read_size(fields, keys.kv_heads, kMaxHeads, keys.default_kv_heads.value_or(config.heads));
  if (config.heads % config.kv_heads != 0)
    fail_input(fields.where(), fmt::format("'{}' is {}, which does not divide {} = {}", keys.kv_heads, config.kv_heads,
                                           keys.heads, config.heads));
  if (fields.has("head_dim") || keys.default_width) {
    config.head_width = read_size(fields, "head_dim", kMaxHeadWidth, keys.default_width);
  } else if (config.width % config.heads == 0) {
    config.head_width = config.width / config.heads;
  } else {
    fail_input(
        fields.where(),
        fmt::format("'hidden_size' is {}, which is no multiple of {} = {}", config.width, keys.heads, config.heads),
        "a model whose heads have another width says so with 'head_dim'");
  }
}

Rope read_rope(const formats::Fields& fields, std::uint32_t max_context, double default_theta,
               std::string_view layer_type) {
  Rope out;
  out.theta = read_positive(fields, "rope_theta", default_theta);
  const std::optional<formats::Fields> rope = rope_object(fields, layer_type);
  if (!rope) return out;
  out.theta = read_positive(*rope, "rope_theta", out.theta);
  const std::string_view type_key = rope->has("rope_type") ? "rope_type" : "type";
  const std::string type = rope->string(type_key, "default");
  out.original_context =
      static_cast<double>(read_size(*rope, "original_max_position_embeddings", kMaxContext,
                                    fields.integer("original_max_position_embeddings", 1, kMaxContext, max_context)));
  if (type == "linear") {
    out.scaling = Rope::Scaling::linear;
    out.factor = read_positive(*rope, "factor");
  } else if (type == "llama3") {
    read_llama3(*rope, out);
  } else if (type == "yarn") {
    read_yarn(*rope, out);
  } else if (type != "default" && type != "dynamic") {
    fail_input(rope->where(),
               fmt::format("has {} '{}', which is not supported; supported: default, linear, llama3, yarn, dynamic",
                           type_key, type),
               "its positions would be wrong, so the model is refused rather than run without the scaling");
  }
  return out;
}

double read_rotary_share(const formats::Fields& fields, std::string_view other_key, double fallback) {
  const std::optional<formats::Fields> rope = rope_object(fields, "full_attention");
  double share = fields.number(other_key, fallback);
  share = fields.number("partial_rotary_factor", share);
  if (rope) share = rope->number("partial_rotary_factor", share);
  if (!(share > 0.0 && share <= 1.0))
    fail_input(fields.where(), fmt::format("the share of a head that turns is {}, wanted above 0, at most 1", share));
  return share;
}

void set_layers(Config& config, double attention_scale, std::uint32_t window) {
  config.layer.assign(config.layers, LayerConfig{window, 0, attention_scale});
}

void set_windows(const formats::Fields& fields, Config& config, std::uint32_t window, bool (*is_local)(std::uint32_t)) {
  if (!fields.has("layer_types")) {
    for (std::uint32_t i = 0; i < config.layers; ++i) config.layer[i].window = is_local(i) ? window : 0;
    return;
  }
  const nlohmann::json& types = fields.at("layer_types");
  if (!types.is_array() || types.size() != config.layers)
    fail_input(fields.where(), fmt::format("'layer_types' is no list of {} layers", config.layers));
  for (std::uint32_t i = 0; i < config.layers; ++i) {
    const bool local = types[i] == "sliding_attention";
    if (!local && types[i] != "full_attention")
      fail_input(fields.where(), fmt::format("'layer_types' of layer {} is {}, wanted \"full_attention\" or "
                                             "\"sliding_attention\"",
                                             i, types[i].dump()));
    config.layer[i].window = local ? window : 0;
  }
}

Config read_llama_like(const formats::Fields& fields, const LlamaDefaults& defaults) {
  Config config;
  config.layers = read_size(fields, "num_hidden_layers", kMaxLayers);
  config.width = read_size(fields, "hidden_size", kMaxWidth);
  config.hidden = read_size(fields, "intermediate_size", kMaxHidden);
  config.vocabulary = read_size(fields, "vocab_size", kMaxVocabulary, defaults.vocabulary);
  config.max_context = read_size(fields, "max_position_embeddings", kMaxContext, defaults.max_context);
  read_heads(fields, config, defaults.heads);
  if (config.head_width % 2 != 0)
    fail_input(fields.where(),
               fmt::format("the width of a head is {}, wanted an even number: rotary positions turn pairs",
                           config.head_width));
  config.norm_epsilon = read_positive(fields, "rms_norm_eps", defaults.norm_epsilon);
  config.rotary_width = config.head_width;
  config.tied_embeddings = fields.boolean("tie_word_embeddings", defaults.tied);
  config.activation = read_activation(fields, "hidden_act", defaults.activation);
  config.qkv_bias = config.attn_out_bias = fields.boolean("attention_bias", false);
  config.mlp_bias = fields.boolean("mlp_bias", false);
  set_layers(config, 1.0 / std::sqrt(static_cast<double>(config.head_width)));
  return config;
}

std::vector<PlannedTensor> plan_llama_like(const Config& c) {
  PlanBuilder plan(c, {});
  plan.embedding("model.embed_tokens", Part::embedding);
  plan.norm("model.norm", Part::final_norm);
  if (!c.tied_embeddings) plan.embedding("lm_head", Part::head);
  const std::uint64_t queries = plan.queries();
  const std::uint64_t keys = plan.keys();
  const std::uint64_t width = c.width;
  const std::uint64_t hidden = c.hidden;
  for (std::uint32_t layer = 0; layer < c.layers; ++layer) {
    const auto name = [&](std::string_view part) { return fmt::format("model.layers.{}.{}", layer, part); };
    const auto qkv = [&](std::string_view part, std::uint64_t rows, std::uint64_t first, const std::string& because) {
      plan.product(name(part), layer,
                   {Part::qkv, Part::qkv_bias, rows, width, because, c.qkv_bias, /*transposed=*/false, first});
    };
    plan.norm(name("input_layernorm"), Part::attn_norm, layer);
    qkv("self_attn.q_proj", queries, 0, plan.because_queries());
    qkv("self_attn.k_proj", keys, queries, plan.because_keys());
    qkv("self_attn.v_proj", keys, queries + keys, plan.because_keys());
    if (c.qk_norm) {
      const std::string because = fmt::format("a head's width = {}", c.head_width);
      plan.vector(name("self_attn.q_norm.weight"), c.head_width, because, Part::q_norm, layer);
      plan.vector(name("self_attn.k_norm.weight"), c.head_width, because, Part::k_norm, layer);
    }
    plan.product(name("self_attn.o_proj"), layer,
                 {Part::attn_out, Part::attn_out_bias, width, queries, plan.because_queries(), c.attn_out_bias});
    if (c.sublayer_norms) {
      plan.norm(name("post_attention_layernorm"), Part::attn_post_norm, layer);
      plan.norm(name("pre_feedforward_layernorm"), Part::mlp_norm, layer);
      plan.norm(name("post_feedforward_layernorm"), Part::mlp_post_norm, layer);
    } else {
      plan.norm(name("post_attention_layernorm"), Part::mlp_norm, layer);
    }
    const std::string because = plan.because_hidden();
    plan.product(name("mlp.gate_proj"), layer, {Part::mlp_in, Part::mlp_in_bias, hidden, width, because, c.mlp_bias});
    plan.product(name("mlp.up_proj"), layer,
                 {Part::mlp_in, Part::mlp_in_bias, hidden, width, because, c.mlp_bias, /*transposed=*/false, hidden});
    plan.product(name("mlp.down_proj"), layer, {Part::down, Part::down_bias, width, hidden, because, c.mlp_bias});
  }
  return plan.take();
}

void PlanBuilder::vector(const std::string& name, std::uint64_t length, const std::string& because, Part part,
                         std::uint32_t layer) {
  plan_.push_back({name, {length}, because, part, layer});
}

void PlanBuilder::norm(const std::string& name, Part part, std::uint32_t layer) {
  vector(name + ".weight", c_.width, because_width(), part, layer);
}

void PlanBuilder::norm_with_bias(const std::string& name, Part part, Part bias_part, std::uint32_t layer) {
  norm(name, part, layer);
  vector(name + ".bias", c_.width, because_width(), bias_part, layer);
}

void PlanBuilder::embedding(const std::string& name, Part part) {
  plan_.push_back({name + ".weight",
                   {c_.vocabulary, c_.width},
                   fmt::format("{} = {} and {}{}", keys_.vocabulary, c_.vocabulary, because_width(),
                               part == Part::head ? " (tie_word_embeddings is not true)" : ""),
                   part});
}

void PlanBuilder::positions(const std::string& name) {
  plan_.push_back({name + ".weight",
                   {c_.max_context, c_.width},
                   fmt::format("{} positions and {}", c_.max_context, because_width()),
                   Part::positions});
}

void PlanBuilder::product(const std::string& name, std::uint32_t layer, const Product& p) {
  std::vector<std::uint64_t> shape{p.out, p.in};
  if (p.transposed) std::swap(shape[0], shape[1]);
  plan_.push_back({name + ".weight", shape, p.because, p.part, layer, p.first_row, p.transposed, p.pick});
  if (p.bias)
    plan_.push_back(
        {name + ".bias", {p.out}, p.because, p.bias_part, layer, p.first_row, /*transposed=*/false, p.pick});
}

std::string PlanBuilder::because_width() const { return fmt::format("{} = {}", keys_.width, c_.width); }
std::string PlanBuilder::because_hidden() const {
  return fmt::format("{} = {} and {}", keys_.hidden, c_.hidden, because_width());
}
std::string PlanBuilder::because_queries() const {
  return fmt::format("{} = {} of {} each and {}", keys_.heads, c_.heads, c_.head_width, because_width());
}
std::string PlanBuilder::because_keys() const {
  return fmt::format("num_key_value_heads = {} of {} each and {}", c_.kv_heads, c_.head_width, because_width());
}

}  // namespace gloss::model
