#pragma once
/// Exact encoding by libtorch operations, for devices other than the CPU. Only for .cpp files built on torch.
#include <ATen/core/Tensor.h>

#include "gloss/sparse/coder.h"

namespace gloss::sparse {

/// The K largest of relu(u weight^T + bias) of each row, where positive, ties to the lower index, rows in tiles so that
/// [N, F] is never held. Shapes: u [N, D], weight [F, D], bias [F], all f32 on one device; the result is on the host.
Encoded encode_with_torch(const at::Tensor& u, const at::Tensor& weight, const at::Tensor& bias, std::uint32_t k);
/// The largest of each of K runs of F / K latents, where positive; rows by ascending latent.
Encoded encode_groups_with_torch(const at::Tensor& u, const at::Tensor& weight, const at::Tensor& bias,
                                 std::uint32_t k);
/// Every z above its latent's threshold, as it is, rows by ascending latent. Shapes: threshold [F].
Encoded encode_above_with_torch(const at::Tensor& u, const at::Tensor& weight, const at::Tensor& bias,
                                const at::Tensor& threshold);

}  // namespace gloss::sparse
