#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "gloss/circuit/ablation.h"
#include "gloss/circuit/finder.h"
#include "gloss/circuit/splice.h"
#include "gloss/model/test_model.h"
#include "gloss/sparse/test_coder.h"

namespace gloss::circuit {
namespace {

constexpr std::uint32_t kLayers = 3, kWidth = 24, kLatents = 60, kLength = 6, kVocabulary = 53;

model::TestModel tiny_model() {
  model::Config c;
  c.layers = kLayers;
  c.width = kWidth;
  c.heads = 4;
  c.kv_heads = 2;
  c.head_width = 10;
  c.hidden = 37;
  c.vocabulary = kVocabulary;
  c.max_context = 64;
  c.norm_epsilon = 1e-3;
  c.ropes = {model::Rope{.theta = 500.0}};
  return model::TestModel::make(c, 11);
}

struct Fixture {
  model::TemporaryFolder folder;
  model::SubjectModel subject = make_model();
  std::vector<Place> places = make_places();
  SilentReporter silent;

  model::SubjectModel make_model() const {
    tiny_model().write(folder.path() / "model");
    return model::SubjectModel::load(folder.path() / "model");
  }
  std::vector<Place> make_places() const {
    std::vector<Place> made;
    for (std::uint32_t layer = kLayers; layer-- > 0;) {  // last first: in_order() is to put them right
      const auto where = folder.path() / fmt::format("coders/layers.{}", layer);
      sparse::TestCoder::random(kWidth, kLatents, 6, 40 + layer).write(where);
      const model::Hookpoint at{layer, model::Site::layer_output};
      made.push_back({at.name(), sparse::Coder::load(where), at, at});
    }
    return in_order(std::move(made));
  }

