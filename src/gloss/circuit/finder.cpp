#include "gloss/circuit/finder.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <tuple>

#include "gloss/base/error.h"
#include "gloss/base/interrupt.h"
#include "gloss/circuit/metric.h"
#include "gloss/circuit/splice.h"
#include "gloss/model/hooked_pass.h"
#include "gloss/model/torch_tensor.h"

namespace gloss::circuit {
namespace {

using model::Hookpoint;
using Rows = std::vector<float>;  // [T, width]

constexpr std::int64_t kSummed = -1;
constexpr std::int64_t kError = -1;
/// A node while effects are summed up: position or kSummed, latent or kError.
using Key = std::tuple<std::uint32_t, std::int64_t, std::int64_t>;

Key key_of(const Node& n) {
  return {n.place, n.position ? std::int64_t{*n.position} : kSummed,
          n.latent ? std::int64_t{to_index(*n.latent)} : kError};
}

at::Tensor gradient_of(const at::Tensor& of, const at::Tensor& at, const at::Tensor& seed = {}) {
  const torch::autograd::variable_list seeds =
      seed.defined() ? torch::autograd::variable_list{seed} : torch::autograd::variable_list{};
  return torch::autograd::grad({of}, {at}, seeds, /*retain_graph=*/true, false, /*allow_unused=*/true)[0];
}

/// Shapes: gradient [rows, width], or undefined where nothing goes that way; result the same on the host.
Rows host_rows(const at::Tensor& gradient, std::size_t size) {
  if (!gradient.defined()) return Rows(size, 0.0F);
  return model::to_host(model::wrap(gradient.to(at::kFloat)));
}

/// One pair: both runs, taken apart at every place, and the clean one's steps.
struct Traced {
  std::vector<Spliced> clean, patch;  // [places]
  std::vector<at::Tensor> reads, at;  // [places]: of the clean pass, with gradients
  at::Tensor metric;                  // of the clean pass
  double clean_metric = 0.0, patch_metric = 0.0;
  std::vector<Rows> gradient;  // [places][T, width]: of the metric, at the clean prompt or along the way
};

class Finder {
 public:
  Finder(const model::SubjectModel& model, std::span<const Place> places, const FinderOptions& options)
      : pass_(model), places_(places), options_(options) {
    for (const Place& place : places) weights_.emplace_back(place);
  }

  Traced trace(const Pair& pair) const {
    Traced t;
    {
      const at::NoGradGuard none;
      std::vector<at::Tensor> reads(places_.size()), at(places_.size());
      const at::Tensor logits = pass_.last_logits(pair.patch, 1, keeping(reads, at, false));
      t.patch_metric = metric_of(logits, pair).item<double>();
      t.patch = splice(reads, at);
    }
    const at::AutoGradMode recorded(true);
    t.reads.resize(places_.size());
    t.at.resize(places_.size());
    t.metric = metric_of(pass_.last_logits(pair.clean, 1, keeping(t.reads, t.at, true)), pair);
    t.clean_metric = t.metric.item<double>();
    t.clean = splice(t.reads, t.at);
    for (std::size_t p = 0; p < places_.size(); ++p) {
      t.gradient.push_back(options_.method == Method::attribution
                               ? host_rows(gradient_of(t.metric, t.at[p]), t.clean[p].y.size())
                               : along_the_way(pair, p, t.clean[p], t.patch[p]));
    }
    return t;
  }

  /// Adds the effects of all nodes of a pair, and what patching whole places does.
  void add_effects(const Pair& pair, const Traced& t, std::map<Key, double>& effects,
                   std::vector<PlaceSum>& sums) const {
    for (std::size_t p = 0; p < places_.size(); ++p) {
      each_effect(t, p, t.gradient[p], [&](std::size_t row, std::int64_t latent, double effect) {
        effects[{static_cast<std::uint32_t>(p), options_.by_position ? static_cast<std::int64_t>(row) : kSummed,
                 latent}] += effect;
        (latent == kError ? sums[p].error : sums[p].latents) += effect;
      });
      const at::NoGradGuard none;
      const at::Tensor patched = tensor_like(t.patch[p].y, t.at[p]);
      const at::Tensor logits = pass_.last_logits(pair.clean, 1, [&](Hookpoint here, at::Tensor& x) {
        if (here == places_[p].reconstructs) x = patched;
      });
      sums[p].patched += metric_of(logits, pair).item<double>() - t.clean_metric;
    }
  }

