#include "gloss/sparse/train.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "gloss/base/error.h"
#include "gloss/base/interrupt.h"
#include "gloss/base/output_file.h"
#include "gloss/base/random.h"
#include "gloss/formats/safetensors.h"
#include "gloss/model/subject_model.h"
#include "gloss/sparse/coder.h"
#include "gloss/sparse/known_dictionary.h"
#include "gloss/sparse/shuffled_rows.h"
#include "gloss/sparse/test_coder.h"
#include "gloss/sparse/train_files.h"

namespace gloss::sparse {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

TrainOptions small_options() {
  TrainOptions o;
  o.latents = 40;
  o.k = 3;
  o.tokens = 6000;
  o.batch_tokens = 100;
  o.learning_rate = 0.01;
  o.checkpoint_every_tokens = 1000;
  return o;
}

/// Sets the interrupt flag when the training reports this many tokens.
class Interrupter : public SilentReporter {
 public:
  explicit Interrupter(std::uint64_t tokens) : tokens_(tokens) {}
  void progress(const Progress& p) override {
    details_.emplace_back(p.detail);
    if (p.done == tokens_) set_interrupted(true);
  }
  void info(std::string_view message) override { infos_.emplace_back(message); }
  std::vector<std::string> details_, infos_;

 private:
  std::uint64_t tokens_;
};

class TrainTest : public ::testing::Test {
 protected:
  void TearDown() override { set_interrupted(false); }

  TrainResult train(const fs::path& folder, const TrainOptions& options) {
    return train_coders({{folder, "layers.2", source_}}, options, silent_).at(0);
  }
  /// Interrupts after `tokens`, wherever that is, and expects the error.
  void train_until(const fs::path& folder, const TrainOptions& options, std::uint64_t tokens) {
    Interrupter reporter(tokens);
    EXPECT_THROW(train_coders({{folder, "layers.2", source_}}, options, reporter).at(0), Error);
    set_interrupted(false);
  }
  static std::string coder_bytes(const fs::path& folder) {
    return read_file(folder / "sae.safetensors") + read_file(folder / "cfg.json");
  }

  TemporaryFolder folder_;
  SilentReporter silent_;
  KnownDictionary dictionary_{{30, 12, 3}, 1};
  Source source_ = dictionary_.source(70);  // 70 does not divide 100: buffers end between batches
};

TEST_F(TrainTest, WritesACoderThatLoadsAndExplainsTheVariance) {
  const TrainResult result = train(folder_.path() / "c", small_options());
  EXPECT_EQ(result.tokens, 6000U);
  EXPECT_GT(result.tokens_per_second, 0.0);
  const Coder coder = Coder::load(folder_.path() / "c");
  EXPECT_EQ(coder.info().latents, 40U);
  EXPECT_EQ(coder.info().k, 3U);
  EXPECT_FALSE(coder.info().transcoder);
  const model::Tensor x = model::from_host(dictionary_.rows(999, 200), 200, 12);
  const double fvu = coder.fvu(x, x, coder.encode(x));
  EXPECT_LT(fvu, 0.5);
  EXPECT_NEAR(fvu, result.fvu, 0.2);
  const std::string csv = read_file(folder_.path() / "c" / "train.csv");
  EXPECT_TRUE(csv.starts_with("step,tokens,loss,fvu,auxk,dead,l0,tokens_per_second\n1,100,"));
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 61);
  EXPECT_FALSE(fs::exists(folder_.path() / "c" / "checkpoint"));
}

TEST_F(TrainTest, ReportsLossFvuDeadAndL0) {
  Interrupter reporter(0);
  train_coders({{folder_.path() / "c", "layers.2", source_}}, small_options(), reporter).at(0);
  ASSERT_EQ(reporter.details_.size(), 60U);
  EXPECT_THAT(reporter.details_.back(), ::testing::MatchesRegex("loss [0-9.]+, FVU [0-9.]+, dead [0-9]+, L0 [0-9.]+"));
}