  double metric(const Pair& pair, const std::vector<TokenId>& tokens, std::span<const model::Edit> edits = {}) const {
    const std::vector<float> all = model::to_host(subject.logits(tokens, 1, edits));
    const float* last = all.data() + (tokens.size() - 1) * kVocabulary;
    return double{last[to_index(pair.clean_answer)]} - double{last[to_index(pair.patch_answer)]};
  }
  std::vector<float> at(const std::vector<TokenId>& tokens, std::size_t p,
                        std::span<const model::Edit> edits = {}) const {
    return model::to_host(subject.activations(tokens, 1, std::span(&places[p].reconstructs, 1), edits)[0]);
  }
  model::Edit replace(std::size_t p, const std::vector<float>& y) const {
    return {places[p].reconstructs, model::Edit::How::replace,
            model::from_host(y, static_cast<std::int64_t>(y.size() / kWidth), kWidth)};
  }
};

Pair pair_of(std::uint64_t seed, TokenId clean, TokenId patch, std::size_t where = 1) {
  Pair pair;
  pair.clean = model::random_tokens(kLength, kVocabulary, seed);
  pair.patch = pair.clean;
  pair.clean[where] = clean;
  pair.patch[where] = patch;
  pair.clean_answer = TokenId{3};
  pair.patch_answer = TokenId{5};
  return pair;
}

std::vector<Pair> far_pairs() {
  return {pair_of(1, TokenId{30}, TokenId{31}), pair_of(2, TokenId{30}, TokenId{31}, 2),
          pair_of(3, TokenId{4}, TokenId{9})};
}

FinderOptions all_of(Method method) {
  FinderOptions o;
  o.method = method;
  o.node_threshold = o.edge_threshold = 0.0;
  return o;
}

/// Values by latent of a row, of an activation [T, D].
std::map<std::uint32_t, double> values(const Place& place, const std::vector<float>& y, std::size_t row) {
  const std::span<const float> one = std::span(y).subspan(row * kWidth, kWidth);
  const sparse::Encoded e = place.coder.encode(model::from_host(one, 1, kWidth));
  std::map<std::uint32_t, double> found;
  for (std::size_t i = 0; i < e.value.size(); ++i) found[e.latent[i]] = double{e.value[i]};
  return found;
}

TEST(Circuit, ActivationsTakenApartAndPutTogetherLeaveTheLogits) {
  const Fixture f;
  const Pair pair = far_pairs()[0];
  for (std::size_t p = 0; p < f.places.size(); ++p) {
    const Weights weights(f.places[p]);
    const std::vector<float> y = f.at(pair.clean, p);
    const auto tensor = model::from_host(y, kLength, kWidth);
    const Spliced s = weights.splice(tensor, tensor);
    std::vector<float> together = s.rest;
    std::size_t fired = 0;
    for (std::size_t row = 0; row < kLength; ++row) {
      for (const auto& [latent, value] : s.latents[row]) {
        weights.write(latent, double{value}, std::span(together).subspan(row * kWidth, kWidth));
        ++fired;
      }
    }
    EXPECT_GT(fired, kLength);
    const std::vector<model::Edit> edit = {f.replace(p, together)};
    EXPECT_NEAR(f.metric(pair, pair.clean, edit), f.metric(pair, pair.clean), 2e-5);
  }
}

TEST(Circuit, AValuesGradientIsItsFiniteDifference) {
  const Fixture f;
  const Place& place = f.places[1];
  const std::vector<float> y = f.at(far_pairs()[0].clean, 1);
  const std::vector<float> row(y.begin(), y.begin() + kWidth);
  for (const auto& [latent, value] : values(place, row, 0)) {
    std::vector<float> gradient(kWidth);
    place.coder.value_gradient(LatentId{latent}, static_cast<float>(value), gradient);
    for (const std::size_t i : {0U, 9U}) {
      std::vector<float> up = row, down = row;
      up[i] += 1e-3F;
      down[i] -= 1e-3F;
      const double wanted =
          (values(place, up, 0)[latent] - values(place, down, 0)[latent]) / (double{up[i]} - double{down[i]});
      EXPECT_NEAR(double{gradient[i]}, wanted, 0.01);
    }
  }
}

// Exact patching of a small part of the change, either way, from which the whole is extrapolated: the first order.
TEST(Circuit, AttributionIsExactPatchingToFirstOrder) {
  Fixture f;
  const std::vector<Pair> pairs = {far_pairs()[0]};
  const Graph graph = find_circuit(f.subject, f.places, pairs, all_of(Method::attribution), f.silent);
  double largest = 0.0, worst = 0.0;
  std::size_t compared = 0;
  for (const Node& node : graph.nodes) {
    if (!node.latent) continue;
    const Place& place = f.places[node.place];
    const std::uint32_t latent = to_index(*node.latent);
    const std::vector<float> y = f.at(pairs[0].clean, node.place);
    const std::vector<float> y_patch = f.at(pairs[0].patch, node.place);
    std::vector<double> change;
    for (std::size_t row = 0; row < kLength; ++row)
      change.push_back(values(place, y_patch, row)[latent] - values(place, y, row)[latent]);
    const double most = std::abs(
        *std::max_element(change.begin(), change.end(), [](double a, double b) { return std::abs(a) < std::abs(b); }));
    const double part = 0.02 / most;
    const auto metric_at = [&](double times) {
      std::vector<float> patched = y;
      for (std::size_t i = 0; i < y.size(); ++i)
        patched[i] += static_cast<float>(times * change[i / kWidth] *
                                         double{place.coder.decoder()[latent * kWidth + i % kWidth]});
      const std::vector<model::Edit> edit = {f.replace(node.place, patched)};
      return f.metric(pairs[0], pairs[0].clean, edit);
    };
    const double exact = (metric_at(part) - metric_at(-part)) / (2.0 * part);
    largest = std::max(largest, std::abs(exact));
    worst = std::max(worst, std::abs(exact - node.effect));
    ++compared;
  }
  EXPECT_GT(compared, 20U);
  EXPECT_GT(largest, 0.01);
  EXPECT_LT(worst, 0.02 * largest);
}

TEST(Circuit, IntegratedEffectsAddUpToWhatPatchingThePlaceDoes) {
  Fixture f;
  const std::vector<Pair> pairs = far_pairs();
  double off[2] = {0.0, 0.0};
  for (const Method method : {Method::attribution, Method::integrated}) {
    FinderOptions options = all_of(method);
    options.steps = 20;
    const Graph graph = find_circuit(f.subject, f.places, pairs, options, f.silent);
    for (std::size_t p = 0; p < f.places.size(); ++p) {
      const PlaceSum& sum = graph.sums[p];
      // The stream is all there is: patched, it gives the patch prompt's answer.
      EXPECT_NEAR(sum.patched, graph.patch_metric - graph.clean_metric, 1e-4);
      off[method == Method::integrated] += std::abs(sum.latents + sum.error - sum.patched);
      double of_nodes = 0.0;
      for (const Node& node : graph.nodes) of_nodes += node.place == p ? node.effect : 0.0;
      EXPECT_NEAR(of_nodes, sum.latents + sum.error, 1e-6);
    }
  }
  EXPECT_GT(off[0], 0.02) << "the metric is so straight that nothing is shown";
  EXPECT_LT(off[1], 0.02);
  EXPECT_LT(off[1], 0.1 * off[0]) << "attribution is off by " << off[0];
}

TEST(Circuit, EdgesIntoTheWholeNextStreamMakeUpTheNodesEffect) {
  Fixture f;
  const Graph graph = find_circuit(f.subject, f.places, far_pairs(), all_of(Method::attribution), f.silent);
  std::vector<double> through(graph.nodes.size(), 0.0);
  for (const Edge& edge : graph.edges) {
    EXPECT_EQ(graph.nodes[edge.from].place + 1, graph.nodes[edge.to].place);
    through[edge.from] += edge.effect;
  }
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    if (graph.nodes[n].place + 1 == kLayers) continue;  // nothing comes behind
    EXPECT_NEAR(through[n], graph.nodes[n].effect, 1e-4 + 1e-3 * std::abs(graph.nodes[n].effect));
  }
}

TEST(Circuit, PositionsAddUpToTheSummedNodes) {
  Fixture f;
  FinderOptions options = all_of(Method::attribution);
  const Graph summed = find_circuit(f.subject, f.places, far_pairs(), options, f.silent);
  options.by_position = true;
  const Graph by_position = find_circuit(f.subject, f.places, far_pairs(), options, f.silent);
  EXPECT_GT(by_position.nodes.size(), summed.nodes.size());
  std::map<std::pair<std::uint32_t, std::optional<LatentId>>, double> sums;
  for (const Node& node : by_position.nodes) {
    ASSERT_TRUE(node.position.has_value());
    EXPECT_GE(*node.position, 1U) << "before the prompts differ nothing does";
    sums[{node.place, node.latent}] += node.effect;
  }
  for (const Node& node : summed.nodes) EXPECT_NEAR((sums[{node.place, node.latent}]), node.effect, 1e-6);
}

TEST(Circuit, ThresholdsKeepTheStrongNodesAndEdges) {
  Fixture f;
  const Graph all = find_circuit(f.subject, f.places, far_pairs(), all_of(Method::integrated), f.silent);
  FinderOptions options;
  options.most_nodes = 3;
  options.node_threshold = 0.02;
  options.edge_threshold = 0.001;
  const Graph few = find_circuit(f.subject, f.places, far_pairs(), options, f.silent);
  std::map<std::uint32_t, std::size_t> counts;
  for (const Node& node : few.nodes) {
    EXPECT_GE(std::abs(node.effect), 0.02);
    EXPECT_NE(std::find(all.nodes.begin(), all.nodes.end(), node), all.nodes.end());
    EXPECT_LE(++counts[node.place], 3U);
  }
  EXPECT_FALSE(few.nodes.empty());
  for (const Edge& edge : few.edges) EXPECT_GE(std::abs(edge.effect), 0.001);
}

TEST(Circuit, PairsThatCannotBeComparedAreRefused) {
  Fixture f;
  std::vector<Pair> pairs = far_pairs();
  pairs[1].patch.pop_back();
  const auto find = [&](const FinderOptions& o) { find_circuit(f.subject, f.places, pairs, o, f.silent); };
  EXPECT_EQ(
      model::error_of([&] { find({}); }),
      "pair 2: its prompts have 6 and 5 tokens, wanted as many\nhint: the prompts of a pair are compared token by "
      "token");
  pairs[1].clean.pop_back();
  FinderOptions by_position;
  by_position.by_position = true;
  EXPECT_EQ(model::error_of([&] { find(by_position); }),
            "pair 2: has 5 tokens, and the first pair 6: nodes by position want pairs of one length");
}

/// The metrics of an ablation, place after place: each place's activation is read with the edits before it made.
double slow_ablation(const Fixture& f, const std::vector<Pair>& pairs, const Selected& which, bool others, bool to_mean,
                     bool keep_errors) {
  double sum = 0.0;
  for (const Pair& pair : pairs) {
    std::vector<model::Edit> edits;
    for (std::size_t p = 0; p < f.places.size(); ++p) {
      const Place& place = f.places[p];
      std::vector<double> mean(kLatents, 0.0), mean_rest(kWidth, 0.0), bias(kWidth, 0.0);
      const auto rest_of = [&](const std::vector<float>& y, std::size_t row) {
        std::vector<double> rest(y.begin() + static_cast<std::ptrdiff_t>(row * kWidth),
                                 y.begin() + static_cast<std::ptrdiff_t>((row + 1) * kWidth));
        for (const auto& [latent, value] : values(place, y, row)) {
          for (std::size_t i = 0; i < kWidth; ++i)
            rest[i] -= value * double{place.coder.decoder()[latent * kWidth + i]};
        }
        return rest;
      };
      for (const Pair& other : pairs) {
        for (const auto* tokens : {&other.clean, &other.patch}) {
          const std::vector<float> y = f.at(*tokens, p);
          for (std::size_t row = 0; row < kLength; ++row) {
            const double part = 1.0 / static_cast<double>(2 * pairs.size() * kLength);
            for (const auto& [latent, value] : values(place, y, row)) mean[latent] += value * part;
            const std::vector<double> rest = rest_of(y, row);
            for (std::size_t i = 0; i < kWidth; ++i) mean_rest[i] += rest[i] * part;
          }
        }
      }
      const auto bias_tensor = model::to_host(place.coder.decode(sparse::Encoded{{0, 0}, {}, {}}, 1));
      std::copy(bias_tensor.begin(), bias_tensor.end(), bias.begin());
      const std::vector<float> y = f.at(pair.clean, p, edits);
      std::vector<float> made;
      for (std::size_t row = 0; row < kLength; ++row) {
        std::vector<double> out = rest_of(y, row);
        if (others && !keep_errors) out = to_mean ? mean_rest : bias;
        auto now = values(place, y, row);
        for (std::uint32_t latent = 0; latent < kLatents; ++latent) {
          const bool ablated = which[p].contains(latent) != others;
          const double value = ablated ? (to_mean ? mean[latent] : 0.0) : now[latent];
          for (std::size_t i = 0; i < kWidth; ++i) out[i] += value * double{place.coder.decoder()[latent * kWidth + i]};
        }
        for (const double v : out) made.push_back(static_cast<float>(v));
      }
      edits.push_back(f.replace(p, made));
    }
    sum += f.metric(pair, pair.clean, edits);
  }
  return sum / static_cast<double>(pairs.size());
}

TEST(Ablation, AgreesWithASlowReference) {
  const Fixture f;
  const std::vector<Pair> pairs = far_pairs();
  Selected which(kLayers);
  for (std::size_t p = 0; p < kLayers; ++p) {
    const std::vector<float> y = f.at(pairs[0].clean, p);
    for (const auto& [latent, value] : values(f.places[p], y, kLength - 1)) {
      if (which[p].size() < 3) which[p].insert(latent);
    }
  }
  for (const bool to_mean : {false, true}) {
    for (const bool keep_errors : {false, true}) {
      AblationOptions options;
      options.to_mean = to_mean;
      options.keep_errors = keep_errors;
      const Ablation ablation(f.subject, f.places, pairs, options);
      for (const bool others : {false, true}) {
        const std::vector<double> found = ablation.metrics(which, others);
        const double mean = std::accumulate(found.begin(), found.end(), 0.0) / static_cast<double>(found.size());
        EXPECT_NEAR(mean, slow_ablation(f, pairs, which, others, to_mean, keep_errors), 1e-4)
            << to_mean << keep_errors << others;
      }
    }
  }
}

TEST(Ablation, SpecialTokensAreLeftAlone) {
  const Fixture f;
  const std::vector<Pair> pairs = {far_pairs()[0]};
  AblationOptions options;
  options.special.assign(kVocabulary, true);
  const Ablation ablation(f.subject, f.places, pairs, options);
  EXPECT_EQ(ablation.metrics(Selected(kLayers), true), ablation.metrics(Selected(kLayers), false));
}

TEST(Ablation, ControlsAreAsManyOthersThatFireAsOftenAndTheShareOfTheMetricIsRight) {
  Fixture f;
  const std::vector<Pair> pairs = far_pairs();
  AblationOptions options;
  options.controls = 3;
  const Ablation ablation(f.subject, f.places, pairs, options);
  Selected which(kLayers);
  const std::vector<float> y = f.at(pairs[0].clean, 1);
  for (const auto& [latent, value] : values(f.places[1], y, 2)) which[1].insert(latent);
  for (std::uint64_t draw = 0; draw < 5; ++draw) {
    const Selected control = ablation.control(which, draw);
    EXPECT_EQ(control[1].size(), which[1].size());
    EXPECT_TRUE(control[0].empty() && control[2].empty());
    for (const std::uint32_t latent : control[1]) EXPECT_FALSE(which[1].contains(latent));
    EXPECT_EQ(control, ablation.control(which, draw));
  }
  const Ablated a = ablation.measure(which, f.silent);
  EXPECT_EQ(a.controls.size(), 3U);
  EXPECT_EQ(a.latents, which[1].size());
  EXPECT_DOUBLE_EQ(a.faithfulness(), (a.only - a.none) / (a.full - a.none));
  EXPECT_DOUBLE_EQ(a.completeness(), (a.without - a.none) / (a.full - a.none));
}

}  // namespace
}  // namespace gloss::circuit
