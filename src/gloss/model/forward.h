#pragma once
/// The forward pass: one loop over the layers, one hook. Only for .cpp files built on torch.
#include <ATen/core/Tensor.h>

#include <functional>

#include "gloss/model/attention.h"
#include "gloss/model/hookpoint.h"
#include "gloss/model/rotary.h"
#include "gloss/model/weights.h"

namespace gloss::model {

enum class After : std::uint8_t { go_on, stop };

/// Called at every hookpoint with the activation of that place, in the order in which a pass computes them. It may keep
/// the tensor (nothing writes to it afterwards), put another in its place, or end the pass.
using Hook = std::function<After(Hookpoint, at::Tensor& activation)>;

/// One layer's attention: what its queries take from the values they may look at. Shapes: q [B, T, H, E]; k, v
/// [B, T, G, E], any strides; result [B * T, H * E].
using Attend = std::function<at::Tensor(std::uint32_t layer, const at::Tensor& q, const at::Tensor& k,
                                        const at::Tensor& v, const AttentionOptions& options)>;

/// What a pass reads, where that stands, and what it may look at.
struct PassInput {
  at::Tensor tokens;               // [B, T] i64 on the device of the weights; ids below the vocabulary
  at::Tensor positions = {};       // [T] i64 on the same device, the same in every context; undefined: 0, 1 ... T - 1
  std::int64_t positions_end = 0;  // above all of them
  Attend attend = {};              // empty: every context looks at itself, causally (attend() of attention.h)
  bool normed = false;             // the hook is called at Site::mlp_normed too, whose value nothing else needs
};

/// The residual stream [N, D] after the last layer and the final norm; undefined when the hook ended the pass.
at::Tensor forward(const Config& config, const Weights& weights, const RotaryTable& rotary, const PassInput& input,
                   const Hook& hook);

/// Scores of every token of the vocabulary. Shapes: normed [N, D]; result [N, V] f32.
at::Tensor logits_of(const Config& config, const Weights& weights, const at::Tensor& normed);

}  // namespace gloss::model