TEST_F(TrainTest, AnInterruptedTrainingEndsWithTheSameBytes) {
  const TrainOptions options = small_options();
  const TrainResult whole = train(folder_.path() / "whole", options);
  for (const std::uint64_t tokens : {100, 900, 1000, 2500, 5900, 6000}) {
    const fs::path folder = folder_.path() / std::to_string(tokens);
    train_until(folder, options, tokens);
    EXPECT_FALSE(fs::exists(folder / "cfg.json"));
    Interrupter reporter(0);
    const TrainResult result = train_coders({{folder, "layers.2", source_}}, options, reporter).at(0);
    EXPECT_THAT(reporter.infos_, ::testing::ElementsAre("going on at token " + std::to_string(tokens) + " of 6000"));
    EXPECT_EQ(coder_bytes(folder), coder_bytes(folder_.path() / "whole")) << "interrupted after " << tokens;
    EXPECT_EQ(result.fvu, whole.fvu);
    EXPECT_EQ(result.dead, whole.dead);
    const std::string csv = read_file(folder / "train.csv");
    EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 61);
  }
}

TEST_F(TrainTest, SeveralTogetherAreTheSameAsEachAlone) {
  Source other = source_;
  other.fingerprint = "another place";
  other.batch = [this](std::uint64_t batch) {
    std::vector<float> rows = source_.batch(batch);
    for (float& v : rows) v = 0.5F - v;
    return rows;
  };
  const TrainOptions options = small_options();
  train(folder_.path() / "alone a", options);
  train_coders({{folder_.path() / "alone b", "layers.3", other}}, options, silent_);
  const std::vector<TrainJob> both{{folder_.path() / "a", "layers.2", source_},
                                   {folder_.path() / "b", "layers.3", other}};
  Interrupter stopped(7300);  // of both together: in the middle
  EXPECT_THROW(train_coders(both, options, stopped), Error);
  set_interrupted(false);
  EXPECT_EQ(train_coders(both, options, silent_).size(), 2U);
  EXPECT_EQ(coder_bytes(folder_.path() / "a"), coder_bytes(folder_.path() / "alone a"));
  EXPECT_EQ(coder_bytes(folder_.path() / "b"), coder_bytes(folder_.path() / "alone b"));
  EXPECT_NE(coder_bytes(folder_.path() / "a"), coder_bytes(folder_.path() / "b"));
}

TEST_F(TrainTest, SignDescentIsResumedToTheSameBytesAndIsAnotherTraining) {
  TrainOptions options = small_options();
  options.optimizer = Optimizer::signum;
  train(folder_.path() / "whole", options);
  train_until(folder_.path() / "resumed", options, 2500);
  train(folder_.path() / "resumed", options);
  EXPECT_EQ(coder_bytes(folder_.path() / "resumed"), coder_bytes(folder_.path() / "whole"));
  train(folder_.path() / "adam", small_options());
  EXPECT_NE(coder_bytes(folder_.path() / "adam"), coder_bytes(folder_.path() / "whole"));
}

TrainOptions options_of(Activation activation) {
  TrainOptions o = small_options();
  o.activation = activation;
  return o;
}

