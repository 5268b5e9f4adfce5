// Gradients written by hand against libtorch's autograd in f64, and the pieces of a training step.
#include "gloss/sparse/train_step.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "gloss/base/error.h"
#include "gloss/base/random.h"
#include "gloss/sparse/test_coder.h"
#include "gloss/sparse/train_optimizer.h"

namespace gloss::sparse {
namespace {

struct Size {
  std::int64_t rows, width, latents, k;
};

struct Problem {
  Size size;
  Parameters weights;
  std::vector<float> input, target;
  std::vector<std::uint32_t> dead;

  static Problem random(const Size& size, std::size_t dead_count, std::uint64_t seed) {
    Random random = Random::for_purpose(seed, "train step test");
    Problem p{size, initial_state(size.latents, size.width, seed).weights, {}, {}, {}};
    for (float& v : p.weights.encoder_bias) v = static_cast<float>(0.1 * random.normal());
    for (float& v : p.weights.decoder_bias) v = static_cast<float>(0.3 * random.normal());
    for (std::int64_t i = 0; i < size.rows * size.width; ++i) {
      p.input.push_back(static_cast<float>(random.normal()));
      p.target.push_back(static_cast<float>(random.normal()));
    }
    for (const std::uint64_t f : random.sample(size.latents, dead_count))
      p.dead.push_back(static_cast<std::uint32_t>(f));
    std::sort(p.dead.begin(), p.dead.end());
    return p;
  }
  /// The same with thresholds between 0.05 and 0.85.
  static Problem with_thresholds(const Size& size, std::size_t dead_count, std::uint64_t seed) {
    Problem p = random(size, dead_count, seed);
    Random random = Random::for_purpose(seed, "train step test thresholds");
    for (std::int64_t f = 0; f < size.latents; ++f)
      p.weights.log_threshold.push_back(static_cast<float>(std::log(0.05 + 0.8 * random.uniform())));
    return p;
  }
};

torch::Tensor leaf(const float* values, std::int64_t rows, std::int64_t columns) {
  return torch::from_blob(const_cast<float*>(values), {rows, columns}, torch::kFloat)
      .to(torch::kDouble)
      .set_requires_grad(true);
}

struct Reference {
  double fvu = 0.0, auxk = 0.0, multi = 0.0, penalty = 0.0;
  torch::Tensor encoder, encoder_bias, decoder, decoder_bias, log_threshold;  // gradients
};

/// A value that is 0, with this gradient in `of`.
torch::Tensor only_gradient(const torch::Tensor& gradient, const torch::Tensor& of) {
  return gradient.detach() * (of - of.detach());
}

/// The loss as docs/methods.md 9 states it, with dense tensors.
Reference reference(const Problem& p, const StepOptions& o, const Sparsity& sparsity) {
  const auto [rows, width, latents, k] = p.size;
  torch::Tensor we = leaf(p.weights.encoder.data(), latents, width);
  torch::Tensor be = leaf(p.weights.encoder_bias.data(), 1, latents);
  torch::Tensor wd = leaf(p.weights.decoder.data(), latents, width);
  torch::Tensor bd = leaf(p.weights.decoder_bias.data(), 1, width);
  const torch::Tensor x = leaf(p.input.data(), rows, width).detach();
  const torch::Tensor y = o.transcoder ? leaf(p.target.data(), rows, width).detach() : x;
  const torch::Tensor z = torch::relu(torch::mm(o.transcoder ? x : x - bd, we.t()) + be);
  const bool jumprelu = o.activation == Activation::jumprelu;
  torch::Tensor log_threshold = jumprelu ? leaf(p.weights.log_threshold.data(), 1, latents) : torch::Tensor();
  const auto keep = [](const torch::Tensor& all, std::int64_t count) {
    const torch::Tensor best = std::get<1>(all.topk(count, 1));
    return torch::zeros_like(all).scatter(1, best, all.gather(1, best));
  };
  Reference r;
  torch::Tensor acts;
  torch::Tensor loss = torch::zeros({}, torch::kDouble);
  if (jumprelu) {
    const torch::Tensor theta = log_threshold.exp();
    const torch::Tensor active = (z > theta).to(torch::kDouble);
    const torch::Tensor kernel = ((z - theta).abs() < sparsity.bandwidth / 2).logical_and(z > 0).to(torch::kDouble);
    acts = z * active + only_gradient(-theta / sparsity.bandwidth * kernel, theta);
    const torch::Tensor l0 = (active + only_gradient(-kernel / sparsity.bandwidth, theta)).sum() / rows;
    loss = sparsity.weight * (sparsity.target > 0 ? (l0 / sparsity.target - 1).square() : l0);
    r.penalty = loss.item<double>();
  } else if (o.activation == Activation::batchtopk) {
    acts = keep(z.reshape({1, rows * latents}), rows * k).reshape({rows, latents});
  } else {
    acts = keep(z, k);
  }
  const torch::Tensor variance = (y - y.mean(0, true)).square().sum();
  const torch::Tensor e = y - (torch::mm(acts, wd) + bd);
  const torch::Tensor fvu = e.square().sum() / variance;
  loss = loss + fvu;
  r.fvu = fvu.item<double>();
  if (!p.dead.empty() && o.auxk_alpha > 0) {
    const std::int64_t most = width / 2;
    const auto dead = static_cast<std::int64_t>(p.dead.size());
    torch::Tensor mask = torch::zeros({1, latents}, torch::kDouble);
    for (const std::uint32_t f : p.dead) mask[0][f] = 1.0;
    const torch::Tensor aux = torch::mm(keep(z * mask, std::min(most, dead)), wd);
    const double scale = std::min(1.0, static_cast<double>(dead) / static_cast<double>(most));
    const torch::Tensor auxk = scale * (aux - e.detach()).square().sum() / variance;
    r.auxk = auxk.item<double>();
    loss = loss + o.auxk_alpha * auxk;
  }
  if (o.multi_topk) {
    const torch::Tensor multi = (y - (torch::mm(keep(z, std::min(4 * k, latents)), wd) + bd)).square().sum() / variance;
    r.multi = multi.item<double>();
    loss = loss + multi / 8.0;
  }
  loss.backward();
  r.encoder = we.grad();
  r.encoder_bias = be.grad();
  r.decoder = wd.grad();
  r.decoder_bias = bd.grad();
  if (jumprelu) r.log_threshold = log_threshold.grad();
  if (o.normalize_decoder) {
    const torch::Tensor unit = wd.detach() / wd.detach().norm(2, 1, true);
    r.decoder = r.decoder - unit * (r.decoder * unit).sum(1, true);
  }
  return r;
}

/// Largest difference relative to the largest gradient.
double difference(const AlignedFloats& got, const torch::Tensor& wanted) {
  const torch::Tensor flat = wanted.contiguous().view({-1});
  EXPECT_EQ(static_cast<std::int64_t>(got.size()), flat.numel());
  double worst = 0.0;
  for (std::int64_t i = 0; i < flat.numel(); ++i)
    worst = std::max(worst, std::abs(double{got[static_cast<std::size_t>(i)]} - flat[i].item<double>()));
  return worst / std::max(1e-30, flat.abs().max().item<double>());
}

void expect_gradients(const Problem& p, const StepOptions& o, const Sparsity& sparsity = {}) {
  constexpr double kTolerance = 2e-5;  // f32 sums of a few hundred terms against f64
  Gradients gradients(o);
  const Batch batch{static_cast<std::size_t>(p.size.rows), p.input.data(),
                    o.transcoder ? p.target.data() : p.input.data()};
  const StepStats stats = gradients.compute(p.weights, batch, p.dead, sparsity);
  const Reference wanted = reference(p, o, sparsity);
  EXPECT_NEAR(stats.fvu, wanted.fvu, 1e-6);
  EXPECT_NEAR(stats.auxk, wanted.auxk, 1e-6);
  EXPECT_NEAR(stats.multi, wanted.multi, 1e-6);
  EXPECT_NEAR(stats.penalty, wanted.penalty, 1e-6);
  EXPECT_NEAR(stats.loss, wanted.fvu + o.auxk_alpha * wanted.auxk + wanted.multi / 8.0 + wanted.penalty, 2e-6);
  EXPECT_LT(difference(gradients.gradient().encoder, wanted.encoder), kTolerance);
  EXPECT_LT(difference(gradients.gradient().encoder_bias, wanted.encoder_bias), kTolerance);
  EXPECT_LT(difference(gradients.gradient().decoder, wanted.decoder), kTolerance);
  EXPECT_LT(difference(gradients.gradient().decoder_bias, wanted.decoder_bias), kTolerance);
  torch::Tensor squares = wanted.encoder.square().sum() + wanted.encoder_bias.square().sum() +
                          wanted.decoder.square().sum() + wanted.decoder_bias.square().sum();
  if (o.activation == Activation::jumprelu) {
    EXPECT_GT(wanted.log_threshold.abs().max().item<double>(), 0.0) << "no value lies at a threshold";
    EXPECT_LT(difference(gradients.gradient().log_threshold, wanted.log_threshold), kTolerance);
    squares = squares + wanted.log_threshold.square().sum();
  } else {
    EXPECT_TRUE(gradients.gradient().log_threshold.empty());
  }
  const double norm = std::sqrt(squares.item<double>());
  EXPECT_NEAR(gradients.norm(), norm, 1e-4 * norm);
}

TEST(Gradients, AgreeWithAutogradWithoutDeadLatents) {
  expect_gradients(Problem::random({70, 9, 50, 4}, 0, 1), {4, 1.0 / 32, false, true, 1});
}

TEST(Gradients, AgreeWithAutogradWithTheAuxiliaryLoss) {
  expect_gradients(Problem::random({130, 16, 100, 3}, 40, 2), {3, 0.5, false, true, 1});  // more dead than D/2
  expect_gradients(Problem::random({65, 17, 100, 3}, 5, 3), {3, 0.5, false, true, 1});    // fewer
}

TEST(Gradients, AgreeWithAutogradWithMultiTopk) {
  expect_gradients(Problem::random({130, 16, 100, 3}, 0, 8), {3, 0.5, false, true, 1, true});
  expect_gradients(Problem::random({130, 16, 100, 3}, 40, 9), {3, 0.5, false, true, 2, true});  // and dead latents
  expect_gradients(Problem::random({70, 9, 20, 6}, 0, 10), {6, 0.0, true, false, 1, true});     // 4 K is more than F
}

TEST(Gradients, AgreeWithAutogradForAFreeDecoder) {
  expect_gradients(Problem::random({64, 8, 33, 2}, 10, 4), {2, 0.5, false, false, 1});
}

TEST(Gradients, AgreeWithAutogradForATranscoder) {
  expect_gradients(Problem::random({70, 12, 40, 5}, 9, 5), {5, 0.25, true, false, 1});
}

TEST(Gradients, AgreeWithAutogradForBatchTopk) {
  const auto options = [](std::uint32_t k, bool transcoder, bool normalize) {
    return StepOptions{k, 0.5, transcoder, normalize, 1, false, Activation::batchtopk};
  };
  expect_gradients(Problem::random({70, 9, 50, 4}, 0, 11), options(4, false, true));
  expect_gradients(Problem::random({130, 16, 100, 3}, 40, 12), options(3, false, true));  // and dead latents
  expect_gradients(Problem::random({64, 8, 33, 2}, 10, 13), options(2, false, false));
  expect_gradients(Problem::random({70, 12, 40, 5}, 9, 14), options(5, true, false));
}

TEST(Gradients, AgreeWithAutogradForJumprelu) {
  const auto options = [](double alpha, bool transcoder, bool normalize) {
    return StepOptions{1, alpha, transcoder, normalize, 1, false, Activation::jumprelu};
  };
  expect_gradients(Problem::with_thresholds({70, 9, 50, 4}, 0, 15), options(0.0, false, true), {0.02, 0.0, 0.1});
  expect_gradients(Problem::with_thresholds({130, 16, 100, 3}, 40, 16), options(0.5, false, true), {0.02, 0.0, 0.3});
  expect_gradients(Problem::with_thresholds({130, 16, 100, 3}, 0, 17), options(0.0, false, true), {1.0, 5.0, 0.1});
  expect_gradients(Problem::with_thresholds({64, 8, 33, 2}, 10, 18), options(0.5, false, false), {0.1, 0.0, 0.2});
  expect_gradients(Problem::with_thresholds({70, 12, 40, 5}, 9, 19), options(0.25, true, false), {0.02, 0.0, 0.1});
}

/// The estimate of d loss / d log theta is what the loss does when a threshold crosses the kernel's width, and it takes
/// no derivation to see what that is.
TEST(Gradients, OfThresholdsSayWhatTheLossDoesWhenTheyMove) {
  constexpr std::int64_t kRows = 20'000;
  Problem p = Problem::with_thresholds({kRows, 4, 8, 1}, 0, 20);
  std::fill(p.weights.log_threshold.begin(), p.weights.log_threshold.end(), std::log(0.4F));
  const StepOptions options{1, 0.0, false, true, 1, false, Activation::jumprelu};
  for (const Sparsity& sparsity : {Sparsity{0.05, 0.0, 0.1}, Sparsity{0.0, 0.0, 0.1}, Sparsity{1.0, 2.0, 0.1}}) {
    Gradients gradients(options);
    const auto loss = [&](const Parameters& weights) {
      return gradients.compute(weights, {kRows, p.input.data(), p.input.data()}, {}, sparsity).loss;
    };
    loss(p.weights);
    const AlignedFloats estimate = gradients.gradient().log_threshold;
    double worst = 0.0;
    double largest = 0.0;
    for (std::size_t f = 0; f < 8; ++f) {
      Parameters moved = p.weights;
      moved.log_threshold[f] = std::log(0.45F);
      const double above = loss(moved);
      moved.log_threshold[f] = std::log(0.35F);
      const double slope = (above - loss(moved)) / std::log(0.45 / 0.35);
      worst = std::max(worst, std::abs(slope - double{estimate[f]}));
      largest = std::max(largest, std::abs(slope));
    }
    EXPECT_LT(worst, 0.15 * largest) << "weight " << sparsity.weight << ", target " << sparsity.target;
  }
}

TEST(Gradients, DoNotDependOnTheNumberOfThreads) {
  const Problem p = Problem::with_thresholds({500, 24, 200, 6}, 50, 6);
  for (const Activation activation : {Activation::topk, Activation::batchtopk, Activation::jumprelu}) {
    const auto compute = [&](std::size_t threads) {
      Gradients gradients({6, 0.5, false, true, threads, false, activation});
      gradients.compute(p.weights, {500, p.input.data(), p.input.data()}, p.dead, {0.1, 0.0, 0.1});
      return gradients.gradient();
    };
    const Parameters one = compute(1);
    for (const std::size_t threads : {2, 5}) {
      const Parameters many = compute(threads);
      EXPECT_EQ(many.encoder, one.encoder);
      EXPECT_EQ(many.encoder_bias, one.encoder_bias);
      EXPECT_EQ(many.decoder, one.decoder);
      EXPECT_EQ(many.decoder_bias, one.decoder_bias);
      EXPECT_EQ(many.log_threshold, one.log_threshold);
    }
  }
}

TEST(Gradients, CountFiringsAndL0FromPositiveValuesOnly) {
  // D = 1, two latents with weights 1 and -1: a row of 2 fires the first, a row of -1 the second, a row of 0 none.
  Parameters weights(2, 1);
  weights.encoder = {1.0F, -1.0F};
  weights.decoder = {1.0F, -1.0F};
  const std::vector<float> x = {2.0F, -1.0F, 0.0F, 3.0F};
  Gradients gradients({2, 0.0, false, true, 1});
  const StepStats stats = gradients.compute(weights, {4, x.data(), x.data()}, {});
  EXPECT_DOUBLE_EQ(stats.l0, 0.75);
  EXPECT_DOUBLE_EQ(stats.fvu, 0.0);
  EXPECT_EQ(std::vector<std::uint32_t>(gradients.firings().begin(), gradients.firings().end()),
            (std::vector<std::uint32_t>{2, 1}));
}

TEST(Gradients, RefuseABatchWithoutVariance) {
  const Parameters weights = initial_state(4, 2, 1).weights;
  const std::vector<float> x(6, 1.5F);
  Gradients gradients({1, 0.0, false, true, 1});
  EXPECT_EQ(error_of([&] {
              gradients.compute(weights, {3, x.data(), x.data()}, {});
            }),
            "training: all activations of a batch are the same, so there is nothing to learn from\n"
            "hint: is the text empty or one repeated token?");
}

TEST(InitialState, HasBoundedEncodersUnitDecodersAndOneStreamPerLatent) {
  const TrainState state = initial_state(10, 16, 3);
  for (const float v : state.weights.encoder) EXPECT_LE(std::abs(v), 0.25F);
  for (std::size_t f = 0; f < 10; ++f) {
    double square = 0.0;
    for (std::size_t d = 0; d < 16; ++d) square += std::pow(double{state.weights.decoder[f * 16 + d]}, 2);
    EXPECT_NEAR(square, 1.0, 1e-6);
  }
  const TrainState more = initial_state(20, 16, 3);  // the first latents are the same whatever their number
  EXPECT_TRUE(std::equal(state.weights.encoder.begin(), state.weights.encoder.end(), more.weights.encoder.begin()));
  EXPECT_NE(initial_state(10, 16, 4).weights.encoder, state.weights.encoder);
  for (const float v : initial_state(10, 16, 3, true).weights.decoder) EXPECT_EQ(v, 0.0F);
}

TEST(StartThresholds, PutL0AtKOnTheFirstBatch) {
  const Problem p = Problem::random({300, 8, 60, 5}, 0, 21);
  TrainState state = initial_state(60, 8, 21, false, Activation::jumprelu);
  start_thresholds(state, p.input, 5, false, 1);
  EXPECT_NEAR(state.unit, std::sqrt(8.0), 0.1);  // the inputs are standard normal
  Gradients gradients({5, 0.0, false, true, 1, false, Activation::jumprelu});
  const double l0 = gradients.compute(state.weights, {300, p.input.data(), p.input.data()}, {}).l0;
  EXPECT_NEAR(l0, 5.0, 1.0 / 300 + 1e-9);  // the smallest kept value is not above itself
}

TEST(Stepper, KeepsTheRunningMeanOfTheSmallestValueOfBatchTopk) {
  TrainState state = initial_state(1, 1, 1, false, Activation::batchtopk);
  state.weights.encoder = {1.0F};
  state.weights.decoder = {1.0F};
  TrainOptions options;
  options.activation = Activation::batchtopk;
  options.k = 1;
  options.auxk_alpha = 0.0;
  Stepper stepper(1, 1, options, 5);
  stepper.step(state, std::vector<float>{3.0F, 2.0F, -1.0F}, 3, 0.0);
  EXPECT_DOUBLE_EQ(state.threshold, 2.0);  // the first batch's
  stepper.step(state, std::vector<float>{4.0F, 6.0F, 5.0F}, 3, 0.0);
  EXPECT_DOUBLE_EQ(state.threshold, 0.99 * 2.0 + 0.01 * 4.0);
  stepper.step(state, std::vector<float>{-4.0F, -6.0F, -5.0F}, 3, 0.0);
  EXPECT_DOUBLE_EQ(state.threshold, 0.99 * 2.0 + 0.01 * 4.0);  // nothing was kept
}

TEST(Stepper, CountsTokensSinceALatentFiredAndTakesItForDeadAfterwards) {
  // Latent 1 looks the other way and never fires.
  TrainState state = initial_state(2, 1, 1);
  state.weights.encoder = {1.0F, -1.0F};
  state.weights.decoder = {1.0F, 1.0F};
  TrainOptions options;
  options.k = 1;
  options.auxk_alpha = 0.0;
  Stepper stepper(2, 1, options, 5);
  const std::vector<float> x = {1.0F, 2.0F, 4.0F};
  std::vector<std::uint32_t> dead;
  for (int step = 0; step < 4; ++step) dead.push_back(stepper.step(state, x, 3, 0.0).dead);
  EXPECT_EQ(state.step, 4U);
  EXPECT_EQ(state.tokens_since_fired, (std::vector<std::uint64_t>{0, 12}));
  EXPECT_EQ(dead, (std::vector<std::uint32_t>{0, 0, 1, 1}));  // 6 > 5 tokens after two steps
}

TEST(Stepper, KeepsDecoderRowsAtUnitNorm) {
  const Problem p = Problem::random({64, 8, 20, 2}, 0, 9);
  TrainState state = initial_state(20, 8, 9);
  TrainOptions options;
  options.k = 2;
  Stepper stepper(20, 8, options, 1000);
  for (int step = 0; step < 5; ++step) stepper.step(state, p.input, 64, 0.01);
  for (std::size_t f = 0; f < 20; ++f) {
    double square = 0.0;
    for (std::size_t d = 0; d < 8; ++d) square += std::pow(double{state.weights.decoder[f * 8 + d]}, 2);
    EXPECT_NEAR(square, 1.0, 1e-6);
  }
}

TEST(Signum, FollowsTheMeanOfItsSteps) {
  // One number, gradient 1, 1, -2: z goes 1 -> 0.9 -> 0.8 -> 0.9; x is their mean.
  TrainState state;
  state.weights = state.first = state.second = Parameters(1, 1);
  state.weights.encoder[0] = 1.0F;
  Parameters gradient(1, 1);
  const std::vector<float> gradients{1.0F, 1.0F, -2.0F};
  const std::vector<float> means{0.9F, 0.85F, 0.8666667F};
  const std::vector<float> points{0.9F, 0.8475F, 0.8683333F};  // 0.95 x + 0.05 z
  for (std::uint64_t step = 0; step < 3; ++step) {
    gradient.encoder[0] = gradients[step];
    signum_update(state, gradient, step + 1, 0.1, false, 1);
    EXPECT_NEAR(state.second.encoder[0], means[step], 1e-6) << step;
    EXPECT_NEAR(state.weights.encoder[0], points[step], 1e-6) << step;
  }
  EXPECT_EQ(signum_result(state, false, 1).encoder[0], state.second.encoder[0]);
}

}  // namespace
}  // namespace gloss::sparse
