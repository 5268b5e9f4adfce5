#include "gloss/model/rotary.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>
#include <vector>

#include "gloss/model/autograd.h"

namespace gloss::model {
namespace {

/// Low frequencies are divided by the factor, high ones kept, those between mixed by wavelength.
void scale_llama3(const Rope& rope, at::Tensor& frequencies) {
  const auto factor = static_cast<float>(rope.factor);
  const auto low = static_cast<float>(rope.low_frequency_factor);
  const auto high = static_cast<float>(rope.high_frequency_factor);
  const auto context = static_cast<float>(rope.original_context);
  float* value = frequencies.data_ptr<float>();
  for (std::int64_t i = 0; i < frequencies.numel(); ++i) {
    const float wavelength = 2.0F * std::numbers::pi_v<float> / value[i];
    if (wavelength > context / low) {
      value[i] /= factor;
    } else if (wavelength >= context / high) {
      const float share = (context / wavelength - low) / (high - low);
      value[i] = (1.0F - share) * value[i] / factor + share * value[i];
    }
  }
}

/// Pairs that turn often within the original context keep their frequency, those that turn seldom are divided, with a
/// ramp between. Source: Peng et al. 2023 (arXiv 2309.00071), section 3.2.
void scale_yarn(const Rope& rope, std::uint32_t width, at::Tensor& frequencies) {
  const auto pair_that_turns = [&](double times) {
    return width * std::log(rope.original_context / (times * 2.0 * std::numbers::pi)) / (2.0 * std::log(rope.theta));
  };
  const double low = std::max(std::floor(pair_that_turns(rope.beta_fast)), 0.0);
  double high = std::min(std::ceil(pair_that_turns(rope.beta_slow)), width - 1.0);
  if (low == high) high += 0.001;
  float* value = frequencies.data_ptr<float>();
  for (std::int64_t i = 0; i < frequencies.numel(); ++i) {
    const auto ramp = static_cast<float>(std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0));
    value[i] = value[i] / static_cast<float>(rope.factor) * ramp + value[i] * (1.0F - ramp);
  }
}

}  // namespace

at::Tensor inverse_frequencies(const Rope& rope, std::uint32_t rotary_width) {
  const at::Tensor exponent = at::arange(0, static_cast<std::int64_t>(rotary_width), 2, at::TensorOptions(at::kFloat)) /
                              static_cast<double>(rotary_width);
  at::Tensor frequencies = at::pow(rope.theta, exponent).reciprocal();
  switch (rope.scaling) {
    case Rope::Scaling::none:
      break;
    case Rope::Scaling::linear:
      frequencies = frequencies / rope.factor;
      break;
    case Rope::Scaling::llama3:
      scale_llama3(rope, frequencies);
      break;
    case Rope::Scaling::yarn:
      scale_yarn(rope, rotary_width, frequencies);
      break;
  }
  return frequencies;
}

RotaryTable::Rows RotaryTable::rows(const Config& config, std::uint32_t rope, std::int64_t length,
                                    at::Device device) const {
  const std::lock_guard lock(mutex_);
  made_.resize(config.ropes.size());
  Rows& made = made_.at(rope);
  if (!made.cos.defined() || made.cos.size(0) < length) {
    const at::Tensor frequencies = inverse_frequencies(config.ropes[rope], config.rotary_width);
    const at::Tensor angles = at::outer(at::arange(length, at::TensorOptions(at::kFloat)), frequencies).unsqueeze(1);
    const double amplitude = config.ropes[rope].amplitude;
    made = {at::cos(angles).mul_(amplitude).to(device), at::sin(angles).mul_(amplitude).to(device)};
  }
  return {made.cos.narrow(0, 0, length), made.sin.narrow(0, 0, length)};
}

RotaryTable::Rows RotaryTable::rows_at(const Config& config, std::uint32_t rope, const at::Tensor& positions,
                                       std::int64_t end) const {
  // A text grows token by token: the table is made for twice as many positions each time, not for one more.
  const auto length = static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(end)));
  const Rows all = rows(config, rope, length, positions.device());
  return {at::index_select(all.cos, 0, positions), at::index_select(all.sin, 0, positions)};
}

at::Tensor rotate(const at::Tensor& x, const RotaryTable::Rows& table) {
  const std::int64_t half = table.cos.size(-1);
  const std::int64_t rest = x.size(-1) - 2 * half;
  const at::Tensor first = x.narrow(-1, 0, half);
  const at::Tensor second = x.narrow(-1, half, half);
  if (keeps_steps(x)) {
    // The same sums, with steps that can be gone back.
    std::vector<at::Tensor> parts = {at::addcmul(at::mul(first, table.cos), second, table.sin, -1),
                                     at::addcmul(at::mul(second, table.cos), first, table.sin)};
    if (rest > 0) parts.push_back(x.narrow(-1, 2 * half, rest).to(at::kFloat));
    return at::cat(parts, -1).to(x.scalar_type());
  }
  at::Tensor result = at::empty(x.sizes(), x.options().dtype(at::kFloat));
  at::Tensor result_first = result.narrow(-1, 0, half);
  at::Tensor result_second = result.narrow(-1, half, half);
  at::mul_out(result_first, first, table.cos);
  result_first.addcmul_(second, table.sin, -1);
  at::mul_out(result_second, second, table.cos);
  result_second.addcmul_(first, table.sin);
  if (rest > 0) result.narrow(-1, 2 * half, rest).copy_(x.narrow(-1, 2 * half, rest));
  return result.to(x.scalar_type());
}

}  // namespace gloss::model
