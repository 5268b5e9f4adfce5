#pragma once
/// Where a pass may work in place, and where gradients will go back over its steps. Only for .cpp files built on torch.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace gloss::model {

/// Whether what is computed of x is recorded for gradients, so that nothing computed of it may be written over.
inline bool keeps_steps(const at::Tensor& x) { return at::GradMode::is_enabled() && x.requires_grad(); }

/// cap * tanh(x / cap), in x's own memory where it may be.
inline at::Tensor capped(const at::Tensor& x, double cap) {
  if (keeps_steps(x)) return x.div(cap).tanh().mul(cap);
  return x.div_(cap).tanh_().mul_(cap);
}

}  // namespace gloss::model
