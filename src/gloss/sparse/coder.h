#pragma once
/// Sparse coders: which latents fire on this vector.
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "gloss/base/ids.h"
#include "gloss/model/tensor.h"
#include "gloss/sparse/encoded.h"

namespace gloss::sparse {

/// How the active latents of a row are chosen among z.
enum class Selection : std::uint8_t {
  topk,      // the K largest, where positive
  groupmax,  // the largest of each of K runs of F / K latents, where positive
  threshold  // all above their threshold: ReLU, JumpReLU, gated, trained BatchTopK
};
/// What is done to a row x [D] before it is encoded. layer_norm: minus its mean, by (std + 1e-5), std with D - 1.
/// constant_norm: times sqrt(D) / |x|.
enum class Normalisation : std::uint8_t { none, layer_norm, constant_norm };

/// What a coder is, whatever layout it came from. One in-memory form: z = (pre(x) - a b_dec) W_enc^T + b_enc,
/// f = act(z), y = post(f W_dec + b_dec) [+ x W_skip^T]; docs/formats/coders.md says what each layout makes of it.
struct CoderInfo {
  std::string format;      // row of the table: "sparsify", "saelens"
  std::string activation;  // as the layout calls it: "topk", "groupmax", "relu", "jumprelu", "batchtopk", "gated"
  Selection selection = Selection::topk;
  Normalisation normalisation = Normalisation::none;
  std::uint32_t input_width = 0, output_width = 0, latents = 0;
  std::uint32_t k = 0;           // of topk and groupmax; else 0, or what the training aimed at
  bool transcoder = false;       // reads the module's input, reconstructs its output
  bool subtract_bias = true;     // b_dec is subtracted from the input
  bool skip_connection = false;  // y also has x W_skip^T
  bool has_decoder = true;
  bool neurons = false;              // the MLP's neurons themselves: no weights, F = 2 I
  std::string hookpoint;             // what the files say is reconstructed, by any name Hookpoint::parse knows; or ""
  std::string reads;                 // where it reads when that is elsewhere; "" = hookpoint, or its module's input
  std::string trained_on;            // the model the files name, or ""
  double published_l0 = 0;           // 0 = not said
  std::vector<std::string> remarks;  // what a user should know: "its threshold was never calibrated ..."
};

struct CoderOptions {
  std::string device = "cpu";
  std::string format = {};        // "" = recognised by the files
  double activation_scale = 0;    // s of SAELens' expected_average_only_in; 0 = not given
  bool normalize_decoder = true;  // dictionary_learning's AutoEncoder: rows of W_dec to norm 1, as its loader does
};

/// How well a coder fits some activations, over the rows counted.
struct Fit {
  double squared_error = 0, variance = 0;  // summed; variance about the mean of these rows
  double norm = 0;                         // sum of |x|
  std::uint64_t active = 0, rows = 0;

  double fvu() const;
  Fit& operator+=(const Fit& other);
};

/// Immutable after loading; one call at a time. On the CPU it works with as many threads as libtorch
/// (model::set_threads), and results do not depend on their number.
class Coder {
 public:
  /// Loads one coder: its folder, or its .pt file where the layout has several in a folder. The layout is recognised by
  /// the files. Errors: bad_input: what was found, what each known layout would need; several layouts fit (asks for the
  /// format); misshapen, missing or cut tensors; what cannot be honoured, by name. usage: unknown device or format.
  static Coder load(const std::filesystem::path& folder, const CoderOptions& options = {});
  /// The neurons of an MLP as latents. Shapes: x [N, I]; latent f < I is relu(x_f), latent I + f is relu(-x_f).
  /// Source: Bills et al. 2023, which explains neurons; both halves, since these neurons have a sign.
  static Coder neurons(std::uint32_t width);
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
  /// d value / d x of an active latent, whose value is known: its encoder row, times what the activation multiplies it
  /// by. Shapes: out [D]. Requires: latent below info().latents. Errors: bad_input: the coder normalises its input, so
  /// that this is no row. Threads: any.
  void value_gradient(LatentId latent, float value, std::span<float> out) const;

  /// The active latents of x [N, D], exact (ties to the lower index), tiled so that [N, F] is never held. Errors:
  /// bad_input on a width that is not info().input_width (names both), and on x that is not finite (names the first
  /// such place).
  Encoded encode(const model::Tensor& x) const;
  /// Reconstruction [N, O]. Errors: bad_input: the file had no decoder; the coder has a skip connection or normalises
  /// its input (give its input).
  model::Tensor decode(const Encoded& encoded, std::int64_t rows) const;
  /// The same with the skip connection's part, and in the input's scale where it was normalised. Shapes: x [N, D], what
  /// was encoded.
  model::Tensor decode(const Encoded& encoded, const model::Tensor& x) const;
  /// Fraction of variance unexplained of this batch: sum |y - y'|^2 / sum |y - mean(y)|^2. A batch without variance
  /// gives 0 when it is reconstructed exactly, else infinity. Shapes: x [N, D]; target [N, O].
  double fvu(const model::Tensor& x, const model::Tensor& target, const Encoded& encoded) const;
  /// What `fvu` is made of, and more, over the rows that `counted` marks (all when it is empty); squared_error and
  /// variance stay 0 without a decoder. Shapes: counted [N].
  Fit fit(const model::Tensor& x, const model::Tensor& target, const Encoded& encoded,
          const std::vector<bool>& counted = {}) const;

 private:
  std::span<const float> decoder_rows() const;

  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

}  // namespace gloss::sparse
