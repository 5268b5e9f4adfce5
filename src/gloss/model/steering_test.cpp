#include "gloss/model/steering.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "gloss/base/random.h"
#include "gloss/model/test_model.h"

namespace gloss::model {
namespace {

constexpr std::uint32_t kPrompts = 3, kLength = 5, kVocabulary = 41, kWidth = 16;
const Hookpoint kPlace{0, Site::layer_output};

SubjectModel small_model(const TemporaryFolder& folder) {
  Config c;
  c.layers = 2;
  c.width = kWidth;
  c.heads = c.kv_heads = 2;
  c.head_width = 8;
  c.hidden = 24;
  c.vocabulary = kVocabulary;
  c.max_context = 16;
  c.ropes = {Rope{}};
  TestModel::make(c, 11).write(folder.path());
  return SubjectModel::load(folder.path());
}

std::vector<float> direction(std::uint64_t seed) {
  Random random = Random::for_purpose(seed, "direction");
  std::vector<float> d(kWidth);
  for (float& x : d) x = static_cast<float>(random.normal());
  return d;
}

SteeringOptions options() {
  SteeringOptions o;
  o.tokens = 4;
  o.divergence = 0.3;
  return o;
}

/// log-probabilities of the token after `tokens`, in doubles, from the whole logits.
std::vector<double> next_of(const SubjectModel& model, std::span<const TokenId> tokens, std::span<const Edit> edits) {
  const std::vector<float> logits = to_host(model.logits(tokens, 1, edits));
  std::vector<double> last(logits.end() - kVocabulary, logits.end());
  const double most = *std::max_element(last.begin(), last.end());
  double sum = 0.0;
  for (const double x : last) sum += std::exp(x - most);
  for (double& x : last) x -= most + std::log(sum);
  return last;
}

TEST(Steering, MovesTheNextTokenAsFarAsWantedAndWritesTheLikeliestTokens) {
  const TemporaryFolder folder;
  const SubjectModel model = small_model(folder);
  const std::vector<TokenId> prompts = random_tokens(kPrompts * kLength, kVocabulary, 5);
  const Steering steering(model, kPlace, prompts, kPrompts, options());
  const std::vector<float> d = direction(1);
  const auto steered = steering.steer(d);
  ASSERT_TRUE(steered.has_value());
  std::vector<float> scaled = d;
  for (float& x : scaled) x = static_cast<float>(double{x} * steered->scale);
  const std::vector<Edit> edits = {{kPlace, Edit::How::add, from_host(scaled, 1, kWidth)}};
  double divergence = 0.0;
  for (std::uint32_t p = 0; p < kPrompts; ++p) {
    std::vector<TokenId> tokens(prompts.begin() + p * kLength, prompts.begin() + (p + 1) * kLength);
    const std::vector<double> clean = next_of(model, tokens, {}), moved = next_of(model, tokens, edits);
    for (std::size_t v = 0; v < clean.size(); ++v) divergence += std::exp(clean[v]) * (clean[v] - moved[v]) / kPrompts;
    std::vector<TokenId> undisturbed = tokens;
    for (std::uint32_t step = 0; step < options().tokens; ++step) {
      const auto likeliest = [&](const std::vector<TokenId>& read, std::span<const Edit> with) {
        const std::vector<double> next = next_of(model, read, with);
        return TokenId{static_cast<std::uint32_t>(std::max_element(next.begin(), next.end()) - next.begin())};
      };
      EXPECT_EQ(steered->texts[p][step], likeliest(tokens, edits));
      EXPECT_EQ(steering.clean()[p][step], likeliest(undisturbed, {}));
      tokens.push_back(steered->texts[p][step]);
      undisturbed.push_back(steering.clean()[p][step]);
    }
  }
  EXPECT_NEAR(divergence, 0.3, 0.01 * 0.3 + 1e-4);
  EXPECT_NEAR(steered->divergence, divergence, 1e-4);
}

TEST(Steering, ScaleIsOfTheDirectionNotOfItsLength) {
  const TemporaryFolder folder;
  const SubjectModel model = small_model(folder);
  const Steering steering(model, kPlace, random_tokens(kPrompts * kLength, kVocabulary, 5), kPrompts, options());
  std::vector<float> d = direction(2);
  const auto one = steering.steer(d);
  for (float& x : d) x *= 8.0F;
  const auto eight = steering.steer(d);
  ASSERT_TRUE(one && eight);
  EXPECT_NEAR(eight->scale * 8.0, one->scale, 1e-6 * one->scale);
  EXPECT_EQ(one->texts, eight->texts);
}

TEST(Steering, SaysWhereNothingMovesAndWhatDoesNotFit) {
  const TemporaryFolder folder;
  const SubjectModel model = small_model(folder);
  const std::vector<TokenId> prompts = random_tokens(kPrompts * kLength, kVocabulary, 5);
  SteeringOptions o = options();
  const std::vector<float> nothing(kWidth, 0.0F);
  EXPECT_FALSE(Steering(model, kPlace, prompts, kPrompts, o).steer(nothing).has_value());
  o.divergence = 1e6;
  EXPECT_FALSE(Steering(model, kPlace, prompts, kPrompts, o).steer(direction(1)).has_value());
  o.tokens = 12;
  EXPECT_THAT(error_of([&] { Steering(model, kPlace, prompts, kPrompts, o); }),
              ::testing::HasSubstr("prompts of 5 tokens and continuations of 12 do not fit the model's context of 16"));
  EXPECT_THAT(error_of([&] { Steering(model, kPlace, prompts, 4, o); }),
              ::testing::HasSubstr("15 tokens are not 4 prompts"));
}

}  // namespace
}  // namespace gloss::model
