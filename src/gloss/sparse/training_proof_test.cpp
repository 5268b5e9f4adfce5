// Proof of the trainer: it finds a dictionary that is known. Minutes without optimisation, hence a program of its own.
#include <gtest/gtest.h>

#include "gloss/base/parallel.h"
#include "gloss/formats/safetensors.h"
#include "gloss/sparse/known_dictionary.h"
#include "gloss/sparse/test_coder.h"
#include "gloss/sparse/train.h"
#include "gloss/sparse/train_step.h"

namespace gloss::sparse {
namespace {

struct Outcome {
  double recovery = 0.0;
  TrainResult result;
};

Outcome train(const KnownDictionary& dictionary, const TrainOptions& options) {
  const TemporaryFolder folder;
  SilentReporter silent;
  Outcome outcome;
  outcome.result =
      train_coders({{folder.path(), "known", dictionary.source(options.batch_tokens)}}, options, silent).at(0);
  const bool topk = options.activation == Activation::topk;
  const auto file = formats::SafeTensors::open(folder.path() / (topk ? "sae.safetensors" : "sae_weights.safetensors"));
  outcome.recovery = dictionary.recovery(file.view<float>("W_dec", formats::Dtype::f32));
  return outcome;
}

TrainOptions options_for(std::uint32_t latents, std::uint32_t k, std::uint64_t tokens) {
  TrainOptions o;
  o.latents = latents;
  o.k = k;
  o.tokens = tokens;
  o.threads = available_threads();
  return o;
}

void expect_dictionary(Activation activation) {
  const KnownDictionary dictionary({512, 128, 8}, 1);
  TrainOptions options = options_for(512, 8, 1'000'000);
  options.activation = activation;
  options.batch_tokens = 512;
  options.learning_rate = 3e-3;
  const Outcome o = train(dictionary, options);
  ::testing::Test::RecordProperty("recovery", std::to_string(o.recovery));
  ::testing::Test::RecordProperty("fvu", std::to_string(o.result.fvu));
  EXPECT_GT(o.recovery, 0.9);
  EXPECT_LT(o.result.fvu, 0.2);
}

TEST(TrainingProof, FindsTheDictionaryThatMadeTheData) { expect_dictionary(Activation::topk); }

TEST(TrainingProof, BatchTopkFindsIt) { expect_dictionary(Activation::batchtopk); }

TEST(TrainingProof, JumpreluFindsIt) { expect_dictionary(Activation::jumprelu); }

TEST(TrainingProof, SignDescentFindsItToo) {
  const KnownDictionary dictionary({256, 64, 4}, 1);
  TrainOptions options = options_for(256, 4, 400'000);
  options.batch_tokens = 512;
  options.optimizer = Optimizer::signum;
  options.learning_rate = 2e-3;
  const Outcome o = train(dictionary, options);
  RecordProperty("recovery", std::to_string(o.recovery));
  EXPECT_GT(o.recovery, 0.8);
}

/// The part of the error that the dead latents leave, over the last 20 of 400 steps.
double share_left(double auxk_alpha) {
  const KnownDictionary dictionary({64, 32, 4}, 2);
  TrainOptions options =
      options_for(256, 1, 1'000'000);  // one active latent of the four there are: a large error is left
  options.auxk_alpha = auxk_alpha;
  constexpr std::size_t kRows = 256;
  const Source source = dictionary.source(kRows);
  Stepper stepper(options.latents, source.width, options, kRows);  // silent for a batch: dead
  TrainState state = initial_state(options.latents, source.width, 1);
  double left = 0.0;
  for (std::uint64_t step = 0; step < 400; ++step) {
    const StepStats stats = stepper.step(state, source.batch(step), kRows, 2e-3);
    if (step >= 380) left += stats.auxk / stats.fvu / 20;
  }
  return left;
}

TEST(TrainingProof, TheAuxiliaryLossTeachesDeadLatentsTheError) {
  const double taught = share_left(1.0);
  RecordProperty("share_left", std::to_string(taught));
  EXPECT_LT(taught, 0.8);
  EXPECT_LT(taught, 0.8 * share_left(1e-12)) << "without the loss they learn nothing of it";
}

}  // namespace
}  // namespace gloss::sparse
