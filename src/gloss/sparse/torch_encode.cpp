#include "gloss/sparse/torch_encode.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace gloss::sparse {

Encoded encode_with_torch(const at::Tensor& u, const at::Tensor& weight, const at::Tensor& bias, std::uint32_t k) {
  constexpr std::int64_t kTileValues = std::int64_t{1} << 26;
  constexpr std::int64_t kLowBits = 32;
  const std::int64_t rows = u.size(0);
  const std::int64_t latents = weight.size(0);
  const std::int64_t tile = std::max<std::int64_t>(1, kTileValues / latents);
  const at::TensorOptions on_device = u.options().dtype(at::kLong);
  const at::Tensor rank = latents - 1 - at::arange(latents, on_device);  // higher for lower latents
  Encoded out;
  out.k = k;
  out.latent.resize(static_cast<std::size_t>(rows) * k);
  out.value.resize(out.latent.size());
  for (std::int64_t first = 0; first < rows; first += tile) {
    const std::int64_t count = std::min(tile, rows - first);
    const at::Tensor z = at::relu(at::addmm(bias, u.narrow(0, first, count), weight.t()));
    // topk breaks ties as it likes, so it sorts whole numbers that have none: bits of the value (ordered as the value
    // is, for floats that are not negative), then the latent. Adding 0 makes -0 a plain 0.
    const at::Tensor bits = (z + 0.0).view(at::kInt).to(at::kLong);
    const at::Tensor keys = bits.mul(std::int64_t{1} << kLowBits).add_(rank);
    const at::Tensor best = std::get<1>(keys.topk(k, 1, true, true));
    const at::Tensor values = z.gather(1, best).to(at::kCPU).contiguous();
    const at::Tensor indices = best.to(at::kCPU).contiguous();
    const std::size_t at = static_cast<std::size_t>(first) * k;
    std::copy_n(values.data_ptr<float>(), values.numel(), out.value.data() + at);
    std::transform(indices.data_ptr<std::int64_t>(), indices.data_ptr<std::int64_t>() + indices.numel(),
                   out.latent.data() + at, [](std::int64_t i) { return static_cast<std::uint32_t>(i); });
  }
  return out;
}

}  // namespace gloss::sparse
