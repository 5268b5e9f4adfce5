#include "gloss/model/forward.h"

#include <ATen/ATen.h>

#include "gloss/model/autograd.h"

namespace gloss::model {
namespace {

/// x / sqrt(mean(x^2) + epsilon) per row. Source: Zhang and Sennrich 2019, eq. 4. Shapes: x [..., n]; result f32.
at::Tensor rms_scaled(const at::Tensor& x, double epsilon) {
  const at::Tensor full = x.to(at::kFloat);
  // Nothing in place: gradients want the norm and the root as they were.
  const at::Tensor norm = at::linalg_vector_norm(full, 2, at::IntArrayRef{-1}, /*keepdim=*/true);
  return at::mul(full, norm.square().div_(static_cast<double>(full.size(-1))).add_(epsilon).rsqrt());
}

/// The same times gain [n] f32, of x's type.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& gain, double epsilon) {
  return rms_scaled(x, epsilon).mul_(gain).to(x.scalar_type());
}

at::Tensor activate(const at::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::silu:
      return at::silu(x);
    case Activation::gelu:
      return at::gelu(x);
    case Activation::gelu_tanh:
      return at::gelu(x, "tanh");
    case Activation::relu:
      break;
  }
  return at::relu(x);
}

class Pass {
 public:
  Pass(const Config& config, const Weights& weights, const RotaryTable& rotary, const PassInput& input,
       const Hook& hook)
      : config_(config),
        weights_(weights),
        input_(input),
        hook_(hook),
        shape_{input.tokens.size(0), input.tokens.size(1), config.heads, config.kv_heads, config.head_width} {
    const at::Device device = input.tokens.device();
    for (std::uint32_t i = 0; i < config.ropes.size(); ++i) {
      tables_.push_back(input.positions.defined() ? rotary.rows_at(config, i, input.positions, input.positions_end)
                                                  : rotary.rows(config, i, shape_.length, device));
    }
  }

  at::Tensor embed() const {
    at::Tensor stream =
        at::index_select(weights_.of(Part::embedding), 0, input_.tokens.reshape({-1})).to(weights_.compute);
    if (config_.embedding_scale != 1.0) {
      // Rounded to the type of the stream, as the models were trained.
      stream = stream * at::scalar_tensor(config_.embedding_scale, stream.options());
    }
    if (weights_.of(Part::positions).defined()) {
      const at::Tensor& all = weights_.of(Part::positions);
      const at::Tensor rows =
          input_.positions.defined() ? at::index_select(all, 0, input_.positions) : all.narrow(0, 0, shape_.length);
      stream = (stream.view({shape_.batch, shape_.length, -1}) + rows.to(weights_.compute))
                   .view({shape_.batch * shape_.length, -1});
    }
    return stream;
  }

  at::Tensor norm(const at::Tensor& x, Part gain, Part bias, std::uint32_t layer) const {
    if (config_.norm == Norm::rms) return rms_norm(x, weights_.of(gain, layer), config_.norm_epsilon);
    return at::layer_norm(x.to(at::kFloat), {x.size(-1)}, weights_.of(gain, layer), weights_.of(bias, layer),
                          config_.norm_epsilon)
        .to(x.scalar_type());
  }

  /// One layer; `stream` becomes what it leaves. False when the hook ended the pass.
  bool run_layer(std::uint32_t layer, at::Tensor& stream) const {
    if (!see(layer, Site::layer_input, stream)) return false;
    at::Tensor input = norm(stream, Part::attn_norm, Part::attn_norm_bias, layer);
    at::Tensor added;
    if (!see(layer, Site::attn_input, input) || !attention(layer, input, added)) return false;
    // New tensors: the hook may have kept the old ones, or lent some of its own.
    at::Tensor middle = stream + added;
    if (!config_.parallel && !see(layer, Site::between, middle)) return false;
    if (!mlp_norm(layer, config_.parallel ? stream : middle, input)) return false;
    if (!see(layer, Site::mlp_input, input) || !mlp(layer, input, added)) return false;
    stream = middle + added;
    return see(layer, Site::layer_output, stream);
  }

 private:
  bool see(std::uint32_t layer, Site site, at::Tensor& activation) const {
    return hook_({layer, site}, activation) == After::go_on;
  }

  /// The norm before the MLP, of `x`. What the hook leaves as it was is computed as without the hook, bit for bit.
  bool mlp_norm(std::uint32_t layer, const at::Tensor& x, at::Tensor& input) const {
    if (input_.normed) {
      const bool rms = config_.norm == Norm::rms;
      const at::Tensor own = (rms ? rms_scaled(x, config_.norm_epsilon)
                                  : at::layer_norm(x.to(at::kFloat), {x.size(-1)}, {}, {}, config_.norm_epsilon))
                                 .to(x.scalar_type());
      at::Tensor value = own;
      if (!see(layer, Site::mlp_normed, value)) return false;
      if (!value.is_same(own)) {
        const at::Tensor scaled = value.to(at::kFloat) * weights_.of(Part::mlp_norm, layer);
        input = (rms ? scaled : scaled + weights_.of(Part::mlp_norm_bias, layer)).to(x.scalar_type());
        return true;
      }
    }
    input = norm(x, Part::mlp_norm, Part::mlp_norm_bias, layer);
    return true;
  }

