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
#include "gloss/model/config.h"
#include "gloss/model/hookpoint.h"
#include "gloss/model/tensor.h"

namespace gloss::model {

struct LoadOptions {
  std::string device = "cpu";     // cpu or cuda
  std::string dtype = "float32";  // what is computed in: float32, bfloat16, float16. Weights in memory are never wider
};

/// A change of an activation in the middle of a pass. Shapes: value [N, width], or [1, width] for every token alike.
struct Edit {
  enum class How : std::uint8_t { replace, add };
  Hookpoint at;
  How how = How::replace;
  Tensor value;
};

/// Immutable after loading. Threads: one forward pass at a time; torch uses its own threads inside (set_threads).
class SubjectModel {
 public:
  /// Reads a Hugging Face folder: config.json, and the weights as WeightFiles finds them.
  /// Errors: bad_input naming file, key or tensor (found and wanted shape): unknown architecture (lists known ones),
  /// missing or misshapen tensor, unsupported rope scaling or activation, cut file; usage when the device is not there
  /// or cannot compute in the dtype.
  static SubjectModel load(const std::filesystem::path& folder, const LoadOptions& options = {});

  const Config& config() const;
  /// Errors: as Hookpoint::parse.
  Hookpoint hookpoint(std::string_view name) const { return Hookpoint::parse(name, config().hookpoints()); }
  /// Columns of the activations at a hookpoint: D, but the heads together at attn_heads, I at mlp_hidden.
  std::uint32_t width(Hookpoint hookpoint) const;
  /// Hash of config.json and of the names, sizes and bytes of the weights.
  const std::string& fingerprint() const;

  /// Activations at each hookpoint, [B*T, width] f32, from one forward pass that stops after the deepest of them. What
  /// is read at a place is what its edits have left there. Shapes: tokens [B, T] row-major. Errors: bad_input for a
  /// token id not below the vocabulary, T over max_context, or an edit of another shape.
  std::vector<Tensor> activations(std::span<const TokenId> tokens, std::uint32_t batch,
                                  std::span<const Hookpoint> hookpoints, std::span<const Edit> edits = {}) const;
  /// Logits [B*T, V] f32; edits, in their order, are made on the way. Errors: as activations().
  Tensor logits(std::span<const TokenId> tokens, std::uint32_t batch, std::span<const Edit> edits = {}) const;
  /// Rows [first, first + count) of W_U with the final norm folded in, [count, D] f32: what a vector added to the last
  /// residual stream adds to the logits, up to the norm's scale, which depends on the token. Each row is multiplied by
  /// the norm's gain; of a LayerNorm, which takes the vector's mean away, the row's own mean is then taken instead.
  /// Biases and a cap of the logits are left out. Errors: bad_input when rows are not below the vocabulary. Source:
  /// docs/methods.md 11. Threads: any.
  Tensor unembedding(std::uint32_t first, std::uint32_t count) const;
  /// Mean cross-entropy of predicting each next token, nats per token, over B*(T-1) predictions.
  static double mean_loss(const Tensor& logits, std::span<const TokenId> tokens, std::uint32_t batch);

 private:
  friend class Generator;
  friend class HookedPass;
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
