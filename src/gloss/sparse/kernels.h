#pragma once
/// The inner loops of encoding and training, written once and compiled for each instruction set this processor may
/// have. Kernels of different sets round differently (fused or separate multiply-add, order of a sum's terms); within a
/// set a result depends on its own operands only, never on where they lie, how many rows there are or how many threads
/// run.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace gloss::sparse {

/// Latents in a panel: encoder weights are stored [panel][D][kPanel], so that a step over the width reads whole lines.
inline constexpr std::size_t kPanel = 32;
/// Rows in a block of inputs, stored [block][D][kRowBlock].
inline constexpr std::size_t kRowBlock = 12;

/// One step of Adam for an array: m = beta1 m + rest1 g, v = beta2 v + rest2 g^2, p -= rate m / (sqrt(v) + epsilon),
/// where g is the gradient times scale (clipping). rest = 1 - beta, rounded once; rate and epsilon hold the bias
/// corrections.
struct AdamStep {
  float beta1, rest1, beta2, rest2, rate, epsilon, scale;
};

struct Kernels {
  std::string_view name;

  /// z = x W^T + bias for a block of rows and a panel, and which of it is above each row's threshold.
  /// Shapes: x [D, kRowBlock], panel [D, kPanel], bias [kPanel], threshold [kRowBlock]; z [kRowBlock, kPanel],
  /// hits [kRowBlock], bit j of hits[r]: z[r][j] > threshold[r].
  void (*product)(const float* x, const float* panel, const float* bias, std::size_t width, const float* threshold,
                  float* z, std::uint32_t* hits);
  /// The same with a threshold for each latent. Shapes: threshold [kPanel]; bit j of hits[r]: z[r][j] > threshold[j].
  void (*product_by_latent)(const float* x, const float* panel, const float* bias, std::size_t width,
                            const float* threshold, float* z, std::uint32_t* hits);
  /// out += sum over j of weight[j] * base[row[j]]. Shapes: out [D], base [*, D], row, weight [count].
  void (*weighted_sum)(float* out, const float* base, const std::uint32_t* row, const float* weight, std::size_t count,
                       std::size_t width);
  /// out[j] = v . base[row[j]]. Shapes: v [D], base [*, D], row, out [count].
  void (*dots)(float* out, const float* v, const float* base, const std::uint32_t* row, std::size_t count,
               std::size_t width);
  /// Shapes: parameter, first, second (moments), gradient [count].
  /// Source: Kingma & Ba 2015, algorithm 1, with the corrections moved into rate and epsilon.
  void (*adam)(float* parameter, float* first, float* second, const float* gradient, std::size_t count,
               const AdamStep& step);
};

/// Those this processor can run, the best first, the portable one last. For tests; others call kernels().
std::span<const Kernels* const> available_kernels();
const Kernels& kernels();

}  // namespace gloss::sparse