  /// Adds what of each upstream node's effect goes through `node`, a node of the place behind theirs.
  void add_edges(const Traced& t, const Node& node, const std::map<Key, std::size_t>& upstream, std::size_t to,
                 std::map<std::pair<std::size_t, std::size_t>, double>& edges) const {
    const std::size_t p = node.place;
    at::Tensor back;
    const auto add = [&](const at::Tensor& through, const Rows& seed) {
      const at::Tensor one = gradient_of(through, t.at[p - 1], tensor_like(seed, through));
      if (one.defined()) back = back.defined() ? back + one : one;
    };
    Rows read(t.clean[p].rows * static_cast<std::size_t>(t.reads[p].size(1)), 0.0F);
    Rows direct;
    if (!node.latent) direct.assign(t.clean[p].y.size(), 0.0F);
    each_row_of(node, t.clean[p].rows, [&](std::size_t row) { seed_row(t, node, row, read, direct); });
    add(t.reads[p], read);
    if (!direct.empty()) add(t.at[p], direct);
    if (!back.defined()) return;
    const Rows gradient = host_rows(back, t.clean[p - 1].y.size());
    each_effect(t, p - 1, gradient, [&](std::size_t row, std::int64_t latent, double effect) {
      const auto from = upstream.find(
          {static_cast<std::uint32_t>(p - 1), options_.by_position ? static_cast<std::int64_t>(row) : kSummed, latent});
      if (from != upstream.end()) edges[{from->second, to}] += effect;
    });
  }

 private:
  /// Keeps what every place reads and is. With gradients, the pass goes on with tensors that gradients reach.
  model::HookedPass::Visit keeping(std::vector<at::Tensor>& reads, std::vector<at::Tensor>& at, bool gradients) const {
    return [this, &reads, &at, gradients](Hookpoint here, at::Tensor& x) {
      bool wanted = false;
      for (const Place& place : places_) wanted = wanted || place.reads == here || place.reconstructs == here;
      if (!wanted) return;
      // A new tensor either way: a place that notices no change is computed past it.
      if (gradients) x = x.requires_grad() ? x.view_as(x) : x.detach().requires_grad_(true);
      for (std::size_t p = 0; p < places_.size(); ++p) {
        if (places_[p].reads == here) reads[p] = x;
        if (places_[p].reconstructs == here) at[p] = x;
      }
    };
  }

  std::vector<Spliced> splice(const std::vector<at::Tensor>& reads, const std::vector<at::Tensor>& at) const {
    std::vector<Spliced> all;
    for (std::size_t p = 0; p < places_.size(); ++p)
      all.push_back(weights_[p].splice(model::wrap(reads[p].detach()), model::wrap(at[p].detach())));
    return all;
  }

  static at::Tensor tensor_like(const Rows& rows, const at::Tensor& like) {
    return at::from_blob(const_cast<float*>(rows.data()), like.sizes(), at::kFloat)  // NOLINT: copied at once
        .clone()
        .to(like.device(), like.scalar_type());
  }

  /// Mean gradient over points between clean and patch activation of one place, all else upstream being clean: a batch
  /// of the clean prompt, one context a point, at the middles of `steps` equal parts. Values and error terms move
  /// together, and what they make up is on the straight line between the two activations.
  Rows along_the_way(const Pair& pair, std::size_t p, const Spliced& clean, const Spliced& patch) const {
    const std::uint32_t steps = options_.steps;
    Rows between(steps * clean.y.size());
    std::vector<TokenId> tokens;
    for (std::uint32_t s = 0; s < steps; ++s) {
      const double part = (s + 0.5) / steps;
      for (std::size_t i = 0; i < clean.y.size(); ++i)
        between[s * clean.y.size() + i] =
            static_cast<float>((1.0 - part) * double{clean.y[i]} + part * double{patch.y[i]});
      tokens.insert(tokens.end(), pair.clean.begin(), pair.clean.end());
    }
    at::Tensor leaf;
    const at::Tensor logits = pass_.last_logits(tokens, steps, [&](Hookpoint here, at::Tensor& x) {
      if (here != places_[p].reconstructs) return;
      leaf = tensor_like(between, x).requires_grad_(true);
      x = leaf;
    });
    const Rows all = host_rows(gradient_of(metric_of(logits, pair), leaf), between.size());
    Rows mean(clean.y.size());
    for (std::size_t i = 0; i < mean.size(); ++i) {
      double sum = 0.0;
      for (std::uint32_t s = 0; s < steps; ++s) sum += double{all[s * mean.size() + i]};
      mean[i] = static_cast<float>(sum / steps);
    }
    return mean;
  }

  /// Calls visit(row, latent or kError, gradient . change) for all that differs between the two prompts at a place.
  template <class VisitEffect>
  void each_effect(const Traced& t, std::size_t p, const Rows& gradient, const VisitEffect& visit) const {
    const Spliced& clean = t.clean[p];
    const Spliced& patch = t.patch[p];
    for (std::size_t row = 0; row < clean.rows; ++row) {
      const std::span<const float> g = std::span(gradient).subspan(row * clean.width, clean.width);
      RowValues change = patch.latents[row];
      for (const auto& [latent, value] : clean.latents[row]) change[latent] -= value;
      for (const auto& [latent, difference] : change) {
        if (difference != 0.0F) visit(row, std::int64_t{latent}, double{difference} * weights_[p].written(latent, g));
      }
      double error = 0.0;
      for (std::size_t i = 0; i < clean.width; ++i) {
        const std::size_t at = row * clean.width + i;
        error += double{g[i]} * (double{patch.rest[at]} - double{clean.rest[at]});
      }
      if (error != 0.0) visit(row, kError, error);
    }
  }

