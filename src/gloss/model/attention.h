#pragma once
/// Causal attention. Only for .cpp files built on torch.
#include <ATen/core/Tensor.h>

#include <cstdint>

namespace gloss::model {

struct AttentionShape {
  std::int64_t batch, length, heads, groups, width;  // B, T, H, G (key/value heads), E
};

struct AttentionOptions {
  double scale = 1.0;       // of q k^T
  double cap = 0.0;         // scores become cap * tanh(score / cap); 0 = none
  std::int64_t window = 0;  // keys that a query sees, itself included; 0 = all before it
};

/// softmax(cap(scale q k^T) + mask) v. Shapes: q [B, T, H, E]; k, v [B, T, G, E], any strides; result [B * T, H * E].
/// The H/G heads that share keys are rows of one product. Source: Vaswani et al. 2017, eq. 1; Ainslie et al. 2023;
/// windows: Beltagy et al. 2020; caps: Gemma 2 (arXiv 2408.00118), section 2.
at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const AttentionShape& shape,
                  const AttentionOptions& options);

}  // namespace gloss::model
