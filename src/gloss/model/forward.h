#pragma once
/// The forward pass: one loop over the layers, one hook. Only for .cpp files built on torch.
#include <ATen/core/Tensor.h>

#include <functional>

#include "gloss/model/hookpoint.h"
#include "gloss/model/rotary.h"
#include "gloss/model/weights.h"

namespace gloss::model {

enum class After : std::uint8_t { go_on, stop };

/// Called at every hookpoint with the activation of that place, in the order in which a pass computes them. It may keep
/// the tensor (nothing writes to it afterwards), put another in its place, or end the pass.
using Hook = std::function<After(Hookpoint, at::Tensor& activation)>;

/// `normed`: whether the hook is called at Site::mlp_normed too, whose value nothing but such a call needs.
/// The residual stream [N, D] after the last layer and the final norm; undefined when the hook ended the pass.
/// Shapes: tokens [B, T] i64 on the device of the weights. Requires: ids below the vocabulary.
at::Tensor forward(const Config& config, const Weights& weights, const RotaryTable& rotary, const at::Tensor& tokens,
                   const Hook& hook, bool normed = false);

/// Scores of every token of the vocabulary. Shapes: normed [N, D]; result [N, V] f32.
at::Tensor logits_of(const Config& config, const Weights& weights, const at::Tensor& normed);

}  // namespace gloss::model
