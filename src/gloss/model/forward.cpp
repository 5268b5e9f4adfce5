#include "gloss/model/forward.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace gloss::model {
namespace {

/// Queries whose scores are held at a time: bounds the memory of long contexts, and keys after the block are skipped.
constexpr std::int64_t kQueryBlock = 64;

/// x / sqrt(mean(x^2) + epsilon) * gain per row. Source: Zhang and Sennrich 2019, eq. 4. Shapes: x [N, D]; gain [D].
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& gain, double epsilon) {
  const at::Tensor scale = at::linalg_vector_norm(x, 2, at::IntArrayRef{-1}, /*keepdim=*/true)
                               .square_()
                               .div_(static_cast<double>(x.size(-1)))
                               .add_(epsilon)
                               .rsqrt_();
  return at::mul(x, scale).mul_(gain);
}

/// Turns the pair (i, i + E/2) of every head by the angle of its position. Source: Su et al. 2021, eq. 34, with the
/// halves of a head as the pairs. Shapes: x [B, T, heads, E], any strides; result contiguous.
at::Tensor rotate(const at::Tensor& x, const RotaryTable::Rows& table) {
  const std::int64_t half = x.size(-1) / 2;
  const at::Tensor first = x.narrow(-1, 0, half);
  const at::Tensor second = x.narrow(-1, half, half);
  at::Tensor result = at::empty(x.sizes(), x.options());
  at::Tensor result_first = result.narrow(-1, 0, half);
  at::Tensor result_second = result.narrow(-1, half, half);
  at::mul_out(result_first, first, table.cos);
  result_first.addcmul_(second, table.sin, -1);
  at::mul_out(result_second, second, table.cos);
  result_second.addcmul_(first, table.sin);
  return result;
}

struct Shape {
  std::int64_t batch, length, heads, groups, width;  // B, T, H, G (key/value heads), E
};

/// softmax(q k^T / sqrt(E) + causal mask) v. Shapes: q [B, T, H, E]; k, v [B, T, G, E]; result [B * T, H * E].
/// The H/G heads that share keys are rows of one product. Source: Vaswani et al. 2017, eq. 1; Ainslie et al. 2023.
at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const Shape& s) {
  const std::int64_t shared = s.heads / s.groups;
  const at::Tensor keys = k.permute({0, 2, 3, 1}).reshape({s.batch * s.groups, s.width, s.length});
  const at::Tensor values = v.permute({0, 2, 1, 3}).reshape({s.batch * s.groups, s.length, s.width});
  const at::Tensor queries = q.view({s.batch, s.length, s.groups, shared, s.width}).permute({0, 2, 3, 1, 4});
  at::Tensor result = at::empty({s.batch, s.length, s.heads, s.width}, q.options());
  const at::Tensor target = result.view({s.batch, s.length, s.groups, shared, s.width}).permute({0, 2, 3, 1, 4});
  const double scale = 1.0 / std::sqrt(static_cast<double>(s.width));
  // Added to the square of scores on the diagonal; left of it every column is allowed, and right of it none is
  // computed.
  const std::int64_t side = std::min(kQueryBlock, s.length);
  const at::Tensor later = at::full({side, side}, -std::numeric_limits<double>::infinity(), q.options()).triu_(1);
  for (std::int64_t begin = 0; begin < s.length; begin += kQueryBlock) {
    const std::int64_t rows = std::min(kQueryBlock, s.length - begin);
    const std::int64_t seen = begin + rows;
    const at::Tensor block =
        queries.narrow(3, begin, rows).reshape({s.batch * s.groups, shared * rows, s.width}).mul(scale);
    at::Tensor scores = at::bmm(block, keys.narrow(2, 0, seen));
    scores.view({s.batch * s.groups * shared, rows, seen})
        .narrow(2, begin, rows)
        .add_(later.narrow(0, 0, rows).narrow(1, 0, rows));
    const at::Tensor mixed = at::bmm(at::softmax(scores, -1), values.narrow(1, 0, seen));
    target.narrow(3, begin, rows).copy_(mixed.view({s.batch, s.groups, shared, rows, s.width}));
  }
  return result.view({s.batch * s.length, s.heads * s.width});
}

