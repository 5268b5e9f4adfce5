#pragma once
/// What config.json says of a model, in the terms that the forward pass is driven by; no family is named in it.
#include <cstdint>
#include <string>
#include <vector>

#include "gloss/model/hookpoint.h"

namespace gloss::model {

enum class Norm : std::uint8_t { rms, layer };
/// gelu_tanh: the approximation of Hendrycks and Gimpel 2016 (gelu_new, gelu_pytorch_tanh).
enum class Activation : std::uint8_t { silu, gelu, gelu_tanh, relu };

/// Rotary positions. Source: Su et al. 2021; scaled for longer contexts: linear (Chen et al. 2023), llama3 (Llama 3.1's
/// model card), yarn (Peng et al. 2023), with the fields' names as in transformers.
struct Rope {
  enum class Scaling : std::uint8_t { none, linear, llama3, yarn };
  double theta = 10000.0;
  Scaling scaling = Scaling::none;
  double factor = 1.0;
  double low_frequency_factor = 1.0, high_frequency_factor = 4.0;  // llama3
  double beta_fast = 32.0, beta_slow = 1.0;                        // yarn
  double amplitude = 1.0;                                          // yarn: of cos and sin ("attention_factor")
  double original_context = 0.0;                                   // llama3, yarn
  bool operator==(const Rope&) const = default;
};

/// What may differ between the layers of one model.
struct LayerConfig {
  std::uint32_t window = 0;      // keys a query sees, itself included; 0 = all before it
  std::uint32_t rope = 0;        // index into Config::ropes
  double attention_scale = 0.0;  // of q k^T
  bool operator==(const LayerConfig&) const = default;
};

struct Config {
  std::string architecture;  // row of the table: "llama"
  std::uint32_t layers = 0, width = 0, heads = 0, kv_heads = 0, head_width = 0, hidden = 0, vocabulary = 0;
  std::uint32_t max_context = 0;
  std::vector<LayerConfig> layer;  // [layers]

  Norm norm = Norm::rms;
  double norm_epsilon = 1e-5;
  double gain_offset = 0.0;     // added to stored norm weights (Gemma stores w - 1)
  bool sublayer_norms = false;  // a norm of what a sublayer gives, before it is added (Gemma 2)
  bool qk_norm = false;         // an RMSNorm of every head's query and key
  bool parallel = false;        // the MLP reads the stream before attention was added (NeoX)

  std::vector<Rope> ropes;         // empty: learned positions
  std::uint32_t rotary_width = 0;  // leading values of a head that turn

  Activation activation = Activation::silu;
  bool gated = true;  // act(x gate) * (x up)
  bool qkv_bias = false, attn_out_bias = false, mlp_bias = false;

  double embedding_scale = 1.0;
  double attention_cap = 0.0, logit_cap = 0.0;  // cap * tanh(x / cap); 0 = none
  bool tied_embeddings = false;

  HookpointRules hookpoints() const { return {layers, sublayer_norms, parallel, norm == Norm::layer}; }
};

}  // namespace gloss::model
