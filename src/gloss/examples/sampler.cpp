#include "gloss/examples/sampler.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <string>
#include <utility>

#include "gloss/base/error.h"

namespace gloss::examples {
namespace {

constexpr std::array<std::string_view, 5> kSamplers{"quantiles", "top", "top-n", "random", "mixture"};

/// Of `total` windows wanted from `groups` quantiles, those wanted from the k-th.
std::uint64_t share(std::uint64_t total, std::uint64_t k, std::uint64_t groups) {
  return (k + 1) * total / groups - k * total / groups;
}

}  // namespace

std::string_view name_of(Sampler sampler) { return kSamplers.at(static_cast<std::size_t>(sampler)); }

Sampler parse_sampler(std::string_view name) {
  for (std::size_t i = 0; i < kSamplers.size(); ++i) {
    if (kSamplers[i] == name) return static_cast<Sampler>(i);
  }
  const std::vector<std::string> known(kSamplers.begin(), kSamplers.end());
  fail_unknown_name("sampler", name, known);
}

/// Rank r of n has quantile Q - floor(r Q / n): group k = 0 .. Q-1 holds the ranks from ceil(k n / Q) on.
void ActivatingSampler::make_quantiles(std::span<std::uint32_t> ranked) {
  quantiles_.clear();
  const std::uint64_t n = ranked.size();
  const std::uint64_t groups = options_.quantiles;
  for (std::uint64_t k = 0; k < groups; ++k) {
    const std::uint64_t begin = (k * n + groups - 1) / groups;
    const std::uint64_t end = ((k + 1) * n + groups - 1) / groups;
    quantiles_.push_back({ranked.subspan(begin, end - begin),
                          {share(options_.explain, k, groups), share(options_.test, k, groups)},
                          static_cast<std::uint8_t>(groups - k)});
  }
}

std::uint8_t ActivatingSampler::quantile_of(std::uint64_t rank) const {
  return static_cast<std::uint8_t>(options_.quantiles - rank * options_.quantiles / strongest_.size());
}

std::span<const Pick> ActivatingSampler::draw(std::span<std::uint32_t> ranked, Random& random) {
  if (options_.sampler != Sampler::quantiles) strongest_.assign(ranked.begin(), ranked.end());
  make_quantiles(ranked);
  const std::span<const Pick> drawn = splitter_.draw(quantiles_, random);
  picks_.assign(drawn.begin(), drawn.end());
  empty_side_ = splitter_.left_a_side_empty();
  if (options_.sampler != Sampler::quantiles && !empty_side_) draw_explain(random);
  return picks_;
}

/// In place of what the quantiles gave explain; their documents are free again.
void ActivatingSampler::draw_explain(Random& random) {
  const bool some = std::any_of(picks_.begin(), picks_.end(), [](const Pick& p) { return p.side == Side::explain; });
  std::erase_if(picks_, [](const Pick& p) { return p.side == Side::explain; });
  sides_.undo(0);
  for (const Pick& pick : picks_) sides_.assign(pick.start / ctx_len_, pick.side);
  const std::size_t tested = picks_.size();
  mark_chosen(true);
  const std::uint64_t count = options_.explain;
  switch (options_.sampler) {
    case Sampler::quantiles:
      break;
    case Sampler::top:
      take_top(count);
      break;
    case Sampler::top_n:
      take_random(options_.top_n, count, random);
      break;
    case Sampler::random:
      take_random(strongest_.size(), count, random);
      break;
    case Sampler::mixture:
      take_random(options_.top_n, count - count / 2, random);
      take_random(strongest_.size(), count / 2, random);
      break;
  }
  mark_chosen(false);
  empty_side_ = some && picks_.size() == tested;
}

void ActivatingSampler::take_top(std::uint64_t count) {
  for (std::uint64_t rank = 0; rank < strongest_.size() && count > 0; ++rank) count -= take_rank(rank) ? 1 : 0;
}

/// Of the `first_ranks` strongest, in random order.
void ActivatingSampler::take_random(std::uint64_t first_ranks, std::uint64_t count, Random& random) {
  order_.resize(std::min<std::uint64_t>(first_ranks, strongest_.size()));
  std::iota(order_.begin(), order_.end(), 0U);
  for (std::size_t i = 0; i < order_.size() && count > 0; ++i) {
    std::swap(order_[i], order_[i + random.below(order_.size() - i)]);
    count -= take_rank(order_[i]) ? 1 : 0;
  }
}

bool ActivatingSampler::take_rank(std::uint64_t rank) {
  const std::uint32_t start = strongest_[rank];
  if (!may_take(start, Side::explain)) return false;
  chosen_.insert(start / options_.window);
  sides_.assign(start / ctx_len_, Side::explain);
  picks_.push_back({start, Side::explain, quantile_of(rank)});
  return true;
}

bool ActivatingSampler::may_take(std::uint32_t start, Side side) const {
  return !chosen_.contains(start / options_.window) && sides_.allows(start / ctx_len_, side);
}

void ActivatingSampler::mark_chosen(bool on) {
  for (const Pick& pick : picks_) {
    const std::uint32_t window = pick.start / options_.window;
    on ? chosen_.insert(window) : chosen_.erase(window);
  }
}

/// Equally from all quantiles; where documents or the other splits leave a quantile less, it gives less.
std::span<const Pick> ActivatingSampler::draw_refine(const Marks& silent, Random& random) {
  const auto touches_silent = [&](std::uint32_t start) {
    return silent.contains(start / options_.window) || silent.contains((start + options_.window - 1) / options_.window);
  };
  refine_.clear();
  mark_chosen(true);
  for (std::size_t k = 0; k < quantiles_.size(); ++k) {
    const std::span<std::uint32_t> windows = quantiles_[k].windows;
    std::uint64_t wanted = share(options_.refine, k, options_.quantiles);
    for (std::size_t i = 0; i < windows.size() && wanted > 0; ++i) {
      std::swap(windows[i], windows[i + random.below(windows.size() - i)]);
      if (!may_take(windows[i], Side::refine) || touches_silent(windows[i])) continue;
      sides_.assign(windows[i] / ctx_len_, Side::refine);
      refine_.push_back({windows[i], Side::refine, quantiles_[k].quantile});
      --wanted;
    }
  }
  mark_chosen(false);
  return refine_;
}

}  // namespace gloss::examples
