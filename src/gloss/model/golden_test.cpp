/// Against forward passes that we did not write: hidden states and logits stored beside two small trained models.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "gloss/formats/safetensors.h"
#include "gloss/model/subject_model.h"

namespace gloss::model {
namespace {

/// Both were computed in f64 by other implementations; the logits reach 20.
constexpr double kTolerance = 5e-4;

double largest_difference(const std::vector<float>& found, const float* wanted) {
  double largest = 0.0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const double difference = std::abs(static_cast<double>(found[i]) - static_cast<double>(wanted[i]));
    if (!(difference <= largest)) largest = difference;
  }
  return largest;
}

/// i64 or u32 ids, copied because the file need not be aligned.
std::vector<TokenId> read_tokens(const formats::TensorView& view) {
  std::vector<TokenId> tokens(view.element_count());
  const std::size_t size = formats::size_bytes(view.dtype);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    std::uint32_t id = 0;  // the low half of an i64 is the same number
    std::memcpy(&id, view.bytes.data() + i * size, sizeof(id));
    tokens[i] = TokenId{id};
  }
  return tokens;
}

void check_golden(const std::filesystem::path& model_folder, const std::filesystem::path& golden_file) {
  const SubjectModel model = SubjectModel::load(model_folder);
  const Config& c = model.config();
  const formats::SafeTensors golden = formats::SafeTensors::open(golden_file);
  const std::vector<TokenId> tokens = read_tokens(golden.tensor("tokens"));
  const auto batch = static_cast<std::uint32_t>(golden.tensor("tokens").shape.at(0));

  // hidden_states [L + 1, B, T, D]: the embedding, then the stream after each layer.
  const std::vector<float> states = formats::to_floats(golden.tensor("hidden_states"));
  ASSERT_EQ(states.size(), (c.layers + 1) * tokens.size() * c.width);
  std::vector<Hookpoint> hookpoints;
  for (std::uint32_t layer = 0; layer < c.layers; ++layer) hookpoints.push_back({layer, Site::layer_output});
  const std::vector<Tensor> found = model.activations(tokens, batch, hookpoints);
  double worst = 0.0;
  for (std::size_t layer = 0; layer < found.size(); ++layer)
    worst = std::max(worst, largest_difference(to_host(found[layer]), &states[(layer + 1) * tokens.size() * c.width]));
  EXPECT_LT(worst, kTolerance);

  // logits [B or fewer, T, V]: of the first contexts.
  const std::vector<float> wanted = formats::to_floats(golden.tensor("logits"));
  ASSERT_EQ(golden.tensor("logits").shape.back(), c.vocabulary);
  const Tensor logits = model.logits(tokens, batch);
  std::vector<float> first = to_host(logits);
  ASSERT_GE(first.size(), wanted.size());
  first.resize(wanted.size());
  const double logit_difference = largest_difference(first, wanted.data());
  EXPECT_LT(logit_difference, kTolerance);
  const double loss = SubjectModel::mean_loss(logits, tokens, batch);
  testing::Test::RecordProperty("largest_stream_difference", fmt::format("{:.2e}", worst));
  testing::Test::RecordProperty("largest_logit_difference", fmt::format("{:.2e}", logit_difference));
  testing::Test::RecordProperty("mean_loss", fmt::format("{:.4f}", loss));
  fmt::print("largest difference: stream {:.2e}, logits {:.2e}; mean loss {:.4f}\n", worst, logit_difference, loss);
}

TEST(Golden, Stories260kAgrees) {
  const std::filesystem::path folder = GLOSS_SOURCE_DIR "/../shared/data/stories260k";
  if (!std::filesystem::exists(folder / "golden.safetensors")) GTEST_SKIP() << folder << " is not there";
  check_golden(folder, folder / "golden.safetensors");
}

TEST(Golden, SmallModelAgrees) {
  const std::filesystem::path folder = GLOSS_SOURCE_DIR "/small-model";
  if (!std::filesystem::exists(folder / "golden.safetensors")) GTEST_SKIP() << folder << " has no golden.safetensors";
  check_golden(folder / "model", folder / "golden.safetensors");
}

}  // namespace
}  // namespace gloss::model