TEST_F(TrainTest, BatchTopkAndJumpreluAreSavedAsSaelensThresholds) {
  for (const Activation activation : {Activation::batchtopk, Activation::jumprelu}) {
    TrainOptions options = options_of(activation);
    options.tokens = 30'000;
    const bool learned = activation == Activation::jumprelu;
    const fs::path folder = folder_.path() / (learned ? "jumprelu" : "batchtopk");
    const TrainResult result = train(folder, options);
    const Coder coder = Coder::load(folder);  // recognised by its files
    EXPECT_EQ(coder.info().format, "saelens");
    EXPECT_EQ(coder.info().activation, "jumprelu");
    EXPECT_EQ(coder.info().hookpoint, "layers.2");
    EXPECT_TRUE(coder.info().subtract_bias);
    const model::Tensor x = model::from_host(dictionary_.rows(999, 400), 400, 12);
    const Encoded encoded = coder.encode(x);
    EXPECT_NEAR(static_cast<double>(encoded.value.size()) / 400, 3.0, 0.6) << folder;
    EXPECT_NEAR(coder.fvu(x, x, encoded), result.fvu, 0.05) << folder;
    EXPECT_LT(result.fvu, 0.5);
    const auto file = formats::SafeTensors::open(folder / "sae_weights.safetensors");
    const auto threshold = file.view<float>("threshold", formats::Dtype::f32);
    ASSERT_EQ(threshold.size(), 40U);
    const auto [low, high] = std::minmax_element(threshold.begin(), threshold.end());
    EXPECT_GT(*low, 0.0F);
    EXPECT_EQ(*low == *high, !learned);
    EXPECT_FALSE(fs::exists(folder / "sae.safetensors"));
  }
}

TEST_F(TrainTest, BatchTopkAndJumpreluAreResumedToTheSameBytes) {
  const auto bytes = [](const fs::path& folder) {
    return read_file(folder / "sae_weights.safetensors") + read_file(folder / "cfg.json");
  };
  for (const Optimizer optimizer : {Optimizer::adam, Optimizer::signum}) {
    for (const Activation activation : {Activation::batchtopk, Activation::jumprelu}) {
      TrainOptions options = options_of(activation);
      options.optimizer = optimizer;
      const fs::path root =
          folder_.path() / std::to_string(static_cast<int>(optimizer) * 2 + static_cast<int>(activation));
      const TrainResult whole = train(root / "whole", options);
      for (const std::uint64_t tokens : {100, 2500, 6000}) {
        const fs::path folder = root / std::to_string(tokens);
        train_until(folder, options, tokens);
        const TrainResult result = train(folder, options);
        EXPECT_EQ(bytes(folder), bytes(root / "whole")) << "interrupted after " << tokens;
        EXPECT_EQ(result.fvu, whole.fvu);
      }
      options.threads = 3;
      train(root / "threads", options);
      EXPECT_EQ(bytes(root / "threads"), bytes(root / "whole"));
    }
  }
}

TEST_F(TrainTest, ActivationsAndTheirOptionsAreSettingsOfATraining) {
  train(folder_.path() / "c", options_of(Activation::jumprelu));
  TrainOptions options = options_of(Activation::jumprelu);
  options.sparsity = 0.5;
  options.bandwidth = 0.002;
  EXPECT_THAT(error_of([&] { train(folder_.path() / "c", options); }),
              HasSubstr("other settings: bandwidth was 0.1, is now 0.002; sparsity was 0, is now 0.5"));
  EXPECT_THAT(error_of([&] { train(folder_.path() / "c", small_options()); }),
              HasSubstr("activation was jumprelu, is now not set"));
}

TEST_F(TrainTest, ALargerSparsityGivesFewerActiveLatents) {
  const auto l0 = [&](double sparsity) {
    TrainOptions options = options_of(Activation::jumprelu);
    options.tokens = 30'000;
    options.sparsity = sparsity;
    const fs::path folder = folder_.path() / std::to_string(sparsity);
    train(folder, options);
    const model::Tensor x = model::from_host(dictionary_.rows(999, 400), 400, 12);
    return static_cast<double>(Coder::load(folder).encode(x).value.size()) / 400;
  };
  const double many = l0(1e-3);
  const double few = l0(0.1);
  EXPECT_GT(few, 0.0);
  EXPECT_LT(few, 0.8 * many);
}

TEST(DefaultLearningRate, IsThePrescribedOneFromWidth512OnAndGrowsBelow) {
  TrainOptions o;
  o.latents = 16384;
  for (const std::uint32_t width : {512U, 768U, 4096U}) EXPECT_DOUBLE_EQ(default_learning_rate(o, width), 2e-4);
  EXPECT_DOUBLE_EQ(default_learning_rate(o, 128), 8e-4);
  o.latents = 1024;
  EXPECT_DOUBLE_EQ(default_learning_rate(o, 64), 6.4e-3);
  o.optimizer = Optimizer::signum;
  EXPECT_DOUBLE_EQ(default_learning_rate(o, 64), 2e-2);
}

