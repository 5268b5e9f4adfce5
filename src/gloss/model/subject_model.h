#pragma once
/// The model being explained: what it computes at its hookpoints.
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "gloss/base/ids.h"
#include "gloss/base/reporter.h"
#include "gloss/model/hookpoint.h"
#include "gloss/model/tensor.h"

namespace gloss::model {

/// Fields of config.json that the forward pass is driven by.
struct Config {
  std::string architecture;  // row of the table: "llama"
  std::uint32_t layers = 0, width = 0, heads = 0, kv_heads = 0, head_width = 0, hidden = 0, vocabulary = 0;
  std::uint32_t max_context = 0;
  double norm_epsilon = 1e-5, rope_theta = 10000.0;
  bool tied_embeddings = false;
};

struct LoadOptions {
  std::string device = "cpu";  // cpu or cuda
};

/// Immutable after loading. Threads: one forward pass at a time; torch uses its own threads inside (set_threads).
class SubjectModel {
 public:
  /// Reads a Hugging Face folder: config.json, model.safetensors or model.safetensors.index.json with its shards.
  /// Errors: bad_input naming file, key or tensor (found and wanted shape): unknown architecture (lists known ones),
  /// missing or misshapen tensor, unsupported rope scaling or activation, cut file; usage when the device is not there.
  static SubjectModel load(const std::filesystem::path& folder, const LoadOptions& options = {});

  const Config& config() const;
  /// D of the activations at a hookpoint.
  std::uint32_t width(Hookpoint hookpoint) const;
  /// Hash of config.json and of the names, sizes and bytes of the weights.
  const std::string& fingerprint() const;

  /// Activations at each hookpoint, [B*T, D], from one forward pass that stops after the deepest of them.
  /// Shapes: tokens [B, T] row-major. Errors: bad_input for a token id not below the vocabulary, or T over max_context.
  std::vector<Tensor> activations(std::span<const TokenId> tokens, std::uint32_t batch,
                                  std::span<const Hookpoint> hookpoints) const;
  /// Logits [B*T, V]. With `hookpoint` and `replacement` [B*T, D], that activation is replaced on the way (splicing).
  Tensor logits(std::span<const TokenId> tokens, std::uint32_t batch) const;
  Tensor logits_with(std::span<const TokenId> tokens, std::uint32_t batch, Hookpoint hookpoint,
                     const Tensor& replacement) const;
  /// Mean cross-entropy of predicting each next token, nats per token, over B*(T-1) predictions.
  static double mean_loss(const Tensor& logits, std::span<const TokenId> tokens, std::uint32_t batch);

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

/// Threads libtorch uses inside operations; once, at start.
void set_threads(std::size_t threads);
/// "1.13.0" and what it can do ("CPU", "CPU + CUDA"), for --version and doctor.
std::string libtorch_version();
/// Copies to host memory, row-major f32.
std::vector<float> to_host(const Tensor& tensor);
/// From host memory. Shapes: values [rows, columns]. For tests and tools.
Tensor from_host(std::span<const float> values, std::int64_t rows, std::int64_t columns);

}  // namespace gloss::model
