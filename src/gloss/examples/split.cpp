#include "gloss/examples/split.h"

#include <algorithm>
#include <utility>

namespace gloss::examples {
namespace {

constexpr int kAttempts = 8;              // the first in plain random order, the others frugal with documents
constexpr std::size_t kLookAhead = 2048;  // windows among which a frugal attempt seeks the cheapest
constexpr std::array<Side, 2> kSides{Side::explain, Side::test};

void shuffle_up_to(std::span<std::uint32_t> items, std::size_t& shuffled, std::size_t end, Random& random) {
  for (; shuffled < end; ++shuffled)
    std::swap(items[shuffled], items[shuffled + random.below(items.size() - shuffled)]);
}

/// (i + 1/2) / n, scaled: where the i-th of n lies among all.
std::uint64_t middle(std::uint64_t i, std::uint64_t n) { return ((2 * i + 1) << 32) / n; }

}  // namespace

Counts split_counts(std::uint64_t available, Counts wanted) {
  const std::uint64_t both = wanted.explain + wanted.test;
  if (available >= both) return wanted;
  if (available == 0) return {};
  const std::uint64_t share = std::max<std::uint64_t>(1, available * wanted.test / both);
  const std::uint64_t test = std::min(wanted.test, share);
  return {available - test, test};
}

DocumentSides::DocumentSides(const text::TokenFile& tokens) {
  const std::uint32_t contexts = tokens.context_count();
  document_.reserve(std::size_t{contexts} + 1);
  for (std::uint32_t c = 0; c < contexts; ++c) {
    if (c == 0 || tokens.document(c) != tokens.document(c - 1)) ++document_count_;
    document_.push_back(document_count_ - 1);
  }
  // What begins within the last context is in no other one.
  document_.push_back(document_.empty() ? 0 : document_.back());
  side_.assign(document_count_, kFree);
}

void DocumentSides::undo(std::size_t mark) {
  for (; assigned_.size() > mark; assigned_.pop_back()) side_[assigned_.back()] = kFree;
}

bool DocumentSides::allows(std::uint32_t context, Side side) const {
  if (!on_) return true;
  const auto may_serve = [&](std::uint32_t document) {
    return side_[document] == kFree || side_[document] == static_cast<std::uint8_t>(side);
  };
  return may_serve(document_[context]) && may_serve(document_[context + 1]);
}

unsigned DocumentSides::cost(std::uint32_t context) const {
  if (!on_) return 0;
  const std::uint32_t first = document_[context];
  const std::uint32_t last = document_[context + 1];
  return (side_[first] == kFree ? 1U : 0U) + (last != first && side_[last] == kFree ? 1U : 0U);
}

void DocumentSides::assign_document(std::uint32_t document, Side side) {
  if (side_[document] != kFree) return;
  side_[document] = static_cast<std::uint8_t>(side);
  assigned_.push_back(document);
}

void DocumentSides::assign(std::uint32_t context, Side side) {
  if (!on_) return;
  assign_document(document_[context], side);
  assign_document(document_[context + 1], side);
}

std::span<const Pick> Splitter::draw(std::span<Pool> pools, Random& random) {
  const std::size_t mark = sides_.mark();
  make_slots(pools);
  for (int n = 0; n < kAttempts; ++n) {
    sides_.undo(mark);
    attempt(pools, n > 0, random);
    if (n == 0 || is_better()) std::swap(best_, trial_);
    if (best_.missed == 0) break;
  }
  sides_.undo(mark);
  for (const Pick& pick : best_.picks) sides_.assign(context_of(pick.start), pick.side);
  return best_.picks;
}

bool Splitter::is_better() const {
  if (best_.empty_side != trial_.empty_side) return best_.empty_side;
  if (best_.missed != trial_.missed) return trial_.missed < best_.missed;
  return trial_.picks.size() > best_.picks.size();
}

/// What each side is to take, in an order in which all pools advance evenly.
void Splitter::make_slots(std::span<const Pool> pools) {
  states_.resize(pools.size());
  for (std::size_t p = 0; p < pools.size(); ++p)
    states_[p].target = split_counts(pools[p].windows.size(), pools[p].wanted);
  for (const Side side : kSides) {
    std::vector<Slot>& slots = slots_of(side);
    slots.clear();
    for (std::uint32_t p = 0; p < pools.size(); ++p) {
      const std::uint64_t target = states_[p].target.of(side);
      for (std::uint64_t i = 0; i < target; ++i) slots.push_back({middle(i, target), p});
    }
    std::sort(slots.begin(), slots.end(),
              [](const Slot& a, const Slot& b) { return std::pair(a.order, a.pool) < std::pair(b.order, b.pool); });
  }
}

void Splitter::attempt(std::span<Pool> pools, bool frugal, Random& random) {
  trial_.picks.clear();
  trial_.missed = 0;
  for (State& state : states_) {
    state.taken = state.shuffled = 0;
    state.cursor = {};
    state.given = {};
  }
  take_in_turn(pools, frugal, random);
  if (trial_.missed > 0) {
    for (std::size_t p = 0; p < pools.size(); ++p) fill(pools[p], states_[p], random);
  }
  Counts target;
  Counts given;
  for (const State& state : states_) {
    for (const Side side : kSides) {
      target.of(side) += state.target.of(side);
      given.of(side) += state.given.of(side);
    }
  }
  trial_.empty_side = (target.explain > 0 && given.explain == 0) || (target.test > 0 && given.test == 0);
}

/// The side that is behind comes next, so that neither is left without documents. A slot that finds no window now never
/// will: the side goes on to its next.
void Splitter::take_in_turn(std::span<Pool> pools, bool frugal, Random& random) {
  std::array<std::size_t, 2> next{};
  std::array<std::uint64_t, 2> given{};
  const auto left = [&](Side side) { return next.at(number(side)) < slots_of(side).size(); };
  const auto progress = [&](Side side) { return middle(given.at(number(side)), slots_of(side).size()); };
  while (left(Side::explain) || left(Side::test)) {
    const bool test = left(Side::test) && (!left(Side::explain) || progress(Side::test) <= progress(Side::explain));
    const Side side = test ? Side::test : Side::explain;
    bool taken = false;
    while (!taken && left(side)) {
      const std::uint32_t p = slots_of(side)[next.at(number(side))++].pool;
      taken = take(pools[p], states_[p], side, frugal, random);
      if (!taken) ++trial_.missed;
    }
    if (taken) ++given.at(number(side));
  }
}

/// Where documents kept one side from its share, the other may have more, up to what was wanted.
void Splitter::fill(Pool& pool, State& state, Random& random) {
  for (const Side side : {Side::test, Side::explain}) {
    while (state.given.of(side) < pool.wanted.of(side) && take(pool, state, side, false, random)) {
    }
  }
}

bool Splitter::take(Pool& pool, State& state, Side side, bool frugal, Random& random) {
  std::size_t at = pool.windows.size();
  if (frugal) {
    shuffle_up_to(pool.windows, state.shuffled, std::min(state.taken + kLookAhead, pool.windows.size()), random);
    at = find_cheapest(pool, state, side);
  }
  if (at == pool.windows.size()) at = find_allowed(pool, state, side, random);
  if (at == pool.windows.size()) return false;
  const std::uint32_t start = pool.windows[at];
  std::swap(pool.windows[at], pool.windows[state.taken++]);
  ++state.given.of(side);
  sides_.assign(context_of(start), side);
  trial_.picks.push_back({start, side, pool.quantile});
  return true;
}

/// Of the next windows the one that commits the fewest further documents.
std::size_t Splitter::find_cheapest(const Pool& pool, const State& state, Side side) const {
  std::size_t best = pool.windows.size();
  unsigned best_cost = 3;
  for (std::size_t i = state.taken; i < state.shuffled && best_cost > 0; ++i) {
    const std::uint32_t context = context_of(pool.windows[i]);
    const unsigned cost = sides_.cost(context);
    if (cost >= best_cost || !sides_.allows(context, side)) continue;
    best = i;
    best_cost = cost;
  }
  return best;
}

/// The first window that may serve the side. What may not now may never, since documents do not change sides; windows
/// that take() moves are either before the cursor already or looked at again.
std::size_t Splitter::find_allowed(Pool& pool, State& state, Side side, Random& random) const {
  std::size_t& cursor = state.cursor.at(number(side));
  cursor = std::max(cursor, state.taken);
  for (; cursor < pool.windows.size(); ++cursor) {
    shuffle_up_to(pool.windows, state.shuffled, cursor + 1, random);
    if (sides_.allows(context_of(pool.windows[cursor]), side)) return cursor;
  }
  return cursor;
}

}  // namespace gloss::examples