TEST_F(TrainTest, AKilledTrainingGoesOnFromItsLastCheckpoint) {
  const TrainOptions options = small_options();
  train(folder_.path() / "whole", options);
  // A killed one has lines in its curve that are newer than its checkpoint.
  const fs::path folder = folder_.path() / "killed";
  train_until(folder, options, 2000);
  std::ofstream(folder / "train.csv", std::ios::app) << "21,2100,9,9,9,9,9,9\n22,22";
  train(folder, options);
  EXPECT_EQ(coder_bytes(folder), coder_bytes(folder_.path() / "whole"));
  EXPECT_THAT(read_file(folder / "train.csv"), ::testing::Not(HasSubstr("21,2100,9")));
}

TEST_F(TrainTest, TheNumberOfThreadsDoesNotChangeTheBytes) {
  TrainOptions options = small_options();
  train(folder_.path() / "1", options);
  options.threads = 3;
  train(folder_.path() / "3", options);
  EXPECT_EQ(coder_bytes(folder_.path() / "1"), coder_bytes(folder_.path() / "3"));
}

TEST_F(TrainTest, AFinishedTrainingIsLeftAsItIs) {
  const TrainResult first = train(folder_.path() / "c", small_options());
  const auto time = fs::last_write_time(folder_.path() / "c" / "sae.safetensors");
  Interrupter reporter(0);
  const TrainResult again =
      train_coders({{folder_.path() / "c", "layers.2", source_}}, small_options(), reporter).at(0);
  EXPECT_THAT(reporter.infos_, ::testing::ElementsAre(HasSubstr("already trained, nothing to do")));
  EXPECT_EQ(fs::last_write_time(folder_.path() / "c" / "sae.safetensors"), time);
  EXPECT_EQ(again.tokens, first.tokens);
  EXPECT_EQ(again.fvu, first.fvu);
  EXPECT_EQ(again.dead, first.dead);
}

TEST_F(TrainTest, RefusesAFolderOfOtherSettingsAndSaysWhichChanged) {
  TrainOptions options = small_options();
  train(folder_.path() / "done", options);
  train_until(folder_.path() / "half", options, 2000);
  options.latents = 41;
  options.seed = 2;
  for (const char* name : {"done", "half"}) {
    EXPECT_THAT(
        error_of([&] { train(folder_.path() / name, options); }),
        AllOf(HasSubstr("belongs to a training with other settings: latents was 40, is now 41; seed was 1, is now 2"),
              HasSubstr("hint: choose another folder, or delete this one to start over")));
  }
  Source other = source_;
  other.fingerprint = "other text";
  EXPECT_THAT(error_of([&] {
                train_coders({{folder_.path() / "done", "layers.2", other}}, small_options(), silent_).at(0);
              }),
              HasSubstr("model and text was known dictionary, is now other text"));
}

TEST_F(TrainTest, DoesNotOverwriteACoderThatItDidNotTrain) {
  TestCoder::small().write(folder_.path());
  EXPECT_THAT(error_of([&] { train(folder_.path(), small_options()); }),
              HasSubstr("sae.safetensors: belongs to a coder that was not trained here, and would be overwritten"));
}

TEST_F(TrainTest, EveryTruncatedCheckpointIsAnErrorNotACrash) {
  TrainOptions options = small_options();
  options.latents = 4;
  train_until(folder_.path(), options, 500);
  const fs::path file = folder_.path() / "checkpoint" / "state.safetensors";
  const std::string whole = read_file(file);
  for (std::size_t n = 0; n < whole.size(); ++n) {
    std::ofstream(file, std::ios::binary).write(whole.data(), static_cast<std::streamsize>(n));
    EXPECT_THROW(train(folder_.path(), options), Error) << "cut at byte " << n;
  }
}

