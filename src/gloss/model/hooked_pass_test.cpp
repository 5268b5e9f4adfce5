#include "gloss/model/hooked_pass.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "gloss/base/random.h"
#include "gloss/model/test_model.h"
#include "gloss/model/torch_tensor.h"

namespace gloss::model {
namespace {

constexpr std::uint32_t kBatch = 2, kLength = 7;

double metric_of(const at::Tensor& logits) { return (logits.select(1, 3) - logits.select(1, 5)).sum().item<double>(); }

/// A family's model of tests/golden, and tokens.
struct Fixture {
  SubjectModel model;
  std::vector<TokenId> tokens;

  explicit Fixture(const std::string& family)
      : model(SubjectModel::load(std::filesystem::path(GLOSS_SOURCE_DIR) / "tests/golden/models" / family)),
        tokens(random_tokens(std::size_t{kBatch} * kLength, model.config().vocabulary, 5)) {}
};

/// Gradients at every place against the central difference along a random direction.
void expect_gradients(const Fixture& f) {
  const HookedPass pass(f.model);
  std::map<Hookpoint, at::Tensor> at;
  at::Tensor logits;
  {
    const at::AutoGradMode recorded(true);
    logits = pass.last_logits(f.tokens, kBatch, [&](Hookpoint here, at::Tensor& x) {
      if (!x.requires_grad()) x = x.detach().requires_grad_(true);
      at[here] = x;
    });
  }
  ASSERT_GT(at.size(), 8 * f.model.config().layers);
  const at::Tensor metric = (logits.select(1, 3) - logits.select(1, 5)).sum();
  for (const auto& [here, x] : at) {
    SCOPED_TRACE(here.name());
    const at::Tensor gradient =
        torch::autograd::grad({metric}, {x}, {}, /*retain_graph=*/true, false, /*allow_unused=*/true)[0];
    if (here.site == Site::mlp_normed) {
      EXPECT_FALSE(gradient.defined()) << "left as it was, it is not on the way to the logits";
      continue;
    }
    ASSERT_TRUE(gradient.defined());
    Random random = Random::for_purpose(3, here.name());
    std::vector<float> direction(static_cast<std::size_t>(x.numel()));
    for (float& d : direction) d = static_cast<float>(random.normal());
    const at::Tensor along = unwrap(from_host(direction, x.size(0), x.size(1)));
    const at::NoGradGuard none;
    const double step = 3e-3 * x.norm().item<double>() / along.norm().item<double>();
    const auto moved = [&](double sign) {
      return metric_of(pass.last_logits(f.tokens, kBatch, [&](Hookpoint there, at::Tensor& y) {
        if (there == here) y = y + along * (sign * step);
      }));
    };
    const double wanted = (moved(1) - moved(-1)) / (2 * step);
    const double found = (gradient * along).sum().item<double>();
    const double scale = gradient.norm().item<double>() * along.norm().item<double>() /
                         std::sqrt(static_cast<double>(x.numel()));  // what a random direction gives
    EXPECT_NEAR(found, wanted, 0.02 * std::max(scale, std::abs(wanted)));
  }
}

// Families whose passes differ: gates, caps and norms of sublayers, norms of queries and keys, learned positions,
// layers in parallel.
TEST(HookedPass, GradientsAreTheFiniteDifferencesAtEveryHookpoint) {
  for (const char* family : {"llama", "gemma2", "qwen3", "gpt2", "gpt-neox"}) {
    SCOPED_TRACE(family);
    expect_gradients(Fixture(family));
  }
}

TEST(HookedPass, RecordingStepsLeavesTheLogits) {
  const Fixture f("gemma2");
  const HookedPass pass(f.model);
  const std::vector<float> all = to_host(f.model.logits(f.tokens, kBatch));
  at::Tensor recorded;
  {
    const at::AutoGradMode on(true);
    recorded = pass.last_logits(f.tokens, kBatch, [&](Hookpoint, at::Tensor& x) {
      if (!x.requires_grad()) x = x.detach().requires_grad_(true);
    });
  }
  EXPECT_TRUE(recorded.requires_grad());
  const std::vector<float> found = to_host(wrap(recorded.detach()));
  for (std::uint32_t b = 0; b < kBatch; ++b) {
    const std::size_t row = (b + 1) * kLength - 1;
    const std::size_t vocabulary = f.model.config().vocabulary;
    for (std::size_t v = 0; v < vocabulary; ++v) EXPECT_EQ(found[b * vocabulary + v], all[row * vocabulary + v]);
  }
}

TEST(HookedPass, OtherPassesRecordNothingWhateverTheModeOutside) {
  const Fixture f("gemma2");
  const at::AutoGradMode on(true);
  EXPECT_FALSE(unwrap(f.model.logits(f.tokens, kBatch)).requires_grad());
}

}  // namespace
}  // namespace gloss::model