  template <class VisitRow>
  static void each_row_of(const Node& node, std::size_t rows, const VisitRow& visit) {
    for (std::size_t row = node.position.value_or(0); row < (node.position ? *node.position + 1 : rows); ++row)
      visit(row);
  }

  /// What the metric's gradient at a node is at the place's input, and for an error term at the place itself: the error
  /// is the activation less what the latents write, and those read the input.
  void seed_row(const Traced& t, const Node& node, std::size_t row, Rows& read, Rows& direct) const {
    const Spliced& clean = t.clean[node.place];
    const std::size_t width = read.size() / clean.rows;
    const std::span<float> into = std::span(read).subspan(row * width, width);
    const std::span<const float> g = std::span(t.gradient[node.place]).subspan(row * clean.width, clean.width);
    const Weights& weights = weights_[node.place];
    if (node.latent) {
      const auto fired = clean.latents[row].find(to_index(*node.latent));
      if (fired != clean.latents[row].end())
        weights.read_back(fired->first, fired->second, weights.written(fired->first, g), into);
      return;
    }
    std::copy(g.begin(), g.end(), direct.begin() + static_cast<std::ptrdiff_t>(row * clean.width));
    for (const auto& [latent, value] : clean.latents[row])
      weights.read_back(latent, value, -weights.written(latent, g), into);
  }

  model::HookedPass pass_;
  std::span<const Place> places_;
  const FinderOptions& options_;
  std::vector<Weights> weights_;
};

std::vector<Node> kept_nodes(const std::map<Key, double>& effects, double pairs, const FinderOptions& o) {
  std::vector<Node> nodes;
  for (const auto& [key, sum] : effects) {
    const auto [place, position, latent] = key;
    Node node{place, {}, {}, sum / pairs};
    if (position != kSummed) node.position = static_cast<std::uint32_t>(position);
    if (latent != kError) node.latent = LatentId{static_cast<std::uint32_t>(latent)};
    if (std::abs(node.effect) >= o.node_threshold) nodes.push_back(node);
  }
  std::stable_sort(nodes.begin(), nodes.end(), [](const Node& a, const Node& b) {
    return a.place != b.place ? a.place < b.place : std::abs(a.effect) > std::abs(b.effect);
  });
  if (o.most_nodes == 0) return nodes;
  std::vector<Node> most;
  std::map<std::uint32_t, std::uint32_t> taken;
  for (const Node& node : nodes) {
    if (taken[node.place]++ < o.most_nodes) most.push_back(node);
  }
  return most;
}

}  // namespace

std::vector<Place> in_order(std::vector<Place> places) {
  if (places.empty()) throw Error(ErrorKind::usage, "circuit", "no hookpoint has a coder");
  std::stable_sort(places.begin(), places.end(),
                   [](const Place& a, const Place& b) { return comes_before(a.reconstructs, b.reconstructs); });
  for (std::size_t i = 1; i < places.size(); ++i) {
    if (places[i].reconstructs == places[i - 1].reconstructs)
      throw Error(ErrorKind::usage, "circuit", fmt::format("two coders are of {}", places[i].hookpoint));
  }
  return places;
}

Graph find_circuit(const model::SubjectModel& model, std::span<const Place> places, std::span<const Pair> pairs,
                   const FinderOptions& options, Reporter& reporter) {
  check_pairs(pairs, model.config().vocabulary, options.by_position);
  const Finder finder(model, places, options);
  Graph graph;
  graph.pairs = pairs.size();
  graph.sums.resize(places.size());
  for (const Place& place : places) graph.hookpoints.push_back(place.hookpoint);
  std::map<Key, double> effects;
  const auto count = static_cast<double>(pairs.size());
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    stop_if_interrupted();
    const Traced traced = finder.trace(pairs[i]);
    finder.add_effects(pairs[i], traced, effects, graph.sums);
    graph.clean_metric += traced.clean_metric / count;
    graph.patch_metric += traced.patch_metric / count;
    reporter.progress({"effects", i + 1, pairs.size(), "pairs", ""});
  }
  for (PlaceSum& sum : graph.sums) {
    sum.latents /= count;
    sum.error /= count;
    sum.patched /= count;
  }
  graph.nodes = kept_nodes(effects, count, options);
  std::map<Key, std::size_t> index;
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) index.emplace(key_of(graph.nodes[n]), n);
  std::map<std::pair<std::size_t, std::size_t>, double> edges;
  for (std::size_t i = 0; i < pairs.size() && places.size() > 1; ++i) {
    stop_if_interrupted();
    const Traced traced = finder.trace(pairs[i]);
    for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
      if (graph.nodes[n].place > 0) finder.add_edges(traced, graph.nodes[n], index, n, edges);
    }
    reporter.progress({"edges", i + 1, pairs.size(), "pairs", ""});
  }
  for (const auto& [ends, sum] : edges) {
    const double effect = sum / count;
    if (std::abs(effect) >= options.edge_threshold) graph.edges.push_back({ends.first, ends.second, effect});
  }
  std::stable_sort(graph.edges.begin(), graph.edges.end(),
                   [](const Edge& a, const Edge& b) { return std::abs(a.effect) > std::abs(b.effect); });
  return graph;
}

}  // namespace gloss::circuit
