#pragma once
/// Training of TopK, BatchTopK and JumpReLU coders. Method: docs/methods.md 9.
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "gloss/base/reporter.h"

namespace gloss::sparse {

/// signum: schedule-free descent along the sign of the gradient, sparsify's default. Constant rate, no warm-up.
enum class Optimizer : std::uint8_t { adam, signum };

/// How a step chooses the active latents: the K largest of each row; the B K largest of a batch of B rows; those above
/// a threshold of their own, which is learned.
enum class Activation : std::uint8_t { topk, batchtopk, jumprelu };

struct TrainOptions {
  std::uint32_t latents = 4096;  // F
  Activation activation = Activation::topk;
  std::uint32_t k = 32;               // K; of BatchTopK the mean over a batch; of JumpReLU where L0 starts
  std::uint64_t tokens = 5'000'000;   // to train on
  std::uint32_t batch_tokens = 1024;  // per optimizer step
  Optimizer optimizer = Optimizer::adam;
  double learning_rate = 0.0;      // 0 = default_learning_rate()
  std::uint32_t warmup_steps = 0;  // 0 = min(1000, 10 % of the steps)
  double auxk_alpha = 1.0 / 32.0;
  bool multi_topk = false;  // the loss also counts the FVU at 4 K, with weight 1/8; TopK only
  // JumpReLU. sparsity: lambda of the penalty lambda * L0; 0 = (L0 / K - 1)^2 instead, which keeps L0 near K.
  // bandwidth: of the kernel, in root mean squares of the inputs' distance from their mean.
  double sparsity = 0.0;
  std::uint32_t sparsity_warmup_steps = 0;  // 0 = 10 % of the steps
  double bandwidth = 0.1;
  std::uint64_t dead_after_tokens = 0;  // 0 = 5 % of `tokens`, at most 10M
  bool normalize_decoder = true;
  std::uint64_t seed = 1;
  std::uint64_t checkpoint_every_tokens = 500'000;
  std::size_t threads = 1;  // results do not depend on it
};

/// Adam: 2e-4 / sqrt(F / 2^14), for widths D below 512 times 512 / D; signum: 5e-3 / sqrt(F / 2^14).
double default_learning_rate(const TrainOptions& options, std::uint32_t width);

/// Where training reads: called with the index of a batch of contexts, gives activations [rows_per_batch, width]. Must
/// give the same batch for the same index, so that a resumed run sees what it would have seen; wraps around its text.
struct Source {
  std::uint32_t width = 0;
  std::uint64_t rows_per_batch = 0;
  std::function<std::vector<float>(std::uint64_t batch)> batch;
  /// When set: the rows to reconstruct, of the same shape; the coder is then a transcoder. Called right after batch().
  std::function<std::vector<float>(std::uint64_t batch)> targets;
  std::string fingerprint;  // of model, text and hookpoint; a checkpoint of another one is refused
};

struct TrainResult {
  std::uint64_t tokens = 0;
  double fvu = 0.0;  // mean over the last 50 steps, on training text
  std::uint32_t dead = 0;
  double tokens_per_second = 0.0;
};

/// One coder to train.
struct TrainJob {
  std::filesystem::path folder;
  std::string hookpoint;
  Source source;
  std::string reads = {};  // a transcoder's input, by name
};

/// Trains each and writes it to its folder: TopK in the sparsify layout (cfg.json, sae.safetensors), the others as
/// SAELens' jumprelu or jumprelu_transcoder (cfg.json, sae_weights.safetensors with `threshold`), BatchTopK with the
/// running mean of its batches' smallest values as the threshold of all latents. Beside it train.csv (step, tokens,
/// loss, fvu, auxk, dead, l0, tokens_per_second). The jobs take steps in turn, so that their sources may share a
/// forward pass; each ends with the bytes it would have alone. Checkpoints go to folder/checkpoint; an interrupted
/// training goes on there and ends with the same coder, byte for byte. A finished folder of the same settings is left
/// as it is. Errors: interrupted (after a checkpoint); bad_input when a folder holds a training of other settings (says
/// which) or a coder that no training left there, and for activations that are not finite; usage for options out of
/// range.
std::vector<TrainResult> train_coders(const std::vector<TrainJob>& jobs, const TrainOptions& options,
                                      Reporter& reporter);

}  // namespace gloss::sparse
