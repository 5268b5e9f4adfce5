#include "gloss/sparse/train_step.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "gloss/base/error.h"
#include "gloss/base/random.h"
#include "gloss/sparse/blocks.h"
#include "gloss/sparse/train_optimizer.h"

namespace gloss::sparse {
namespace {

// Sums are made within a block, then over the blocks in order.
constexpr std::size_t kRowsPerBlock = 64;
constexpr double kMostNorm = 1.0;  // of all gradients together
constexpr double kTiny = 1e-6;
constexpr std::uint32_t kMultiple = 4;  // K of the multi-TopK term, in K
constexpr double kMultiWeight = 1.0 / 8.0;
constexpr double kThresholdShare = 0.01;  // of a batch in the running mean, as SAELens has it
constexpr double kLeastThreshold = 1e-3;  // where JumpReLU starts at least: the paper's start

float dot(const float* a, const float* b, std::size_t width) {
  constexpr std::uint32_t kRow = 0;
  float out = 0.0F;
  kernels().dots(&out, a, b, &kRow, 1, width);
  return out;
}

void add_scaled(float* out, float scale, const float* row, std::size_t width) {
  constexpr std::uint32_t kRow = 0;
  kernels().weighted_sum(out, row, &kRow, &scale, 1, width);
}

double square_norm(const AlignedFloats& values) {
  return std::accumulate(values.begin(), values.end(), 0.0,
                         [](double sum, float v) { return sum + double{v} * double{v}; });
}

/// What the encoder multiplies. Shapes: input, result [rows, D].
void centre_rows(const Parameters& weights, const float* input, std::size_t rows, bool transcoder, std::size_t threads,
                 AlignedFloats& centred) {
  const std::size_t width = weights.width();
  centred.resize(rows * width);
  for_blocks(rows, kRowsPerBlock, threads, [&](std::size_t, std::size_t begin, std::size_t end) {
    for (std::size_t row = begin; row < end; ++row) {
      const float* from = input + row * width;
      float* to = centred.data() + row * width;
      if (transcoder) {
        std::copy_n(from, width, to);
      } else {
        for (std::size_t d = 0; d < width; ++d) to[d] = from[d] - weights.decoder_bias[d];
      }
    }
  });
}

/// sum |y - mean(y)|^2, from sums shifted by the first row so that a large mean costs no digits. Shapes: y [rows, D].
double variance_of(const float* y, std::size_t rows, std::size_t width, std::size_t threads) {
  struct Sums {
    std::vector<double> linear;
    double square = 0.0;
  };
  std::vector<Sums> sums(block_count(rows, kRowsPerBlock));
  for_blocks(rows, kRowsPerBlock, threads, [&](std::size_t block, std::size_t begin, std::size_t end) {
    Sums& s = sums[block];
    s.linear.assign(width, 0.0);
    for (std::size_t row = begin; row < end; ++row) {
      for (std::size_t d = 0; d < width; ++d) {
        const double v = double{y[row * width + d]} - double{y[d]};
        s.linear[d] += v;
        s.square += v * v;
      }
    }
  });
  std::vector<double> linear(width, 0.0);
  double result = 0.0;
  for (const Sums& s : sums) {
    for (std::size_t d = 0; d < width; ++d) linear[d] += s.linear[d];
    result += s.square;
  }
  for (const double sum : linear) result -= sum * sum / static_cast<double>(rows);
  if (!(result > 0.0))
    fail_input("training", "all activations of a batch are the same, so there is nothing to learn from",
               "is the text empty or one repeated token?");
  return result;
}

}  // namespace

Parameters::Parameters(std::size_t latents, std::size_t width, Activation activation)
    : encoder(latents * width),
      encoder_bias(latents),
      decoder(latents * width),
      decoder_bias(width),
      log_threshold(activation == Activation::jumprelu ? latents : 0) {}

/// Fills main_ and aux_; aux_ is not used when there are no dead latents or alpha is 0.
void Gradients::select(const Parameters& weights, const Batch& batch, std::span<const std::uint32_t> dead,
                       double bandwidth) {
  const std::size_t width = weights.width();
  const std::size_t threads = options_.threads;
  const auto pack = [&](EncoderPanels& encoder, std::span<const std::uint32_t> which = {}) {
    encoder.pack(weights.encoder.data(), weights.encoder_bias.data(), weights.latents(), width, threads, which);
  };
  centre_rows(weights, batch.input, batch.rows, options_.transcoder, threads, centred_);
  if (options_.activation == Activation::jumprelu) {
    threshold_.resize(weights.latents());
    std::transform(weights.log_threshold.begin(), weights.log_threshold.end(), threshold_.begin(),
                   [](float v) { return std::exp(v); });
    pack(threshold_encoder_);
    select_jumprelu(threshold_encoder_, centred_, threshold_, static_cast<float>(bandwidth), threads, main_, edge_);
  } else {
    pack(encoder_);
    if (options_.activation == Activation::batchtopk)
      batch_topk_.select(encoder_, centred_, options_.k, threads, main_);
    else
      select_topk(encoder_, centred_, options_.k, threads, {}, main_);
  }
  // A larger K keeps more of the same encoding, but one encoding for both would make the usual one slower.
  multi_.clear();
  if (options_.multi_topk) {
    const auto larger = static_cast<std::uint32_t>(std::min(std::size_t{kMultiple} * options_.k, weights.latents()));
    select_topk(encoder_, centred_, larger, threads, {}, multi_);
  }
  aux_.clear();
  if (options_.auxk_alpha > 0.0 && !dead.empty()) {
    pack(dead_encoder_, dead);
    const std::size_t most = std::max<std::size_t>(1, width / 2);
    select_topk(dead_encoder_, centred_, static_cast<std::uint32_t>(std::min(most, dead.size())), threads, dead, aux_);
  }
}

/// Reconstruction, error, and the slope of the loss in the row's reconstruction and selected values.
void Gradients::backward_row(const Parameters& weights, const Batch& batch, std::size_t row, float slope,
                             float aux_slope, BlockSums& sums) {
  const std::size_t width = weights.width();
  const Kernels& run = kernels();
  const auto at = [row](const Kept& s) { return s.begin[row]; };
  float* error = slope_.data() + row * width;  // first y', then y - y', at last the slope
  std::copy_n(weights.decoder_bias.data(), width, error);
  run.weighted_sum(error, weights.decoder.data(), main_.latent.data() + at(main_), main_.value.data() + at(main_),
                   main_.active[row], width);
  for (std::size_t d = 0; d < width; ++d) error[d] = batch.target[row * width + d] - error[d];
  sums.error += double{dot(error, error, width)};
  sums.count += main_.active[row];
  if (aux_.used()) {
    float* aux = slope_.data() + (batch.rows + row) * width;
    std::fill_n(aux, width, 0.0F);
    run.weighted_sum(aux, weights.decoder.data(), aux_.latent.data() + at(aux_), aux_.value.data() + at(aux_),
                     aux_.active[row], width);
    for (std::size_t d = 0; d < width; ++d) aux[d] -= error[d];
    sums.aux_error += double{dot(aux, aux, width)};
    for (std::size_t d = 0; d < width; ++d) aux[d] *= aux_slope;
    run.dots(aux_.slope.data() + at(aux_), aux, weights.decoder.data(), aux_.latent.data() + at(aux_), aux_.active[row],
             width);
  }
  for (std::size_t d = 0; d < width; ++d) {
    error[d] *= slope;
    sums.bias[d] += error[d];
  }
  run.dots(main_.slope.data() + at(main_), error, weights.decoder.data(), main_.latent.data() + at(main_),
           main_.active[row], width);
  if (edge_.used())
    run.dots(edge_.slope.data() + at(edge_), error, weights.decoder.data(), edge_.latent.data() + at(edge_),
             edge_.active[row], width);
}

/// The error with 4 K latents, and its slopes.
void Gradients::backward_multi(const Parameters& weights, const Batch& batch, std::size_t row, float slope,
                               BlockSums& sums) {
  const std::size_t width = weights.width();
  const Kernels& run = kernels();
  const std::size_t at = multi_.begin[row];
  float* error = slope_.data() + (slopes_of(multi_, batch.rows) + row) * width;
  std::copy_n(weights.decoder_bias.data(), width, error);
  run.weighted_sum(error, weights.decoder.data(), multi_.latent.data() + at, multi_.value.data() + at,
                   multi_.active[row], width);
  for (std::size_t d = 0; d < width; ++d) error[d] = batch.target[row * width + d] - error[d];
  sums.multi_error += double{dot(error, error, width)};
  for (std::size_t d = 0; d < width; ++d) {
    error[d] *= slope;
    sums.bias[d] += error[d];
  }
  run.dots(multi_.slope.data() + at, error, weights.decoder.data(), multi_.latent.data() + at, multi_.active[row],
           width);
}

void Gradients::backward_rows(const Parameters& weights, const Batch& batch, double variance, double aux_scale) {
  slope_.resize((std::size_t{1} + (aux_.used() ? 1 : 0) + (multi_.used() ? 1 : 0)) * batch.rows * weights.width());
  blocks_.assign(block_count(batch.rows, kRowsPerBlock), {});
  const auto slope = static_cast<float>(-2.0 / variance);
  const auto aux_slope = static_cast<float>(2.0 * options_.auxk_alpha * aux_scale / variance);
  for_blocks(batch.rows, kRowsPerBlock, options_.threads, [&](std::size_t block, std::size_t begin, std::size_t end) {
    blocks_[block].bias.assign(weights.width(), 0.0F);
    for (std::size_t row = begin; row < end; ++row) {
      backward_row(weights, batch, row, slope, aux_slope, blocks_[block]);
      if (multi_.used()) backward_multi(weights, batch, row, slope * static_cast<float>(kMultiWeight), blocks_[block]);
    }
  });
}

/// Counting sort of the positive entries by latent; within one, main_ before aux_ before multi_, and
/// rows ascending.
void Gradients::group_by_latent(std::size_t rows) {
  const std::size_t latents = gradient_.latents();
  const auto each_entry = [rows](const Kept& s, const auto& body) {
    for (std::size_t row = 0; row < rows; ++row) {
      for (std::size_t i = s.begin[row]; i < s.begin[row] + s.active[row]; ++i) body(row, i);
    }
  };
  firings_.assign(latents, 0);
  each_entry(main_, [&](std::size_t, std::size_t i) { ++firings_[main_.latent[i]]; });
  begin_.assign(latents + 1, 0);
  std::copy(firings_.begin(), firings_.end(), begin_.begin() + 1);
  for (const Kept* s : {&aux_, &multi_}) {
    if (s->used()) each_entry(*s, [&](std::size_t, std::size_t i) { ++begin_[s->latent[i] + 1]; });
  }
  std::partial_sum(begin_.begin(), begin_.end(), begin_.begin());
  input_row_.resize(begin_.back());
  slope_row_.resize(begin_.back());
  entry_value_.resize(begin_.back());
  entry_slope_.resize(begin_.back());
  std::vector<std::size_t> next(begin_.begin(), begin_.end() - 1);
  const auto place = [&](const Kept& s, std::size_t slope_offset) {
    each_entry(s, [&](std::size_t row, std::size_t i) {
      const std::size_t to = next[s.latent[i]]++;
      input_row_[to] = static_cast<std::uint32_t>(row);
      slope_row_[to] = static_cast<std::uint32_t>(slope_offset + row);
      entry_value_[to] = s.value[i];
      entry_slope_[to] = s.slope[i];
    });
  };
  place(main_, 0);
  for (const Kept* s : {&aux_, &multi_}) {
    if (s->used()) place(*s, slopes_of(*s, rows));
  }
}

/// Gradients of one latent's rows. along_bias [D] gathers sum over latents of (d loss / d encoder_bias) encoder: as x -
/// decoder_bias enters the encoder, its negative belongs to decoder_bias.
void Gradients::gather_latent(const Parameters& weights, std::size_t latent, std::vector<float>& along_bias) {
  const std::size_t width = weights.width();
  const std::size_t begin = begin_[latent];
  const std::size_t count = begin_[latent + 1] - begin;
  float* decoder_slope = gradient_.decoder.data() + latent * width;
  float* encoder_slope = gradient_.encoder.data() + latent * width;
  std::fill_n(decoder_slope, width, 0.0F);
  std::fill_n(encoder_slope, width, 0.0F);
  gradient_.encoder_bias[latent] = 0.0F;
  if (count == 0) return;
  const Kernels& run = kernels();
  run.weighted_sum(decoder_slope, slope_.data(), slope_row_.data() + begin, entry_value_.data() + begin, count, width);
  run.weighted_sum(encoder_slope, centred_.data(), input_row_.data() + begin, entry_slope_.data() + begin, count,
                   width);
  const float* slopes = entry_slope_.data() + begin;
  gradient_.encoder_bias[latent] = std::accumulate(slopes, slopes + count, 0.0F);
  if (options_.normalize_decoder) {
    const float* row = weights.decoder.data() + latent * width;
    const float square = dot(row, row, width);
    if (square > 0.0F) add_scaled(decoder_slope, -dot(decoder_slope, row, width) / square, row, width);
  }
  if (!options_.transcoder)
    add_scaled(along_bias.data(), gradient_.encoder_bias[latent], weights.encoder.data() + latent * width, width);
}

void Gradients::finish_bias(const std::vector<std::vector<float>>& along_bias) {
  const std::size_t width = gradient_.width();
  std::vector<double> sum(width, 0.0);
  for (const BlockSums& block : blocks_) {
    for (std::size_t d = 0; d < width; ++d) sum[d] += double{block.bias[d]};
  }
  for (const std::vector<float>& block : along_bias) {
    for (std::size_t d = 0; d < width; ++d) sum[d] -= double{block[d]};
  }
  std::transform(sum.begin(), sum.end(), gradient_.decoder_bias.begin(),
                 [](double v) { return static_cast<float>(v); });
}

void Gradients::gather_gradients(const Parameters& weights) {
  const std::size_t latents = weights.latents();
  const std::size_t width = weights.width();
  const std::size_t blocks = block_count(latents, kLatentsPerBlock);
  std::vector<std::vector<float>> along_bias(blocks);
  std::vector<double> squares(blocks, 0.0);
  for_blocks(latents, kLatentsPerBlock, options_.threads, [&](std::size_t block, std::size_t begin, std::size_t end) {
    along_bias[block].assign(width, 0.0F);
    for (std::size_t latent = begin; latent < end; ++latent) {
      gather_latent(weights, latent, along_bias[block]);
      const float* decoder_slope = gradient_.decoder.data() + latent * width;
      const float* encoder_slope = gradient_.encoder.data() + latent * width;
      const double bias = gradient_.encoder_bias[latent];
      squares[block] += double{dot(decoder_slope, decoder_slope, width)} +
                        double{dot(encoder_slope, encoder_slope, width)} + bias * bias;
    }
  });
  finish_bias(along_bias);
  norm_ = std::sqrt(std::accumulate(squares.begin(), squares.end(),
                                    square_norm(gradient_.decoder_bias) + square_norm(gradient_.log_threshold)));
}

/// d loss / d log theta = theta d loss / d theta. Few entries lie at the edge: one thread, rows in order.
/// l0_slope: of the loss in L0, times the share of one row in it.
void Gradients::gather_thresholds(double l0_slope, double bandwidth) {
  std::vector<double> sum(gradient_.latents(), 0.0);
  for (std::size_t row = 0; row < edge_.begin.size(); ++row) {
    for (std::size_t i = edge_.begin[row]; i < edge_.begin[row] + edge_.active[row]; ++i) {
      const std::uint32_t latent = edge_.latent[i];
      sum[latent] -= (double{threshold_[latent]} * double{edge_.slope[i]} + l0_slope) / bandwidth;
    }
  }
  for (std::size_t latent = 0; latent < sum.size(); ++latent)
    gradient_.log_threshold[latent] = static_cast<float>(double{threshold_[latent]} * sum[latent]);
}

StepStats Gradients::compute(const Parameters& weights, const Batch& batch, std::span<const std::uint32_t> dead,
                             const Sparsity& sparsity) {
  if (gradient_.latents() != weights.latents() || gradient_.width() != weights.width())
    gradient_ = Parameters(weights.latents(), weights.width(), options_.activation);
  const double total = variance_of(batch.target, batch.rows, weights.width(), options_.threads);
  select(weights, batch, dead, sparsity.bandwidth);
  const double aux_scale = std::min(
      1.0, static_cast<double>(dead.size()) / static_cast<double>(std::max<std::size_t>(1, weights.width() / 2)));
  backward_rows(weights, batch, total, aux_scale);
  StepStats stats;
  for (const BlockSums& block : blocks_) {
    stats.fvu += block.error / total;
    stats.auxk += aux_scale * block.aux_error / total;
    stats.multi += block.multi_error / total;
    stats.l0 += block.count / static_cast<double>(batch.rows);
  }
  if (options_.activation == Activation::jumprelu) {
    // How far L0 is from where it should be, and the slope of the penalty in it.
    const double off = sparsity.target > 0.0 ? stats.l0 / sparsity.target - 1.0 : 0.0;
    const double slope = sparsity.weight * (sparsity.target > 0.0 ? 2.0 * off / sparsity.target : 1.0);
    stats.penalty = sparsity.weight * (sparsity.target > 0.0 ? off * off : stats.l0);
    gather_thresholds(slope / static_cast<double>(batch.rows), sparsity.bandwidth);
  }
  group_by_latent(batch.rows);
  gather_gradients(weights);
  if (options_.activation == Activation::batchtopk) stats.smallest = smallest_kept(main_);
  stats.loss = stats.fvu + options_.auxk_alpha * stats.auxk + kMultiWeight * stats.multi + stats.penalty;
  return stats;
}

TrainState initial_state(std::size_t latents, std::size_t width, std::uint64_t seed, bool transcoder,
                         Activation activation) {
  TrainState state;
  state.weights = state.first = state.second = Parameters(latents, width, activation);
  state.tokens_since_fired.assign(latents, 0);
  const double bound = 1.0 / std::sqrt(static_cast<double>(width));
  for (std::size_t latent = 0; latent < latents; ++latent) {
    Random random = Random::for_latent(seed, "", LatentId{static_cast<std::uint32_t>(latent)}, "training start");
    for (std::size_t d = 0; d < width; ++d)
      state.weights.encoder[latent * width + d] = static_cast<float>(bound * (2.0 * random.uniform() - 1.0));
  }
  if (transcoder) return state;
  state.weights.decoder = state.weights.encoder;
  normalize_rows(state.weights.decoder, width, 1);
  return state;
}

void start_thresholds(TrainState& state, std::span<const float> rows, std::uint32_t k, bool transcoder,
                      std::size_t threads) {
  const Parameters& weights = state.weights;
  const std::size_t count = rows.size() / weights.width();
  state.unit = std::sqrt(variance_of(rows.data(), count, weights.width(), threads) / static_cast<double>(count));
  AlignedFloats centred;
  centre_rows(weights, rows.data(), count, transcoder, threads, centred);
  TopkEncoder encoder;
  encoder.pack(weights.encoder.data(), weights.encoder_bias.data(), weights.latents(), weights.width(), threads);
  Kept kept;
  BatchTopk().select(encoder, centred, k, threads, kept);
  const double start = std::max(double{smallest_kept(kept)}, kLeastThreshold * state.unit);
  std::fill(state.weights.log_threshold.begin(), state.weights.log_threshold.end(),
            static_cast<float>(std::log(start)));
}

Stepper::Stepper(std::size_t latents, std::size_t width, const TrainOptions& options, std::uint64_t dead_after,
                 bool transcoder)
    : options_{options.k,       options.auxk_alpha, transcoder,        options.normalize_decoder && !transcoder,
               options.threads, options.multi_topk, options.activation},
      optimizer_(options.optimizer),
      width_(width),
      dead_after_(dead_after),
      gradients_(options_) {
  dead_.reserve(latents);
}

StepStats Stepper::step(TrainState& state, std::span<const float> rows, std::size_t count, double rate,
                        std::span<const float> targets, Sparsity sparsity) {
  dead_.clear();
  for (std::size_t latent = 0; latent < state.tokens_since_fired.size(); ++latent) {
    if (state.tokens_since_fired[latent] > dead_after_) dead_.push_back(static_cast<std::uint32_t>(latent));
  }
  const Batch batch{count, rows.data(), targets.empty() ? rows.data() : targets.data()};
  if (state.unit > 0.0) sparsity.bandwidth *= state.unit;
  StepStats stats = gradients_.compute(state.weights, batch, dead_, sparsity);
  stats.dead = static_cast<std::uint32_t>(dead_.size());
  state.recent_fvu.push_back(stats.fvu);
  if (state.recent_fvu.size() > kRecentSteps) state.recent_fvu.erase(state.recent_fvu.begin());
  if (stats.smallest > 0.0F) {
    const double smallest = stats.smallest;
    state.threshold =
        state.threshold > 0.0 ? state.threshold + kThresholdShare * (smallest - state.threshold) : smallest;
  }
  ++state.step;
  const Parameters& gradient = gradients_.gradient();
  if (optimizer_ == Optimizer::signum) {
    signum_update(state, gradient, state.step, rate, options_.normalize_decoder, options_.threads);
  } else {
    const double clipped = std::min(1.0, kMostNorm / (gradients_.norm() + kTiny));
    adam_update(state, gradient, state.step, rate, clipped, options_.threads);
    if (options_.normalize_decoder) normalize_rows(state.weights.decoder, width_, options_.threads);
  }
  for (std::size_t latent = 0; latent < state.tokens_since_fired.size(); ++latent)
    state.tokens_since_fired[latent] = gradients_.firings()[latent] > 0 ? 0 : state.tokens_since_fired[latent] + count;
  return stats;
}

}  // namespace gloss::sparse
