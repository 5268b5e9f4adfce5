#pragma once
/// One step of training a coder: loss, gradients, Adam. Written by hand over the active latents of each row: of the
/// dense products only the encoder's forward one is left, and no [N, F] exists. Gradients are summed latent by latent
/// in the order of the rows, so that results do not depend on the number of threads. Method: docs/methods.md 9 (TopK:
/// Gao et al. 2024, arXiv 2406.04093, sections 2 and A.2; BatchTopK: Bussmann et al. 2024, arXiv 2412.06410; JumpReLU:
/// Rajamanoharan et al. 2024, arXiv 2407.14435).
#include <cstdint>
#include <span>
#include <vector>

#include "gloss/sparse/aligned.h"
#include "gloss/sparse/encoder.h"
#include "gloss/sparse/train.h"
#include "gloss/sparse/train_select.h"

namespace gloss::sparse {

/// Weights, or what has their shape: gradients, moments. Shapes: encoder, decoder [F, D] row-major, encoder_bias [F],
/// decoder_bias [D]; log_threshold [F] of JumpReLU, else empty.
struct Parameters {
  AlignedFloats encoder, encoder_bias, decoder, decoder_bias, log_threshold;

  Parameters() = default;
  /// All zero.
  Parameters(std::size_t latents, std::size_t width, Activation activation = Activation::topk);
  std::size_t latents() const { return encoder_bias.size(); }
  std::size_t width() const { return decoder_bias.size(); }
};

struct StepOptions {
  std::uint32_t k = 32;
  double auxk_alpha = 0.0;
  bool transcoder = false;        // decoder_bias is not subtracted from the input
  bool normalize_decoder = true;  // gradients along a decoder row are removed
  std::size_t threads = 1;
  bool multi_topk = false;  // the FVU at 4 K counts too, with weight 1/8
  Activation activation = Activation::topk;
};

/// JumpReLU's penalty: weight * L0, or, with a target, weight * (L0 / target - 1)^2; L0 the mean of the batch's rows.
struct Sparsity {
  double weight = 0.0;
  double target = 0.0;     // 0 = none
  double bandwidth = 1.0;  // of the kernel, in units of z
};

/// Shapes: input, target [rows, D] row-major, finite; the same pointer for an autoencoder.
struct Batch {
  std::size_t rows = 0;
  const float* input = nullptr;
  const float* target = nullptr;
};

/// loss = fvu + alpha * auxk + multi / 8 + penalty; l0: mean number of active latents of a row; smallest: the smallest
/// active value (BatchTopK), 0 when there is none; dead: latents the step took for dead.
struct StepStats {
  double loss = 0.0, fvu = 0.0, auxk = 0.0, multi = 0.0, penalty = 0.0, l0 = 0.0;
  float smallest = 0.0F;
  std::uint32_t dead = 0;
};

/// Computes loss and gradients; owns the work memory, made by the first call.
class Gradients {
 public:
  explicit Gradients(const StepOptions& options) : options_(options) {}

  ///     fvu  = sum |e|^2 / V,  e = y - (W_dec^T act(z) + decoder_bias),  V = sum |y - mean(y)|^2,
  ///     z = W_enc (x - decoder_bias) + encoder_bias,  act = TopK(relu(z), K), BatchTopK, or z where z > theta
  ///     auxk = s * sum |e' - e|^2 / V,  e' = W_dec^T TopK over the dead, k_aux = min(D/2, dead),
  ///     s = min(dead/(D/2), 1), e constant here
  ///     multi = sum |e4|^2 / V,  e4 = e with TopK(.., 4 K).
  /// A value of 0 passes no gradient (the ReLU's). Through theta, by straight-through estimates with the rectangle
  /// kernel of width eps, where theta - eps/2 < z < theta + eps/2:
  ///     d f / d theta = -theta / eps,  d L0 / d theta = -1 / eps
  /// Source: Rajamanoharan et al. 2024, eqs. 11 and 12.
  /// `dead`: latents, ascending. Errors: bad_input when the batch has no variance.
  StepStats compute(const Parameters& weights, const Batch& batch, std::span<const std::uint32_t> dead,
                    const Sparsity& sparsity = {});

  /// Of the last compute(). norm: of all gradients together.
  const Parameters& gradient() const { return gradient_; }
  double norm() const { return norm_; }
  /// Rows in which each latent was active. Shape [F].
  std::span<const std::uint32_t> firings() const { return firings_; }

