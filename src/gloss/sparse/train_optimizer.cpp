#include "gloss/sparse/train_optimizer.h"

#include <array>
#include <cmath>

#include "gloss/sparse/blocks.h"

namespace gloss::sparse {

void adam_update(TrainState& state, const Parameters& gradient, std::uint64_t step, double rate, double scale,
                 std::size_t threads) {
  constexpr double kBeta1 = 0.9;
  constexpr double kBeta2 = 0.999;
  constexpr double kEpsilon = 1e-8;
  // With corrections c1, c2: rate (m/c1) / (sqrt(v/c2) + epsilon) = (rate sqrt(c2)/c1) m / (sqrt(v) + epsilon
  // sqrt(c2)).
  const double c1 = 1.0 - std::pow(kBeta1, static_cast<double>(step));
  const double root_c2 = std::sqrt(1.0 - std::pow(kBeta2, static_cast<double>(step)));
  const auto f32 = [](double v) { return static_cast<float>(v); };
  const AdamStep adam{f32(kBeta1),       f32(1.0 - kBeta1),        f32(kBeta2),
                      f32(1.0 - kBeta2), f32(rate * root_c2 / c1), f32(kEpsilon * root_c2),
                      f32(scale)};
  const auto run = [&](AlignedFloats Parameters::*part, std::size_t begin, std::size_t count) {
    kernels().adam((state.weights.*part).data() + begin, (state.first.*part).data() + begin,
                   (state.second.*part).data() + begin, (gradient.*part).data() + begin, count, adam);
  };
  const std::size_t width = gradient.width();
  for_blocks(gradient.latents(), kLatentsPerBlock, threads, [&](std::size_t, std::size_t begin, std::size_t end) {
    run(&Parameters::encoder, begin * width, (end - begin) * width);
    run(&Parameters::decoder, begin * width, (end - begin) * width);
    run(&Parameters::encoder_bias, begin, end - begin);
    if (!gradient.log_threshold.empty()) run(&Parameters::log_threshold, begin, end - begin);
  });
  run(&Parameters::decoder_bias, 0, width);
}

void signum_update(TrainState& state, const Parameters& gradient, std::uint64_t step, double rate,
                   bool normalize_decoder, std::size_t threads) {
  constexpr float kMomentum = 0.95F;
  if (step == 1) state.first = state.weights;
  const auto size = static_cast<float>(rate);
  const float share = 1.0F / static_cast<float>(step);  // of the new z in the mean
  const auto parts = std::array{&Parameters::encoder, &Parameters::decoder, &Parameters::encoder_bias,
                                &Parameters::decoder_bias, &Parameters::log_threshold};
  constexpr std::size_t kPerBlock = 1 << 14;
  for (AlignedFloats Parameters::*part : parts) {
    AlignedFloats& z = state.first.*part;
    const AlignedFloats& g = gradient.*part;
    for_blocks(z.size(), kPerBlock, threads, [&](std::size_t, std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) z[i] -= g[i] > 0.0F ? size : g[i] < 0.0F ? -size : 0.0F;
    });
  }
  if (normalize_decoder) normalize_rows(state.first.decoder, gradient.width(), threads);
  for (AlignedFloats Parameters::*part : parts) {
    const AlignedFloats& z = state.first.*part;
    AlignedFloats& x = state.second.*part;
    AlignedFloats& y = state.weights.*part;
    for_blocks(z.size(), kPerBlock, threads, [&](std::size_t, std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) {
        x[i] += share * (z[i] - x[i]);
        y[i] = kMomentum * x[i] + (1.0F - kMomentum) * z[i];
      }
    });
  }
  if (normalize_decoder) normalize_rows(state.weights.decoder, gradient.width(), threads);
}

Parameters signum_result(const TrainState& state, bool normalize_decoder, std::size_t threads) {
  Parameters result = state.second;
  if (normalize_decoder) normalize_rows(result.decoder, result.width(), threads);
  return result;
}

void normalize_rows(AlignedFloats& values, std::size_t width, std::size_t threads) {
  constexpr std::uint32_t kRow = 0;
  for_blocks(values.size() / width, kLatentsPerBlock, threads, [&](std::size_t, std::size_t begin, std::size_t end) {
    for (std::size_t row = begin; row < end; ++row) {
      float* at = values.data() + row * width;
      float square = 0.0F;
      kernels().dots(&square, at, at, &kRow, 1, width);
      const float norm = std::sqrt(square);
      if (norm == 0.0F) continue;
      for (std::size_t d = 0; d < width; ++d) at[d] /= norm;
    }
  });
}

}  // namespace gloss::sparse