TEST_F(TrainTest, RefusesOptionsOutOfRange) {
  const auto message = [&](auto change) {
    TrainOptions o = small_options();
    change(o);
    return error_of([&] { train(folder_.path() / "c", o); });
  };
  EXPECT_EQ(message([](TrainOptions& o) { o.k = 41; }), "--k: is 41, wanted 1 to the number of latents, 40");
  EXPECT_EQ(message([](TrainOptions& o) { o.k = 0; }), "--k: is 0, wanted 1 to the number of latents, 40");
  EXPECT_EQ(message([](TrainOptions& o) { o.latents = 0; }), "--latents: is 0, wanted at least 1");
  EXPECT_EQ(message([](TrainOptions& o) { o.batch_tokens = 0; }), "--batch-tokens: is 0, wanted at least 2");
  EXPECT_EQ(message([](TrainOptions& o) { o.tokens = 99; }),
            "--tokens: 99 tokens are not one batch of 100\n"
            "hint: train on more tokens, or with a smaller --batch-tokens");
  EXPECT_THAT(message([](TrainOptions& o) { o.learning_rate = -1; }), HasSubstr("--learning-rate: is -1"));
  EXPECT_THAT(message([](TrainOptions& o) { o.auxk_alpha = std::numeric_limits<double>::quiet_NaN(); }),
              HasSubstr("--auxk-alpha: is nan"));
  EXPECT_EQ(message([](TrainOptions& o) {
              o.multi_topk = true;
              o.activation = Activation::batchtopk;
            }),
            "--multi-topk: goes with --activation topk only, not with batchtopk");
  EXPECT_EQ(message([](TrainOptions& o) { o.sparsity = 0.1; }),
            "--sparsity: goes with --activation jumprelu only, not with topk\n"
            "hint: the L0 of TopK and BatchTopK is --k");
  EXPECT_EQ(message([](TrainOptions& o) {
              o.sparsity = -1;
              o.activation = Activation::jumprelu;
            }),
            "--sparsity: is -1, wanted a number from 0 up");
  EXPECT_EQ(message([](TrainOptions& o) { o.bandwidth = 0; }), "--bandwidth: is 0, wanted a number above 0");
  EXPECT_FALSE(fs::exists(folder_.path() / "c"));
}

TEST_F(TrainTest, RefusesActivationsThatAreNotFiniteOrOfAnotherSize) {
  Source bad = source_;
  bad.batch = [this](std::uint64_t batch) {
    std::vector<float> rows = dictionary_.rows(batch, 70);
    if (batch == 2) rows[5 * 12 + 3] = std::numeric_limits<float>::infinity();
    return rows;
  };
  EXPECT_THAT(error_of([&] {
                train_coders({{folder_.path(), "h", bad}}, small_options(), silent_).at(0);
              }),
              HasSubstr("training: the model's activations hold inf (batch 2, row 5)"));
  bad.batch = [this](std::uint64_t batch) { return dictionary_.rows(batch, 69); };
  EXPECT_THAT(error_of([&] {
                train_coders({{folder_.path(), "h", bad}}, small_options(), silent_).at(0);
              }),
              HasSubstr("a batch of the source holds 828 values, wanted 840"));
}

TEST_F(TrainTest, ATranscoderLearnsTheOutputFromTheInput) {
  // The module doubles every second column and swaps neighbours.
  source_.targets = [this](std::uint64_t batch) {
    const std::vector<float> x = dictionary_.rows(batch, 70);
    std::vector<float> y(x.size());
    for (std::size_t i = 0; i < x.size(); i += 2) {
      y[i] = x[i + 1];
      y[i + 1] = 2.0F * x[i];
    }
    return y;
  };
  TrainOptions options = small_options();
  options.tokens = 30'000;
  const TrainResult result = train(folder_.path(), options);
  EXPECT_LT(result.fvu, 0.4);
  const Coder coder = Coder::load(folder_.path());
  EXPECT_TRUE(coder.info().transcoder);
  EXPECT_FALSE(coder.info().subtract_bias);
  const model::Tensor x = model::from_host(dictionary_.rows(5, 70), 70, 12);
  const model::Tensor y = model::from_host(source_.targets(5), 70, 12);
  EXPECT_LT(coder.fvu(x, y, coder.encode(x)), 0.5);
}

