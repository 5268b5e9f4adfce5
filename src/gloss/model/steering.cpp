#include "gloss/model/steering.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/model/subject_model_impl.h"

namespace gloss::model {
namespace {

/// Scales are tried from this part of the activations' norm up to this many times it.
constexpr double kSmallest = 1.0 / 64.0, kLargest = 4096.0;

at::Tensor log_probabilities(const Tensor& logits) { return at::log_softmax(unwrap(logits).to(at::kDouble), -1); }

}  // namespace

Steering::Steering(SubjectModel model, Hookpoint at, std::vector<TokenId> prompts, std::uint32_t count,
                   const SteeringOptions& options)
    : model_(std::move(model)), at_(at), prompts_(std::move(prompts)), count_(count), options_(options) {
  if (count_ == 0 || prompts_.empty() || prompts_.size() % count_ != 0)
    throw Error(ErrorKind::usage, "steering", fmt::format("{} tokens are not {} prompts", prompts_.size(), count_));
  const std::size_t length = prompts_.size() / count_ + options_.tokens;
  if (length > model_.config().max_context)
    throw Error(ErrorKind::usage, "steering",
                fmt::format("prompts of {} tokens and continuations of {} do not fit the model's context of {}",
                            prompts_.size() / count_, options_.tokens, model_.config().max_context));
  const std::vector<Tensor> found = model_.activations(prompts_, count_, std::span(&at_, 1));
  norm_ =
      guarded([&] { return at::linalg_vector_norm(unwrap(found[0]), 2, at::IntArrayRef{-1}).mean().item<double>(); });
  next_ = guarded([&] { return wrap(log_probabilities(last_logits(prompts_, {}))); });
  clean_ = write({});
}

/// Logits [P, V] after the last token of each text. Shapes: tokens [P, any].
Tensor Steering::last_logits(std::span<const TokenId> tokens, std::span<const Edit> edits) const {
  const Tensor all = model_.logits(tokens, count_, edits);
  return guarded([&] {
    const at::Tensor& rows = unwrap(all);
    return wrap(rows.view({count_, -1, rows.size(-1)}).select(1, -1).contiguous());
  });
}

std::vector<Edit> Steering::edit(std::span<const float> direction, double scale) const {
  std::vector<float> scaled(direction.begin(), direction.end());
  for (float& x : scaled) x = static_cast<float>(double{x} * scale);
  return {{at_, Edit::How::add, from_host(scaled, 1, static_cast<std::int64_t>(scaled.size()))}};
}

/// NaN when the scale is too large for the model's numbers.
double Steering::divergence(std::span<const float> direction, double scale) const {
  const Tensor steered = last_logits(prompts_, edit(direction, scale));
  return guarded([&] {
    const at::Tensor clean = unwrap(next_);
    const at::Tensor terms = clean.exp() * (clean - log_probabilities(steered));
    return terms.sum(-1).mean().item<double>();
  });
}

Continuations Steering::write(std::span<const Edit> edits) const {
  const std::size_t length = prompts_.size() / count_;
  Continuations texts(count_);
  std::vector<TokenId> tokens = prompts_;
  for (std::uint32_t step = 0; step < options_.tokens; ++step) {
    const Tensor logits = last_logits(tokens, edits);
    const std::vector<std::int64_t> chosen = guarded([&] {
      const at::Tensor best = unwrap(logits).argmax(-1).to(at::kCPU, at::kLong).contiguous();
      return std::vector<std::int64_t>(best.data_ptr<std::int64_t>(), best.data_ptr<std::int64_t>() + count_);
    });
    std::vector<TokenId> longer;
    longer.reserve(tokens.size() + count_);
    for (std::uint32_t p = 0; p < count_; ++p) {
      const auto begin = tokens.begin() + static_cast<std::ptrdiff_t>(p * (length + step));
      longer.insert(longer.end(), begin, begin + static_cast<std::ptrdiff_t>(length + step));
      const TokenId next{static_cast<std::uint32_t>(chosen[p])};
      longer.push_back(next);
      texts[p].push_back(next);
    }
    tokens = std::move(longer);
  }
  return texts;
}

std::optional<Steered> Steering::steer(std::span<const float> direction) const {
  double length = 0.0;
  for (const float x : direction) length += double{x} * double{x};
  length = std::sqrt(length);
  if (!(length > 0.0) || !std::isfinite(length)) return std::nullopt;
  const double unit = norm_ > 0.0 ? norm_ / length : 1.0 / length;
  double low = 0.0, high = kSmallest * unit;
  double reached = divergence(direction, high);
  while (reached < options_.divergence) {
    low = high;
    high *= 2.0;
    if (high > kLargest * unit) return std::nullopt;
    reached = divergence(direction, high);
  }
  const auto is_near = [&](double found) {
    return std::abs(found - options_.divergence) <= options_.tolerance * options_.divergence;
  };
  double scale = high;
  for (std::uint32_t step = 0; step < options_.steps && !is_near(reached); ++step) {
    scale = (low + high) / 2.0;
    reached = divergence(direction, scale);
    (reached < options_.divergence ? low : high) = scale;
  }
  if (!std::isfinite(reached)) return std::nullopt;
  return Steered{scale, reached, write(edit(direction, scale))};
}

}  // namespace gloss::model