/// Shapes: x [N, D]; result [N, D].
at::Tensor attention(const at::Tensor& x, const Weights& weights, std::uint32_t layer, const Shape& s,
                     const RotaryTable::Rows& table) {
  const at::Tensor all = at::mm(x, weights.of(Part::qkv, layer).t())
                             .view({s.batch, s.length, s.heads + 2 * s.groups, s.width});  // heads: q, then k, then v
  const at::Tensor turned = rotate(all.narrow(2, 0, s.heads + s.groups), table);
  const at::Tensor mixed = attend(turned.narrow(2, 0, s.heads), turned.narrow(2, s.heads, s.groups),
                                  all.narrow(2, s.heads + s.groups, s.groups), s);
  return at::mm(mixed, weights.of(Part::attn_out, layer).t());
}

/// (silu(x gate) * (x up)) down. Source: Shazeer 2020, eq. 6. Shapes: x [N, D]; result [N, D].
at::Tensor mlp(const at::Tensor& x, const Weights& weights, std::uint32_t layer, std::int64_t hidden) {
  const at::Tensor both = at::mm(x, weights.of(Part::gate_up, layer).t());
  at::Tensor gated = at::silu(both.narrow(1, 0, hidden));
  gated.mul_(both.narrow(1, hidden, hidden));
  return at::mm(gated, weights.of(Part::down, layer).t());
}

}  // namespace

RotaryTable::Rows RotaryTable::rows(const Config& config, std::int64_t length, at::Device device) const {
  const std::lock_guard lock(mutex_);
  if (!made_.cos.defined() || made_.cos.size(0) < length) {
    const std::int64_t half = config.head_width / 2;
    made_ = {at::empty({length, 1, half}, at::kFloat), at::empty({length, 1, half}, at::kFloat)};
    float* cos = made_.cos.data_ptr<float>();
    float* sin = made_.sin.data_ptr<float>();
    for (std::int64_t t = 0; t < length; ++t) {
      for (std::int64_t i = 0; i < half; ++i) {
        const double angle =
            static_cast<double>(t) * std::pow(config.rope_theta, -static_cast<double>(i) / static_cast<double>(half));
        *cos++ = static_cast<float>(std::cos(angle));
        *sin++ = static_cast<float>(std::sin(angle));
      }
    }
    made_ = {made_.cos.to(device), made_.sin.to(device)};
  }
  return {made_.cos.narrow(0, 0, length), made_.sin.narrow(0, 0, length)};
}

at::Tensor forward(const Config& config, const Weights& weights, const RotaryTable& rotary, const at::Tensor& tokens,
                   const Hook& hook) {
  const Shape shape{tokens.size(0), tokens.size(1), config.heads, config.kv_heads, config.head_width};
  const RotaryTable::Rows table = rotary.rows(config, shape.length, tokens.device());
  at::Tensor stream = at::index_select(weights.of(Part::embedding), 0, tokens.reshape({-1}));
  for (std::uint32_t layer = 0; layer < config.layers; ++layer) {
    at::Tensor input = rms_norm(stream, weights.of(Part::attn_norm, layer), config.norm_epsilon);
    if (hook({layer, Site::attn_input}, input) == After::stop) return {};
    at::Tensor added = attention(input, weights, layer, shape, table);
    if (hook({layer, Site::attn_output}, added) == After::stop) return {};
    stream = stream + added;  // a new tensor: the hook may have kept the old one, or lent one of its own

    input = rms_norm(stream, weights.of(Part::mlp_norm, layer), config.norm_epsilon);
    if (hook({layer, Site::mlp_input}, input) == After::stop) return {};
    added = mlp(input, weights, layer, config.hidden);
    if (hook({layer, Site::mlp_output}, added) == After::stop) return {};
    stream.add_(added);
    if (hook({layer, Site::layer_output}, stream) == After::stop) return {};
  }
  return rms_norm(stream, weights.of(Part::final_norm), config.norm_epsilon);
}

}  // namespace gloss::model
