#pragma once
/// Exact encoding on the CPU: top-K, thresholds, the best of groups. The product and the selection are one loop: a
/// block of 12 rows by 32 latents is computed in registers, compared with a threshold (of the row: its K-th best so
/// far; or of each latent) and forgotten unless it beats it, so that [N, F] never exists. Not a library's product with
/// a selection over its result: that writes and reads every one of the N F values, and the library's rounding may
/// change with the number of rows and threads.
#include <cstdint>
#include <span>
#include <vector>

#include "gloss/sparse/aligned.h"
#include "gloss/sparse/encoded.h"
#include "gloss/sparse/kernels.h"

namespace gloss::sparse {

/// Rows to encode. Shapes: x [rows, D] row-major f32, finite; subtract [D] or null: taken from each row first.
struct EncoderInput {
  const float* x = nullptr;
  const float* subtract = nullptr;
  std::size_t rows = 0;
};

/// What encoding gives. Shapes: latent, value [rows, K] row-major: descending value, ties by ascending latent. Where
/// fewer than K values of a row are positive, the last entries have value 0 and the lowest latents not among the
/// others.
struct EncoderOutput {
  std::uint32_t* latent = nullptr;
  float* value = nullptr;
};

/// Encoder weights as the kernels read them.
class EncoderPanels {
 public:
  /// Copies the weights into panels. Shapes: weight [*, D] row-major, bias [*]. Latent i of the encoder is row which[i]
  /// of them; rows are taken from 0 up to `latents` when `which` is empty. May be called again with new weights.
  void pack(const float* weight, const float* bias, std::size_t latents, std::size_t width, std::size_t threads,
            std::span<const std::uint32_t> which = {});

  std::size_t latents() const { return latents_; }
  std::size_t width() const { return width_; }
  /// The weights of one latent. Shapes: out [D]. Requires: latent < latents().
  void copy_row(std::size_t latent, std::span<float> out) const {
    const float* from = panels_.data() + latent / kPanel * width_ * kPanel + latent % kPanel;
    for (std::size_t d = 0; d < width_; ++d) out[d] = from[d * kPanel];
  }
  std::size_t count() const { return (latents_ + kPanel - 1) / kPanel; }  // of panels
  const float* panel(std::size_t i) const { return panels_.data() + i * width_ * kPanel; }
  const float* bias(std::size_t i) const { return bias_.data() + i * kPanel; }

 private:
  AlignedFloats panels_;  // [ceil(F / kPanel)][D][kPanel], zero beyond F
  AlignedFloats bias_;    // [ceil(F / kPanel) * kPanel], below any threshold beyond F
  std::size_t latents_ = 0;
  std::size_t width_ = 0;
};

class TopkEncoder : public EncoderPanels {
 public:
  /// z = relu(weight (x - subtract) + bias), the K largest of each row. Requires: 1 <= k <= latents().
  /// Threads: `threads` workers; the result is the same for any number of them.
  void encode(const EncoderInput& input, std::uint32_t k, std::size_t threads, const EncoderOutput& output,
              const Kernels& with = kernels()) const;
};

/// z = weight (x - subtract) + bias, and every z[f] > threshold[f]: ReLU (thresholds 0), JumpReLU, and what BatchTopK
/// is once it is trained. Same tiles as top-K; only what is above its threshold leaves the registers.
class ThresholdEncoder : public EncoderPanels {
 public:
  /// Shapes: threshold [F], not NaN. Requires: called after pack().
  void set_thresholds(std::span<const float> threshold);
  /// Values as they are (negative ones too where a threshold is), rows by ascending latent.
  Encoded encode(const EncoderInput& input, std::size_t threads, const Kernels& with = kernels()) const;

 private:
  AlignedFloats threshold_;  // [ceil(F / kPanel) * kPanel], infinite beyond F
};

/// z = relu(weight (x - subtract) + bias) in K runs of F / K latents: the largest positive value of each (ties to the
/// lower latent), rows by ascending latent.
/// Source: sparsify's `groupmax` (docs/formats/coders.md).
class GroupmaxEncoder : public EncoderPanels {
 public:
  /// Requires: k divides latents().
  Encoded encode(const EncoderInput& input, std::uint32_t k, std::size_t threads,
                 const Kernels& with = kernels()) const;
};

/// The same by plain loops in f64 over weight [F, D]: the reference that fast encoders must agree with.
void encode_reference(const EncoderInput& input, std::span<const float> weight, std::span<const float> bias,
                      std::uint32_t k, const EncoderOutput& output);

}  // namespace gloss::sparse
