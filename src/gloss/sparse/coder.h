#pragma once
/// Sparse coders: which latents fire on this vector.
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "gloss/model/tensor.h"

namespace gloss::sparse {

/// What a coder is, whatever layout it came from. One in-memory form: z = (x - a*b_pre) W_enc^T + b_enc, f = act(z),
/// y = f W_dec + b_dec.
struct CoderInfo {
  std::string format;      // row of the table: "sparsify"
  std::string activation;  // "topk"
  std::uint32_t input_width = 0, output_width = 0, latents = 0, k = 0;
  bool transcoder = false;       // reads the module's input, reconstructs its output
  bool subtract_bias = true;     // b_dec is subtracted from the input
  bool skip_connection = false;  // y also has x W_skip^T
};

/// The K values a row kept, descending. Shapes: latent, value [N, K] row-major; value 0 = fewer than K were positive
/// there (the latents of such entries are different ones all the same).
struct Encoded {
  std::uint32_t k = 0;
  std::vector<std::uint32_t> latent;
  std::vector<float> value;
};

/// Immutable after loading; one call at a time. On the CPU it works with as many threads as libtorch
/// (model::set_threads), and results do not depend on their number.
class Coder {
 public:
  /// Loads one coder folder; the layout is recognised by its files. Errors: bad_input: what was found, what each known
  /// layout would need; misshapen, missing or cut tensors; unknown activation; `signed` coders. usage: unknown device.
  static Coder load(const std::filesystem::path& folder, const std::string& device = "cpu");
  /// The coder folder of a hookpoint below `root` (root/HOOKPOINT, or root itself when it is a coder folder).
  /// Errors: bad_input: there is none (lists those there are, and the nearest).
  static std::filesystem::path find(const std::filesystem::path& root, const std::string& hookpoint);
  /// Hookpoints that have a coder below `root`, natural-sorted; {} when root is itself a coder folder. Of a hookpoint
  /// trained from several seeds: HOOKPOINT/seed0, HOOKPOINT/seed1, ... Errors: bad_input when root is no folder.
  static std::vector<std::string> hookpoints(const std::filesystem::path& root);

  const CoderInfo& info() const;
  const std::string& fingerprint() const;
  /// W_dec [F, O] row-major, empty when the file has none. Lifetime: as long as any copy of this coder.
  std::span<const float> decoder() const& { return decoder_rows(); }
  std::span<const float> decoder() && = delete;
  /// Copies encoder rows [first, first + out.size() / D). Shapes: out [count, D] row-major. Threads: any.
  /// Requires: rows below info().latents.
  void encoder_rows(std::size_t first, std::span<float> out) const;

  /// Exact top-k (ties to the lower index) of x [N, D], tiled so that [N, F] is never held. Errors: bad_input on a
  /// width that is not info().input_width (names both), and on x that is not finite (names the first such place).
  Encoded encode(const model::Tensor& x) const;
  /// Reconstruction [N, O]. Errors: bad_input: the file had no decoder; the coder has a skip connection (give its
  /// input).
  model::Tensor decode(const Encoded& encoded, std::int64_t rows) const;
  /// The same with the skip connection's part, where there is one. Shapes: x [N, D], what was encoded.
  model::Tensor decode(const Encoded& encoded, const model::Tensor& x) const;
  /// Fraction of variance unexplained of this batch: sum |y - y'|^2 / sum |y - mean(y)|^2. A batch without variance
  /// gives 0 when it is reconstructed exactly, else infinity. Shapes: x [N, D]; target [N, O].
  double fvu(const model::Tensor& x, const model::Tensor& target, const Encoded& encoded) const;

 private:
  std::span<const float> decoder_rows() const;

  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

}  // namespace gloss::sparse
