#pragma once
/// An activation taken apart into what a coder's latents write and what is left, and put together again. Private to the
/// module.
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "gloss/circuit/graph.h"

namespace gloss::circuit {

/// Activations of the latents that fire, by latent.
using RowValues = std::map<std::uint32_t, float>;

/// y = sum_f value[f] W_dec[f] + rest, a row for each token: `rest` is the coder's error term (with b_dec, and the part
/// of a skip connection), so that the sum is the activation again.
struct Spliced {
  std::size_t rows = 0, width = 0;
  std::vector<RowValues> latents;  // [rows]
  std::vector<float> y;            // [rows, width]
  std::vector<float> rest;         // [rows, width]
};

/// What a coder writes and reads, latent by latent.
class Weights {
 public:
  /// Errors: bad_input: a coder without decoder, or one that normalises its input: what its latents write then depends
  /// on the token.
  explicit Weights(const Place& place);

  /// sum_i with[i] W_dec[f][i]. Shapes: with [O].
  double written(std::uint32_t latent, std::span<const float> with) const;
  /// row += scale W_dec[f]. Shapes: row [O].
  void write(std::uint32_t latent, double scale, std::span<float> row) const;
  /// row += scale d value[f] / d x, where f has this value > 0. Shapes: row [D].
  void read_back(std::uint32_t latent, float value, double scale, std::span<float> row) const;
  /// b_dec[i]: what a reconstruction of nothing is. Requires: i below O.
  float bias(std::size_t i) const { return bias_[i]; }
  /// Takes y apart. Shapes: read [rows, D], y [rows, O].
  Spliced splice(const model::Tensor& read, const model::Tensor& y) const;

 private:
  const Place* place_;
  std::vector<float> bias_;  // [O]
};

/// The order in which a pass computes two places.
bool comes_before(model::Hookpoint a, model::Hookpoint b);

}  // namespace gloss::circuit
