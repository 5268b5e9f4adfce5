#pragma once
/// Named places in a subject model.
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace gloss::model {

/// layer_output: the residual stream after layer L (`layers.L`); the others: output or input of a sublayer
/// (`layers.L.mlp`, `layers.L.attn`, `layers.L.mlp.input`, `layers.L.attn.input`: what the module itself gives and
/// takes).
enum class Site : std::uint8_t { layer_output, attn_input, attn_output, mlp_input, mlp_output };

struct Hookpoint {
  std::uint32_t layer = 0;
  Site site = Site::layer_output;

  /// Accepts also `model.layers.L...` and `self_attn` for `attn`.
  /// Errors: usage when it is no hookpoint (lists the forms) or the layer is not below `layer_count` (0 = not checked).
  static Hookpoint parse(std::string_view name, std::uint32_t layer_count);
  /// The canonical name: `layers.5.mlp`.
  std::string name() const;
  auto operator<=>(const Hookpoint&) const = default;  // NOLINT(modernize-use-nullptr): clang-tidy 14 errs here
};

/// The input of the module whose output `hookpoint` names: where a transcoder reads. layer_output has none (usage
/// error).
Hookpoint input_of(Hookpoint hookpoint);

}  // namespace gloss::model
