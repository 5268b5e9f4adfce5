#pragma once
/// Named places in a subject model.
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gloss::model {

/// In the order in which a pass computes them, but for layer_output, which is the name without a suffix.
/// The residual stream: layer_input before the layer, between after attention, layer_output after the MLP.
/// attn_input, mlp_input: what the sublayer reads, normalised. mlp_normed: the same before the norm's gain and bias:
/// centred (where the norm centres) and scaled to a mean square of 1. attn_heads: what the heads give, before the
/// output product. mlp_hidden: the MLP's neurons, after the activation (and times the gate). attn_output, mlp_output:
/// what the module gives; attn_added, mlp_added: what is added to the stream, where a norm lies between the two (Gemma
/// 2 and 3).
enum class Site : std::uint8_t {
  layer_output,
  layer_input,
  attn_input,
  attn_heads,
  attn_output,
  attn_added,
  between,
  mlp_normed,
  mlp_input,
  mlp_hidden,
  mlp_output,
  mlp_added
};

/// What decides which hookpoints there are.
struct HookpointRules {
  std::uint32_t layers = 0;     // 0 = not known: the layer is not checked
  bool sublayer_norms = false;  // attn_added and mlp_added exist
  bool parallel = false;        // `between` does not exist
  bool layer_norm = false;      // norms are LayerNorms, whose TransformerLens name means their whole output
};

struct Hookpoint {
  std::uint32_t layer = 0;
  Site site = Site::layer_output;

  /// Accepts the canonical name (`layers.5.mlp`), Hugging Face module paths with or without their wrapper
  /// (`model.layers.5.self_attn`, `transformer.h.5.attn`, `gpt_neox.layers.5.attention`,
  /// `layers.5.post_attention_layernorm`), and TransformerLens names (`blocks.5.hook_resid_post`,
  /// `blocks.5.mlp.hook_post`). Errors: usage when it is no hookpoint (lists the forms), when this model has none such
  /// (says why), or when the layer is not below rules.layers.
  static Hookpoint parse(std::string_view name, const HookpointRules& rules);
  /// The canonical name: `layers.5.mlp`.
  std::string name() const;
  auto operator<=>(const Hookpoint&) const = default;  // NOLINT(modernize-use-nullptr): clang-tidy 14 errs here
};

/// Every hookpoint of a layer, in the order of a pass.
std::vector<Hookpoint> hookpoints_of_layer(std::uint32_t layer, const HookpointRules& rules);

/// The input of the module whose output `hookpoint` names: where a transcoder reads. Errors: usage for a place that is
/// no output of a sublayer.
Hookpoint input_of(Hookpoint hookpoint);

}  // namespace gloss::model
