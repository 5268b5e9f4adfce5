#include "gloss/circuit/ablation.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/base/interrupt.h"
#include "gloss/base/random.h"
#include "gloss/circuit/metric.h"
#include "gloss/circuit/splice.h"
#include "gloss/model/hooked_pass.h"
#include "gloss/model/torch_tensor.h"

namespace gloss::circuit {
namespace {

using model::Hookpoint;

constexpr std::size_t kNearest = 10;

double mean_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double share(double part, double none, double full) { return (part - none) / (full - none); }

}  // namespace

double Ablated::faithfulness() const { return share(only, none, full); }
double Ablated::completeness() const { return share(without, none, full); }

struct Ablation::Impl {
  /// What ablation sets a place to, and how often its latents fire.
  struct Usual {
    std::map<std::uint32_t, double> mean;  // of latents that fire
    std::vector<float> rest;               // [O], mean of the error term
    std::map<std::uint32_t, std::uint64_t> firings;
  };

  model::HookedPass pass;
  std::span<const Place> places;
  std::span<const Pair> pairs;
  AblationOptions options;
  std::vector<Weights> weights;
  std::vector<Usual> usual;

  bool is_special(TokenId id) const { return to_index(id) < options.special.size() && options.special[to_index(id)]; }

  /// A pass in which `change(place, spliced, row)` may alter the spliced activation's row y at every place.
  template <class Change>
  at::Tensor run(const std::vector<TokenId>& tokens, const Change& change) const {
    const at::NoGradGuard none;
    std::vector<at::Tensor> reads(places.size());
    return pass.last_logits(tokens, 1, [&](Hookpoint here, at::Tensor& x) {
      for (std::size_t p = 0; p < places.size(); ++p) {
        if (places[p].reads == here) reads[p] = x;
        if (places[p].reconstructs != here) continue;
        Spliced s = weights[p].splice(model::wrap(reads[p]), model::wrap(x));
        bool changed = false;
        for (std::size_t row = 0; row < s.rows; ++row) {
          if (!is_special(tokens[row])) changed = change(p, s, row) || changed;
        }
        if (changed) x = at::from_blob(s.y.data(), x.sizes(), at::kFloat).clone().to(x.device(), x.scalar_type());
      }
    });
  }

  void count() {
    usual.resize(places.size());
    std::uint64_t rows = 0;
    std::vector<std::vector<double>> rest(places.size());
    for (const Pair& pair : pairs) {
      for (const std::vector<TokenId>* tokens : {&pair.clean, &pair.patch}) {
        stop_if_interrupted();
        run(*tokens, [&](std::size_t p, const Spliced& s, std::size_t row) {
          rest[p].resize(s.width, 0.0);
          for (std::size_t i = 0; i < s.width; ++i) rest[p][i] += double{s.rest[row * s.width + i]};
          for (const auto& [latent, value] : s.latents[row]) {
            usual[p].mean[latent] += double{value};
            ++usual[p].firings[latent];
          }
          return false;
        });
        for (const TokenId id : *tokens) rows += is_special(id) ? 0 : 1;
      }
    }
    const double all = static_cast<double>(std::max<std::uint64_t>(rows, 1));
    for (std::size_t p = 0; p < places.size(); ++p) {
      for (auto& [latent, sum] : usual[p].mean) sum /= all;
      for (const double sum : rest[p]) usual[p].rest.push_back(static_cast<float>(sum / all));
    }
  }

  /// An error term at 0 leaves b_dec, the reconstruction of nothing. Takes the row's latents of `which` (or not of it)
  /// from what they are to what ablation sets them to.
  bool ablate(std::size_t p, Spliced& s, std::size_t row, const std::set<std::uint32_t>& which, bool others) const {
    const std::span<float> y = std::span(s.y).subspan(row * s.width, s.width);
    bool changed = false;
    const auto change = [&](std::uint32_t latent, double by) {
      if (by == 0.0 || which.contains(latent) == others) return;
      weights[p].write(latent, by, y);
      changed = true;
    };
    for (const auto& [latent, value] : s.latents[row]) change(latent, -double{value});
    if (options.to_mean) {
      for (const auto& [latent, mean] : usual[p].mean) change(latent, mean);
    }
    if (!others || options.keep_errors) return changed;
    for (std::size_t i = 0; i < s.width; ++i)
      y[i] += (options.to_mean ? usual[p].rest[i] : weights[p].bias(i)) - s.rest[row * s.width + i];
    return true;
  }
};

Ablation::Ablation(const model::SubjectModel& model, std::span<const Place> places, std::span<const Pair> pairs,
                   AblationOptions options)
    : impl_(new Impl{model::HookedPass(model), places, pairs, std::move(options), {}, {}}) {
  check_pairs(pairs, model.config().vocabulary, false);
  for (const Place& place : places) impl_->weights.emplace_back(place);
  impl_->count();
}

Ablation::~Ablation() = default;

std::vector<double> Ablation::metrics(const Selected& selected, bool others) const {
  std::vector<double> found;
  for (const Pair& pair : impl_->pairs) {
    stop_if_interrupted();
    const at::Tensor logits = impl_->run(pair.clean, [&](std::size_t p, Spliced& s, std::size_t row) {
      return impl_->ablate(p, s, row, selected[p], others);
    });
    found.push_back(metric_of(logits, pair).item<double>());
  }
  return found;
}

Selected Ablation::control(const Selected& selected, std::uint64_t draw) const {
  Selected chosen(selected.size());
  for (std::size_t p = 0; p < selected.size(); ++p) {
    const auto& firings = impl_->usual[p].firings;
    Random random = Random::for_purpose(impl_->options.seed, "circuit-control " + impl_->places[p].hookpoint, draw);
    for (const std::uint32_t latent : selected[p]) {
      const auto own = firings.find(latent);
      const std::uint64_t wanted = own == firings.end() ? 0 : own->second;
      std::vector<std::pair<std::uint64_t, std::uint32_t>> near;  // distance, latent
      for (const auto& [other, count] : firings) {
        if (!selected[p].contains(other) && !chosen[p].contains(other))
          near.emplace_back(count > wanted ? count - wanted : wanted - count, other);
      }
      std::sort(near.begin(), near.end());
      near.resize(std::min(near.size(), kNearest));
      if (!near.empty()) chosen[p].insert(near[random.below(near.size())].second);
    }
  }
  return chosen;
}

Ablated Ablation::measure(const Selected& selected, Reporter& reporter) const {
  Ablated a;
  for (const std::set<std::uint32_t>& of : selected) a.latents += of.size();
  if (a.latents == 0) throw Error(ErrorKind::usage, "--ablate", "names no latent of these hookpoints");
  const Selected nothing(selected.size());
  a.full_of = metrics(nothing, false);
  a.without_of = metrics(selected, false);
  a.full = mean_of(a.full_of);
  a.without = mean_of(a.without_of);
  a.only = mean_of(metrics(selected, true));
  a.none = mean_of(metrics(nothing, true));
  for (std::uint32_t draw = 0; draw < impl_->options.controls; ++draw) {
    a.controls.push_back(mean_of(metrics(control(selected, draw), false)));
    reporter.progress({"controls", draw + 1, impl_->options.controls, "draws", ""});
  }
  return a;
}

}  // namespace gloss::circuit