TEST_F(TrainTest, AThresholdTranscoderIsSavedWithBothItsPlaces) {
  source_.targets = [this](std::uint64_t batch) {
    std::vector<float> y = dictionary_.rows(batch, 70);
    for (float& v : y) v = 1.0F + 2.0F * v;
    return y;
  };
  for (const Activation activation : {Activation::batchtopk, Activation::jumprelu}) {
    TrainOptions options = options_of(activation);
    options.tokens = 30'000;
    const fs::path folder = folder_.path() / std::to_string(static_cast<int>(activation));
    train_coders({{folder, "layers.2.mlp", source_, "layers.2.mlp.input"}}, options, silent_);
    const Coder coder = Coder::load(folder);
    EXPECT_TRUE(coder.info().transcoder);
    EXPECT_FALSE(coder.info().subtract_bias);
    EXPECT_EQ(coder.info().hookpoint, "layers.2.mlp");
    EXPECT_EQ(coder.info().reads, "layers.2.mlp.input");
    const model::Tensor x = model::from_host(dictionary_.rows(5, 70), 70, 12);
    const model::Tensor y = model::from_host(source_.targets(5), 70, 12);
    EXPECT_LT(coder.fvu(x, y, coder.encode(x)), 0.5);
  }
}

TEST(ShuffledRows, EveryRowOfABufferOccursOnceAndTheOrderIsThatOfTheSeed) {
  Source source;
  source.width = 1;
  source.rows_per_batch = 10;
  source.batch = [](std::uint64_t batch) {
    std::vector<float> rows(10);
    for (std::size_t i = 0; i < 10; ++i) rows[i] = static_cast<float>(batch * 10 + i);
    return rows;
  };
  constexpr std::uint64_t kBatch = 5;
  ShuffledRows rows(source, kBatch, 1000, 1);
  EXPECT_EQ(rows.steps_per_buffer(), 64U);
  std::vector<float> order;
  for (std::uint64_t step = 0; step < 128; ++step) {
    const auto got = rows.rows_of(step).input;
    order.insert(order.end(), got.begin(), got.end());
  }
  EXPECT_EQ(std::set<float>(order.begin(), order.begin() + 320).size(), 320U);
  EXPECT_LT(*std::max_element(order.begin(), order.begin() + 320), 320.0F);
  EXPECT_EQ(std::set<float>(order.begin(), order.end()).size(), 640U);
  EXPECT_FALSE(std::is_sorted(order.begin(), order.begin() + 320));
  ShuffledRows resumed(source, kBatch, 1000, 1);  // begins in the middle of the second buffer
  const auto again = resumed.rows_of(100).input;
  EXPECT_TRUE(std::equal(again.begin(), again.end(), order.begin() + 100 * kBatch));
  ShuffledRows other(source, kBatch, 1000, 2);
  const auto different = other.rows_of(0).input;
  EXPECT_FALSE(std::equal(different.begin(), different.end(), order.begin()));
}

TEST(ShuffledRows, AShortTrainingReadsNoMoreThanItNeeds) {
  Source source;
  source.width = 1;
  source.rows_per_batch = 10;
  std::uint64_t read = 0;
  source.batch = [&read](std::uint64_t) {
    ++read;
    return std::vector<float>(10, 0.0F);
  };
  ShuffledRows rows(source, 15, 3, 1);
  for (std::uint64_t step = 0; step < 3; ++step) EXPECT_EQ(rows.rows_of(step).input.size(), 15U);
  EXPECT_EQ(read, 5U);
}

}  // namespace
}  // namespace gloss::sparse
