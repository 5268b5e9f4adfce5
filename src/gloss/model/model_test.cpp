#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "gloss/model/test_model.h"

namespace gloss::model {
namespace {

using Floats = std::vector<float>;

Config small_config() {
  Config c;
  c.layers = 3;
  c.width = 24;
  c.heads = 4;
  c.kv_heads = 2;
  c.head_width = 10;  // heads * head_width is not the width
  c.hidden = 37;
  c.vocabulary = 53;
  c.max_context = 600;
  c.norm_epsilon = 1e-3;  // large enough to be missed when it is left out
  c.ropes = {Rope{.theta = 500.0}};
  return c;
}

/// How far f32 may be from the reference at a place: rounding of one dot product (unit roundoff times its length, over
/// the largest row norm, by Cauchy-Schwarz), once per product that came before. Shapes: wanted [N, columns].
double tolerance(const std::vector<double>& wanted, std::size_t columns, const Config& c, std::uint32_t layers_before) {
  double largest = 0.0;
  for (std::size_t row = 0; row < wanted.size() / columns; ++row) {
    double squares = 0.0;
    for (std::size_t i = 0; i < columns; ++i) squares += wanted[row * columns + i] * wanted[row * columns + i];
    largest = std::max(largest, std::sqrt(squares));
  }
  constexpr double kRoundoff = std::numeric_limits<float>::epsilon() / 2.0;
  constexpr double kProductsPerLayer = 6.0;  // qkv, scores, mix, out, gate and up, down
  const double longest = std::max({c.width, c.hidden, c.heads * c.head_width});
  return kRoundoff * std::sqrt(longest) * largest * kProductsPerLayer * (layers_before + 1);
}

template <class Wanted>
double largest_difference(const Floats& found, const Wanted& wanted) {
  EXPECT_EQ(found.size(), wanted.size());
  double largest = 0.0;
  for (std::size_t i = 0; i < std::min(found.size(), wanted.size()); ++i) {
    const double difference = std::abs(static_cast<double>(found[i]) - static_cast<double>(wanted[i]));
    if (!(difference <= largest)) largest = difference;  // NaN stays
  }
  return largest;
}

void expect_agrees(const TestModel& tiny, const SubjectModel& model, std::span<const TokenId> tokens,
                   std::uint32_t batch) {
  const Config& c = tiny.config;
  const ReferencePass wanted = reference_pass(tiny, tokens, batch);
  const std::vector<Hookpoint> hookpoints = all_hookpoints(c.layers);
  const std::vector<Tensor> found = model.activations(tokens, batch, hookpoints);
  ASSERT_EQ(found.size(), hookpoints.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    const std::vector<double>& values = wanted.activations.at(hookpoints[i]);
    EXPECT_EQ(found[i].rows(), static_cast<std::int64_t>(tokens.size()));
    EXPECT_EQ(found[i].columns(), c.width);
    EXPECT_LE(largest_difference(to_host(found[i]), values), tolerance(values, c.width, c, hookpoints[i].layer))
        << hookpoints[i].name();
  }
  const Tensor logits = model.logits(tokens, batch);
  EXPECT_EQ(logits.columns(), c.vocabulary);
  EXPECT_LE(largest_difference(to_host(logits), wanted.logits), tolerance(wanted.logits, c.vocabulary, c, c.layers));
}

/// A model in its folder, loaded.
struct Loaded {
  explicit Loaded(const Config& config = small_config(), std::uint64_t seed = 1)
      : tiny(TestModel::make(config, seed)), model(load()) {}
  SubjectModel load() const {
    tiny.write(folder.path());
    return SubjectModel::load(folder.path());
  }
  TemporaryFolder folder;
  TestModel tiny;
  SubjectModel model;
};

TEST(Forward, AgreesWithTheReferenceAtEveryHookpoint) {
  const Loaded m;
  expect_agrees(m.tiny, m.model, random_tokens(3 * 11, m.tiny.config.vocabulary, 2), 3);
}

TEST(Forward, AgreesWithTheReferenceForEveryGroupingOfHeads) {
  for (const std::uint32_t kv_heads : {1U, 2U, 3U, 6U}) {
    Config c = small_config();
    c.layers = 2;
    c.heads = 6;
    c.kv_heads = kv_heads;
    c.head_width = 4;  // heads * head_width is the width
    const Loaded m(c, kv_heads);
    SCOPED_TRACE(fmt::format("{} key/value heads", kv_heads));
    expect_agrees(m.tiny, m.model, random_tokens(2 * 9, c.vocabulary, 3), 2);
  }
}

TEST(Forward, AgreesWithTheReferenceForTiedEmbeddings) {
  Config c = small_config();
  c.tied_embeddings = true;
  const Loaded m(c);
  expect_agrees(m.tiny, m.model, random_tokens(2 * 7, c.vocabulary, 4), 2);
}

TEST(Forward, AgreesWithTheReferenceForOneTokenAndOneLayer) {
  Config c = small_config();
  c.layers = 1;
  const Loaded m(c);
  expect_agrees(m.tiny, m.model, random_tokens(1, c.vocabulary, 5), 1);
}

TEST(Forward, AgreesWithTheReferenceWhenAContextIsLongerThanABlockOfQueries) {
  Config c = small_config();
  c.layers = 1;
  const Loaded m(c);
  for (const std::uint32_t length : {63U, 64U, 65U, 128U, 200U})
    expect_agrees(m.tiny, m.model, random_tokens(length, c.vocabulary, length), 1);
}

TEST(Forward, GivesShortContextsTheSamePositionsAfterALongOne) {
  const Loaded m;
  const std::vector<TokenId> tokens = random_tokens(2 * 8, m.tiny.config.vocabulary, 6);
  const Floats before = to_host(m.model.logits(tokens, 2));
  m.model.logits(random_tokens(300, m.tiny.config.vocabulary, 7), 1);
  EXPECT_EQ(to_host(m.model.logits(tokens, 2)), before);
}

TEST(Forward, GivesAContextTheSameInAnyBatch) {
  const Loaded m;
  const Config& c = m.tiny.config;
  constexpr std::uint32_t kBatch = 5;
  constexpr std::size_t kLength = 13;
  const std::vector<TokenId> tokens = random_tokens(kBatch * kLength, c.vocabulary, 8);
  const Hookpoint last{c.layers - 1, Site::layer_output};
  const Floats together = to_host(m.model.activations(tokens, kBatch, std::span(&last, 1))[0]);
  for (std::size_t b = 0; b < kBatch; ++b) {
    const Floats alone =
        to_host(m.model.activations(std::span(tokens).subspan(b * kLength, kLength), 1, std::span(&last, 1))[0]);
    const auto begin = together.begin() + static_cast<std::ptrdiff_t>(b * alone.size());
    const Floats part(begin, begin + static_cast<std::ptrdiff_t>(alone.size()));
    const std::vector<double> wanted(alone.begin(), alone.end());
    EXPECT_LE(largest_difference(part, wanted), tolerance(wanted, c.width, c, c.layers)) << "context " << b;
  }
}

TEST(Forward, LooksAtNoLaterToken) {
  const Loaded m;
  const Config& c = m.tiny.config;
  constexpr std::size_t kLength = 12;
  std::vector<TokenId> tokens = random_tokens(kLength, c.vocabulary, 9);
  const Floats before = to_host(m.model.logits(tokens, 1));
  for (std::size_t changed = 0; changed < kLength; ++changed) {
    std::vector<TokenId> other = tokens;
    other[changed] = TokenId{(to_index(tokens[changed]) + 1) % c.vocabulary};
    const Floats after = to_host(m.model.logits(other, 1));
    const auto same = static_cast<std::ptrdiff_t>(changed * c.vocabulary);
    EXPECT_TRUE(std::equal(before.begin(), before.begin() + same, after.begin())) << "changed token " << changed;
    EXPECT_FALSE(std::equal(before.begin() + same, before.begin() + same + c.vocabulary, after.begin() + same));
  }
}

TEST(Activations, ComeInTheOrderAskedForAndMayRepeat) {
  const Loaded m;
  const std::vector<TokenId> tokens = random_tokens(6, m.tiny.config.vocabulary, 10);
  const std::vector<Hookpoint> all = all_hookpoints(m.tiny.config.layers);
  const std::vector<Tensor> sorted = m.model.activations(tokens, 1, all);
  std::vector<Hookpoint> mixed(all.rbegin(), all.rend());
  mixed.push_back(all[3]);
  const std::vector<Tensor> found = m.model.activations(tokens, 1, mixed);
  ASSERT_EQ(found.size(), mixed.size());
  for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(to_host(found[i]), to_host(sorted[all.size() - 1 - i]));
  EXPECT_EQ(to_host(found.back()), to_host(sorted[3]));
  EXPECT_TRUE(m.model.activations(tokens, 1, {}).empty());
}

TEST(Activations, AreNotChangedByWhatIsComputedAfterThem) {
  const Loaded m;
  const std::vector<TokenId> tokens = random_tokens(6, m.tiny.config.vocabulary, 11);
  const std::vector<Hookpoint> all = all_hookpoints(m.tiny.config.layers);
  const std::vector<Tensor> together = m.model.activations(tokens, 1, all);
  for (std::size_t i = 0; i < all.size(); ++i)
    EXPECT_EQ(to_host(m.model.activations(tokens, 1, std::span(&all[i], 1))[0]), to_host(together[i]))
        << all[i].name() << ": the pass that stops here differs from the one that goes on";
}

Tensor spliced(const Loaded& m, std::span<const TokenId> tokens, std::uint32_t batch, Hookpoint at, const Tensor& value,
               Edit::How how = Edit::How::replace) {
  const Edit edit{at, how, value};
  return m.model.logits(tokens, batch, std::span(&edit, 1));
}

TEST(Splicing, TheSameActivationGivesTheSameLogitsAtEveryHookpoint) {
  const Loaded m;
  const std::vector<TokenId> tokens = random_tokens(2 * 6, m.tiny.config.vocabulary, 12);
  const std::vector<Hookpoint> all = all_hookpoints(m.tiny.config.layers);
  const std::vector<Tensor> activations = m.model.activations(tokens, 2, all);
  const Floats logits = to_host(m.model.logits(tokens, 2));
  for (std::size_t i = 0; i < all.size(); ++i)
    EXPECT_EQ(to_host(spliced(m, tokens, 2, all[i], activations[i])), logits) << all[i].name();
}

TEST(Splicing, AnotherActivationChangesTheLogits) {
  const Loaded m;
  const Config& c = m.tiny.config;
  const std::vector<TokenId> tokens = random_tokens(6, c.vocabulary, 13);
  const Floats logits = to_host(m.model.logits(tokens, 1));
  const Floats zeros(tokens.size() * c.width, 0.0F);
  const Tensor nothing = from_host(zeros, static_cast<std::int64_t>(tokens.size()), c.width);
  for (const Hookpoint hookpoint : all_hookpoints(c.layers))
    EXPECT_NE(to_host(spliced(m, tokens, 1, hookpoint, nothing)), logits) << hookpoint.name();
}

TEST(Splicing, TheLastStreamAloneDecidesTheLogits) {
  const Loaded m;
  const Config& c = m.tiny.config;
  const Hookpoint last{c.layers - 1, Site::layer_output};
  const std::vector<TokenId> tokens = random_tokens(6, c.vocabulary, 14);
  const std::vector<TokenId> others = random_tokens(6, c.vocabulary, 15);
  const Tensor stream = m.model.activations(others, 1, std::span(&last, 1))[0];
  EXPECT_EQ(to_host(spliced(m, tokens, 1, last, stream)), to_host(m.model.logits(others, 1)));
}

TEST(Splicing, AddsToAnActivationForEveryTokenAlike) {
  const Loaded m;
  const Config& c = m.tiny.config;
  const std::vector<TokenId> tokens = random_tokens(2 * 5, c.vocabulary, 18);
  for (const Hookpoint at : hookpoints_of_layer(1, c.hookpoints())) {
    const std::uint32_t width = m.model.width(at);
    Floats push(width, 0.0F);
    push[3] = 0.5F;
    Floats moved = to_host(m.model.activations(tokens, 2, std::span(&at, 1))[0]);
    for (std::size_t row = 0; row < tokens.size(); ++row) moved[row * width + 3] += 0.5F;
    const auto rows = static_cast<std::int64_t>(tokens.size());
    const Floats added = to_host(spliced(m, tokens, 2, at, from_host(push, 1, width), Edit::How::add));
    EXPECT_EQ(added, to_host(spliced(m, tokens, 2, at, from_host(moved, rows, width)))) << at.name();
    EXPECT_NE(added, to_host(m.model.logits(tokens, 2))) << at.name();
  }
}

TEST(Splicing, IsSeenByWhatReadsTheSamePlaceAndLaterOnes) {
  const Loaded m;
  const std::vector<TokenId> tokens = random_tokens(4, m.tiny.config.vocabulary, 19);
  const std::uint32_t width = m.tiny.config.width;
  const std::vector<Hookpoint> places{{0, Site::layer_output}, {1, Site::layer_input}, {0, Site::mlp_output}};
  const std::vector<Tensor> before = m.model.activations(tokens, 1, places);
  const std::vector<Edit> edits{{{0, Site::layer_output}, Edit::How::replace, from_host(Floats(width, 2.0F), 1, width)},
                                {{0, Site::layer_output}, Edit::How::add, from_host(Floats(width, 1.0F), 1, width)}};
  const std::vector<Tensor> after = m.model.activations(tokens, 1, places, edits);
  EXPECT_EQ(to_host(after[0]), Floats(4 * width, 3.0F)) << "edits are made in their order";
  EXPECT_EQ(to_host(after[1]), Floats(4 * width, 3.0F));
  EXPECT_EQ(to_host(after[2]), to_host(before[2])) << "what comes before the edit is not changed";
}

TEST(MeanLoss, IsTheLogarithmOfTheVocabularyForEqualLogits) {
  const Floats zeros(4 * 8, 0.0F);
  const std::vector<TokenId> tokens = random_tokens(4, 8, 16);
  EXPECT_NEAR(SubjectModel::mean_loss(from_host(zeros, 4, 8), tokens, 2), std::log(8.0), 1e-6);
}

TEST(MeanLoss, ScoresEachTokenByTheRowBeforeIt) {
  // Two contexts of three tokens, V = 2. Row t speaks of token t + 1; the last row of a context of nothing.
  const Floats logits{0, 1, 2, 0, 9, 9, 0, 3, 1, 1, 9, 9};
  const std::vector<TokenId> tokens{TokenId{0}, TokenId{1}, TokenId{0}, TokenId{1}, TokenId{0}, TokenId{1}};
  const auto softplus = [](double x) { return std::log1p(std::exp(x)); };
  // -log p of: 1 after row (0,1); 0 after (2,0); 0 after (0,3); 1 after (1,1).
  const double wanted = (softplus(-1) + softplus(-2) + softplus(3) + softplus(0)) / 4;
  EXPECT_NEAR(SubjectModel::mean_loss(from_host(logits, 6, 2), tokens, 2), wanted, 1e-6);
}

TEST(MeanLoss, RefusesWhatPredictsNothing) {
  const Floats zeros(8, 0.0F);
  const std::vector<TokenId> tokens(2, TokenId{1});
  EXPECT_EQ(error_of([&] { SubjectModel::mean_loss(from_host(zeros, 2, 4), tokens, 2); }),
            "tokens: a context of 1 token predicts nothing, wanted 2 or more");
  EXPECT_EQ(error_of([&] { SubjectModel::mean_loss(from_host(zeros, 4, 2), tokens, 1); }),
            "logits: 4 rows for 2 tokens");
}

TEST(Tensor, GoesToTheHostAndBackUnchanged) {
  const Floats values{1, 2, 3, 4, 5, 6};
  const Tensor tensor = from_host(values, 2, 3);
  EXPECT_EQ(tensor.rows(), 2);
  EXPECT_EQ(tensor.columns(), 3);
  EXPECT_EQ(to_host(tensor), values);
  EXPECT_EQ(Tensor().rows(), 0);
  EXPECT_TRUE(to_host(Tensor()).empty());
  EXPECT_THROW(from_host(values, 2, 2), std::invalid_argument);
  EXPECT_THROW(from_host(values, -2, -3), std::invalid_argument);
}

TEST(Libtorch, NamesItsVersionAndWhatItCanDo) {
  EXPECT_NE(libtorch_version().find("CPU"), std::string::npos) << libtorch_version();
}

TEST(Threads, ChangeNoActivationBeyondRounding) {
  const Loaded m;
  const Config& c = m.tiny.config;
  const std::vector<TokenId> tokens = random_tokens(4 * 30, c.vocabulary, 17);
  set_threads(1);
  const Floats one = to_host(m.model.logits(tokens, 4));
  set_threads(2);
  const Floats two = to_host(m.model.logits(tokens, 4));
  const std::vector<double> wanted(one.begin(), one.end());
  EXPECT_LE(largest_difference(two, wanted), tolerance(wanted, c.vocabulary, c, c.layers));
}

}  // namespace
}  // namespace gloss::model