  /// x weight^T + bias. Shapes: x [N, in]; result [N, out].
  at::Tensor product(const at::Tensor& x, Part part, Part bias_part, std::uint32_t layer) const {
    const at::Tensor weight = weights_.use(part, layer).t();
    const at::Tensor bias = weights_.use(bias_part, layer);
    return bias.defined() ? at::addmm(bias, x, weight) : at::mm(x, weight);
  }

  /// What a sublayer gave: seen, and normalised where the family does that before adding it.
  bool give(std::uint32_t layer, Site output, Site added_site, Part post_norm, at::Tensor& added) const {
    if (!see(layer, output, added)) return false;
    if (!config_.sublayer_norms) return true;
    added = rms_norm(added, weights_.of(post_norm, layer), config_.norm_epsilon);
    return see(layer, added_site, added);
  }

  /// Shapes: input [N, D]; added [N, D].
  bool attention(std::uint32_t layer, const at::Tensor& input, at::Tensor& added) const {
    const AttentionShape& s = shape_;
    const LayerConfig& own = config_.layer[layer];
    const at::Tensor all = product(input, Part::qkv, Part::qkv_bias, layer)
                               .view({s.batch, s.length, s.heads + 2 * s.groups, s.width});  // heads: q, then k, then v
    at::Tensor q = all.narrow(2, 0, s.heads);
    at::Tensor k = all.narrow(2, s.heads, s.groups);
    if (config_.qk_norm) {
      q = rms_norm(q, weights_.of(Part::q_norm, layer), config_.norm_epsilon);
      k = rms_norm(k, weights_.of(Part::k_norm, layer), config_.norm_epsilon);
    }
    if (!config_.ropes.empty()) {
      q = rotate(q, tables_[own.rope]);
      k = rotate(k, tables_[own.rope]);
    }
    const at::Tensor v = all.narrow(2, s.heads + s.groups, s.groups);
    const AttentionOptions options{own.attention_scale, config_.attention_cap, own.window};
    at::Tensor heads = input_.attend ? input_.attend(layer, q, k, v, options) : attend(q, k, v, s, options);
    if (!see(layer, Site::attn_heads, heads)) return false;
    added = product(heads, Part::attn_out, Part::attn_out_bias, layer);
    return give(layer, Site::attn_output, Site::attn_added, Part::attn_post_norm, added);
  }

  /// act(x in) out, or (act(x gate) * (x up)) out: Shazeer 2020, eq. 6. Shapes: input [N, D]; added [N, D].
  bool mlp(std::uint32_t layer, const at::Tensor& input, at::Tensor& added) const {
    const at::Tensor in = product(input, Part::mlp_in, Part::mlp_in_bias, layer);
    const std::int64_t width = config_.hidden;
    at::Tensor hidden;
    if (config_.gated) {
      hidden = activate(in.narrow(1, 0, width), config_.activation);
      const at::Tensor up = in.narrow(1, width, width);
      if (keeps_steps(in)) {
        hidden = hidden * up;
      } else {
        hidden.mul_(up);
      }
    } else {
      hidden = activate(in, config_.activation);
    }
    if (!see(layer, Site::mlp_hidden, hidden)) return false;
    added = product(hidden, Part::down, Part::down_bias, layer);
    return give(layer, Site::mlp_output, Site::mlp_added, Part::mlp_post_norm, added);
  }

  const Config& config_;
  const Weights& weights_;
  const PassInput& input_;
  const Hook& hook_;
  AttentionShape shape_;
  std::vector<RotaryTable::Rows> tables_;
};

}  // namespace

at::Tensor forward(const Config& config, const Weights& weights, const RotaryTable& rotary, const PassInput& input,
                   const Hook& hook) {
  const Pass pass(config, weights, rotary, input, hook);
  at::Tensor stream = pass.embed();
  for (std::uint32_t layer = 0; layer < config.layers; ++layer) {
    if (!pass.run_layer(layer, stream)) return {};
  }
  return pass.norm(stream, Part::final_norm, Part::final_norm_bias, 0);
}

at::Tensor logits_of(const Config& config, const Weights& weights, const at::Tensor& normed) {
  at::Tensor logits = at::mm(normed, weights.use(Part::head).t()).to(at::kFloat);
  return config.logit_cap > 0.0 ? capped(logits, config.logit_cap) : logits;
}

}  // namespace gloss::model