 private:
  /// Sums over a block of rows, added up in the order of the blocks.
  struct BlockSums {
    double error = 0.0, aux_error = 0.0, multi_error = 0.0, count = 0.0;
    std::vector<float> bias;  // [D]
  };

  void select(const Parameters& weights, const Batch& batch, std::span<const std::uint32_t> dead, double bandwidth);
  void backward_rows(const Parameters& weights, const Batch& batch, double variance, double aux_scale);
  void backward_row(const Parameters& weights, const Batch& batch, std::size_t row, float slope, float aux_slope,
                    BlockSums& sums);
  void backward_multi(const Parameters& weights, const Batch& batch, std::size_t row, float slope, BlockSums& sums);
  /// Where the slopes of `s` begin in slope_, in rows. Requires: s is not main_.
  std::size_t slopes_of(const Kept& s, std::size_t rows) const {
    return &s == &multi_ && aux_.used() ? 2 * rows : rows;
  }
  void group_by_latent(std::size_t rows);
  void gather_gradients(const Parameters& weights);
  void gather_thresholds(double l0_slope, double bandwidth);
  void gather_latent(const Parameters& weights, std::size_t latent, std::vector<float>& along_bias);
  void finish_bias(const std::vector<std::vector<float>>& along_bias);

  StepOptions options_;
  Parameters gradient_;
  double norm_ = 0.0;
  std::vector<std::uint32_t> firings_;
  TopkEncoder encoder_, dead_encoder_;
  BatchTopk batch_topk_;
  ThresholdEncoder threshold_encoder_;
  std::vector<float> threshold_;    // [F]: exp(log_threshold)
  Kept main_, aux_, multi_, edge_;  // edge_: what JumpReLU's kernel covers
  AlignedFloats centred_;           // [N, D]: what the encoder multiplies
  AlignedFloats slope_;  // [1 to 3, N, D]: d loss / d reconstruction, then the same of e' and of e4 if there are any
  std::vector<BlockSums> blocks_;
  // Entries of all selections, sorted by latent, then row: where the latent's begin, and each one's row and numbers.
  std::vector<std::size_t> begin_;                    // [F + 1]
  std::vector<std::uint32_t> input_row_, slope_row_;  // of centred_, of slope_
  std::vector<float> entry_value_, entry_slope_;
};

inline constexpr std::size_t kRecentSteps = 50;

/// Everything a training goes on from.
struct TrainState {
  Parameters weights, first, second;              // moments of the gradients; of sign descent its z and x
  std::vector<std::uint64_t> tokens_since_fired;  // [F]
  std::vector<double> recent_fvu;                 // of the last kRecentSteps steps
  std::uint64_t step = 0;                         // steps done
  double threshold = 0.0;  // BatchTopK: running mean of the smallest kept value; 0 before the first step
  double unit = 0.0;       // JumpReLU: root mean square distance of the inputs from their mean, in the first batch
};

/// Encoder rows uniform in +-1/sqrt(D), each from its own stream; biases 0. An autoencoder's decoder is the encoder
/// with unit rows, a transcoder's is 0. Thresholds wait for start_thresholds().
TrainState initial_state(std::size_t latents, std::size_t width, std::uint64_t seed, bool transcoder = false,
                         Activation activation = Activation::topk);

/// JumpReLU's start: state.unit, and all thresholds where L0 is K on these rows (*ours*: from the paper's 0.001 a short
/// training never comes to K). Shapes: rows [*, D]. Errors: bad_input when the rows are all the same.
void start_thresholds(TrainState& state, std::span<const float> rows, std::uint32_t k, bool transcoder,
                      std::size_t threads);

/// Steps of Adam (0.9, 0.999) with the gradient's norm clipped at 1, or of sign descent (train_optimizer.h); unit
/// decoder rows, and the count of dead latents.
class Stepper {
 public:
  Stepper(std::size_t latents, std::size_t width, const TrainOptions& options, std::uint64_t dead_after,
          bool transcoder = false);

  /// One step of size `rate`; state.step grows by one. Shapes: rows [count, D]; targets the same, empty for an
  /// autoencoder. sparsity.bandwidth in units of state.unit. Errors: as Gradients::compute.
  StepStats step(TrainState& state, std::span<const float> rows, std::size_t count, double rate,
                 std::span<const float> targets = {}, Sparsity sparsity = {});

 private:
  StepOptions options_;
  Optimizer optimizer_;
  std::size_t width_;
  std::uint64_t dead_after_;
  Gradients gradients_;
  std::vector<std::uint32_t> dead_;
};

}  // namespace gloss::sparse
