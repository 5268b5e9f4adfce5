#include "gloss/sparse/torch_encode.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <tuple>
#include <utility>

namespace gloss::sparse {
namespace {

constexpr std::int64_t kTileValues = std::int64_t{1} << 26;
constexpr std::int64_t kLowBits = 32;

/// Calls work(z) for tiles of rows, in order. Shapes: z [rows of the tile, F].
template <class Work>
void for_tiles(const at::Tensor& u, const at::Tensor& weight, const at::Tensor& bias, const Work& work) {
  const std::int64_t rows = u.size(0);
  const std::int64_t tile = std::max<std::int64_t>(1, kTileValues / weight.size(0));
  for (std::int64_t first = 0; first < rows; first += tile)
    work(at::addmm(bias, u.narrow(0, first, std::min(tile, rows - first)), weight.t()));
}

/// topk and max break ties as they like, so they are given whole numbers that have none: bits of the value (ordered as
/// the value is, for floats that are not negative), then the latent, lower ones higher. Adding 0 makes -0 a plain 0.
at::Tensor keys_of(const at::Tensor& z) {
  const std::int64_t latents = z.size(1);
  const at::Tensor rank = latents - 1 - at::arange(latents, z.options().dtype(at::kLong));
  const at::Tensor bits = (at::relu(z) + 0.0).view(at::kInt).to(at::kLong);
  return bits.mul(std::int64_t{1} << kLowBits).add_(rank);
}

/// The `count` largest values of each row in descending order, and where they are; of equal ones any. In long rows the
/// largest of runs of latents come first: those `count` runs whose largest are the largest hold as many of the largest
/// values, so that the row is read once and not once for every few bits of its values.
/// Shapes: z [n, F] -> [n, count] each.
std::pair<at::Tensor, at::Tensor> some_largest(const at::Tensor& z, std::int64_t count) {
  constexpr std::int64_t kRun = 64;
  constexpr std::int64_t kFewestRuns = 4;  // of those chosen
  const std::int64_t runs = z.size(1) / kRun;
  if (z.size(1) % kRun != 0 || runs < kFewestRuns * count) {
    auto [values, chosen] = z.topk(count, 1, true, true);
    return {values, chosen};
  }
  const at::Tensor by_run = z.view({z.size(0), runs, kRun});
  const at::Tensor run = std::get<1>(by_run.amax(2).topk(count, 1, true, true));  // [n, count]
  const at::Tensor held = by_run.gather(1, run.unsqueeze(2).expand({-1, -1, kRun})).flatten(1);
  auto [values, place] = held.topk(count, 1, true, true);
  const at::Tensor of = at::div(place, kRun, "floor");
  return {values, run.gather(1, of).mul_(kRun).add_(place.remainder(kRun))};
}

/// The K largest of each row, by descending value, ties to the lower latent. topk is asked for one more than K: where
/// the K-th and the next are equal, which of them it took is its own choice, and the row is looked at again by keys.
/// The keys of all rows would take several times the memory traffic of the product. Shapes: z [n, F] -> [n, K].
at::Tensor largest(const at::Tensor& z, std::int64_t k) {
  const std::int64_t latents = z.size(1);
  if (k == latents) return std::get<1>(keys_of(z).topk(k, 1, true, true));
  auto [values, chosen] = some_largest(z, k + 1);
  const at::Tensor last = values.select(1, k - 1);
  const at::Tensor unsure = last.eq(values.select(1, k)).logical_and_(last > 0).nonzero().select(1, 0);
  chosen = chosen.narrow(1, 0, k);
  // Among the K the order of equal ones is topk's own too: bits of the value, then the latent, as in keys_of().
  const at::Tensor bits = (at::relu(values.narrow(1, 0, k)) + 0.0).view(at::kInt).to(at::kLong);
  const at::Tensor keys = bits.mul(std::int64_t{1} << kLowBits).add_(latents - 1 - chosen);
  chosen = chosen.gather(1, std::get<1>(keys.sort(1, true)));
  if (unsure.numel() > 0) {
    chosen.index_copy_(0, unsure, std::get<1>(keys_of(z.index_select(0, unsure)).topk(k, 1, true, true)));
  }
  return chosen;
}

/// Adds rows of `width` chosen latents, without those whose value is 0. Shapes: chosen [rows, width].
void append(Encoded& out, const at::Tensor& chosen, const at::Tensor& z) {
  const at::Tensor values = at::relu(z.gather(1, chosen)).to(at::kCPU).contiguous();
  const at::Tensor latents = chosen.to(at::kCPU).contiguous();
  const std::int64_t width = chosen.size(1);
  const float* value = values.data_ptr<float>();
  const std::int64_t* latent = latents.data_ptr<std::int64_t>();
  const auto most = out.value.size() + static_cast<std::size_t>(chosen.numel());
  if (out.value.capacity() < most) {
    out.latent.reserve(std::max(most, 2 * out.latent.capacity()));
    out.value.reserve(std::max(most, 2 * out.value.capacity()));
  }
  for (std::int64_t row = 0; row < chosen.size(0); ++row) {
    for (std::int64_t i = row * width; i < (row + 1) * width; ++i) {
      if (!(value[i] > 0.0F)) continue;
      out.latent.push_back(static_cast<std::uint32_t>(latent[i]));
      out.value.push_back(value[i]);
    }
    out.offsets.push_back(out.value.size());
  }
}

}  // namespace

Encoded encode_with_torch(const at::Tensor& u, const at::Tensor& weight, const at::Tensor& bias, std::uint32_t k) {
  Encoded out;
  for_tiles(u, weight, bias, [&](const at::Tensor& z) { append(out, largest(z, k), z); });
  return out;
}

Encoded encode_groups_with_torch(const at::Tensor& u, const at::Tensor& weight, const at::Tensor& bias,
                                 std::uint32_t k) {
  const std::int64_t latents = weight.size(0);
  Encoded out;
  for_tiles(u, weight, bias, [&](const at::Tensor& z) {
    const at::Tensor best = keys_of(z).view({z.size(0), k, -1}).amax(2);
    append(out, latents - 1 - best.bitwise_and((std::int64_t{1} << kLowBits) - 1), z);
  });
  return out;
}

Encoded encode_above_with_torch(const at::Tensor& u, const at::Tensor& weight, const at::Tensor& bias,
                                const at::Tensor& threshold) {
  Encoded out;
  for_tiles(u, weight, bias, [&](const at::Tensor& z) {
    const at::Tensor above = z > threshold;
    const at::Tensor latents = above.nonzero().select(1, 1).to(at::kCPU, at::kInt).contiguous();  // rows in order
    const at::Tensor values = z.masked_select(above).to(at::kCPU).contiguous();
    const at::Tensor counts = above.sum(1).to(at::kCPU).contiguous();
    const auto* latent = latents.data_ptr<std::int32_t>();
    out.latent.insert(out.latent.end(), latent, latent + latents.numel());
    out.value.insert(out.value.end(), values.data_ptr<float>(), values.data_ptr<float>() + values.numel());
    for (std::int64_t row = 0; row < counts.numel(); ++row)
      out.offsets.push_back(out.offsets.back() + static_cast<std::uint64_t>(counts.data_ptr<std::int64_t>()[row]));
  });
  return out;
}

}  // namespace gloss::sparse
