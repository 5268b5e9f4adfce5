#pragma once
/// What the files arch_NAME.cpp share: bounded reading of config.json, and the plan of models built like Llama.
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "gloss/model/architecture.h"

namespace gloss::model {

// Beyond what any published model has; a larger number is a damaged file, and must not become an allocation.
inline constexpr std::uint64_t kMaxLayers = 1024;
inline constexpr std::uint64_t kMaxWidth = 1 << 17;
inline constexpr std::uint64_t kMaxHeads = 4096;
inline constexpr std::uint64_t kMaxHeadWidth = 4096;
inline constexpr std::uint64_t kMaxHidden = 1 << 20;
inline constexpr std::uint64_t kMaxVocabulary = 1 << 24;
inline constexpr std::uint64_t kMaxContext = 1 << 28;

/// A whole number from 1 to `high`. Errors of all here: bad_input, as formats::Fields or as said.
std::uint32_t read_size(const formats::Fields& fields, std::string_view key, std::uint64_t high,
                        std::optional<std::uint64_t> fallback = {});
/// Above 0.
double read_positive(const formats::Fields& fields, std::string_view key, std::optional<double> fallback = {});
/// The number, or 0 where the key is missing or null.
double read_cap(const formats::Fields& fields, std::string_view key);
/// By its name in transformers. Errors: none of the known.
Activation read_activation(const formats::Fields& fields, std::string_view key, std::string_view fallback);

/// heads, kv_heads (= heads when `kv_key` is missing or empty) and head_width (head_dim, else D / H, else fallback).
struct HeadKeys {
  std::string_view heads = "num_attention_heads", kv_heads = "num_key_value_heads";
  std::optional<std::uint64_t> default_heads = {}, default_kv_heads = {}, default_width = {};
};
void read_heads(const formats::Fields& fields, Config& config, const HeadKeys& keys = {});

/// rope_theta and rope_scaling, or rope_parameters of newer files (by layer type: those of `layer_type`).
/// Errors: a scaling other than linear, llama3, yarn, and dynamic, which changes nothing within the model's context.
Rope read_rope(const formats::Fields& fields, std::uint32_t max_context, double default_theta = 10000.0,
               std::string_view layer_type = "full_attention");
/// partial_rotary_factor of the same, or `other_key`, or `fallback`.
double read_rotary_share(const formats::Fields& fields, std::string_view other_key, double fallback);

/// Fills config.layer: the same for all.
void set_layers(Config& config, double attention_scale, std::uint32_t window = 0);
/// Windows by layer_types ("full_attention", "sliding_attention") where that key is there; else by `is_local(layer)`.
/// Requires: set_layers before. Errors: a type that is neither, or another number of them than layers.
void set_windows(const formats::Fields& fields, Config& config, std::uint32_t window, bool (*is_local)(std::uint32_t));

/// The keys that Llama, Mistral, Qwen and Gemma share: sizes, heads, norm, activation, ties, biases.
struct LlamaDefaults {
  std::string_view activation = "silu";
  double norm_epsilon = 1e-6;
  bool tied = false;
  std::uint32_t max_context = 2048;
  HeadKeys heads = {};
  std::optional<std::uint64_t> vocabulary = {};
};
Config read_llama_like(const formats::Fields& fields, const LlamaDefaults& defaults);
/// Tensors of a model whose layers are called as Llama's are; q/k norms and norms after sublayers where config has
/// them.
std::vector<PlannedTensor> plan_llama_like(const Config& config);

/// Collects a plan; says the keys of config.json behind each shape. `keys` names width, hidden, vocabulary, heads.
class PlanBuilder {
 public:
  struct Keys {
    std::string_view width = "hidden_size", hidden = "intermediate_size", vocabulary = "vocab_size",
                     heads = "num_attention_heads";
  };
  PlanBuilder(const Config& config, const Keys& keys) : c_(config), keys_(keys) {}

  /// [D] and, with `bias_part`, a bias of the same shape.
  void norm(const std::string& name, Part part, std::uint32_t layer = 0);
  void norm_with_bias(const std::string& name, Part part, Part bias_part, std::uint32_t layer = 0);
  void embedding(const std::string& name, Part part);
  void positions(const std::string& name);
  /// A product [out, in] `NAME.weight`, and `NAME.bias` when asked for.
  struct Product {
    Part part, bias_part;
    std::uint64_t out, in;
    std::string because;
    bool bias = false, transposed = false;
    std::uint64_t first_row = 0;
    PlannedTensor::Pick pick = {};
  };
  void product(const std::string& name, std::uint32_t layer, const Product& p);

  void vector(const std::string& name, std::uint64_t length, const std::string& because, Part part,
              std::uint32_t layer);

  std::uint64_t queries() const { return std::uint64_t{c_.heads} * c_.head_width; }
  std::uint64_t keys() const { return std::uint64_t{c_.kv_heads} * c_.head_width; }
  std::string because_width() const;
  std::string because_hidden() const;
  std::string because_queries() const;
  std::string because_keys() const;

  std::vector<PlannedTensor> take() { return std::move(plan_); }

 private:
  const Config& c_;
  Keys keys_;
  std::vector<PlannedTensor> plan_;
};

// Rows of the table, by file.
Config read_llama(const formats::Fields& fields);     // arch_llama.cpp
Config read_mistral(const formats::Fields& fields);   // arch_mistral.cpp
Config read_qwen2(const formats::Fields& fields);     // arch_qwen.cpp
Config read_qwen3(const formats::Fields& fields);     // arch_qwen.cpp
Config read_gemma(const formats::Fields& fields);     // arch_gemma.cpp
Config read_gemma2(const formats::Fields& fields);    // arch_gemma.cpp
Config read_gemma3(const formats::Fields& fields);    // arch_gemma.cpp
Config read_gpt2(const formats::Fields& fields);      // arch_gpt2.cpp
Config read_gpt_neo(const formats::Fields& fields);   // arch_gpt_neo.cpp
Config read_gpt_neox(const formats::Fields& fields);  // arch_gpt_neox.cpp
std::vector<PlannedTensor> plan_gpt2(const Config& config);
std::vector<PlannedTensor> plan_gpt_neo(const Config& config);
std::vector<PlannedTensor> plan_gpt_neox(const Config& config);

}  // namespace gloss::model
