#include "gloss/examples/negatives.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/examples/semantic_pool.h"

namespace gloss::examples {
namespace {

constexpr std::uint64_t kFewSilent = 8;          // fewer than 1/8 of all windows silent: list them instead of guessing
constexpr std::uint64_t kGuessesPerWindow = 64;  // then list them
constexpr std::uint32_t kMostOfOneNeighbour = 10;
constexpr std::array<std::string_view, 4> kNegatives{"random", "neighbours", "semantic", "mixed"};
constexpr std::array<std::string_view, 5> kKinds{"activating", "random", "neighbours", "semantic", "written"};

}  // namespace

std::string_view name_of(WindowKind kind) { return kKinds.at(static_cast<std::size_t>(kind)); }

std::string_view name_of(Negatives negatives) { return kNegatives.at(static_cast<std::size_t>(negatives)); }

Negatives parse_negatives(std::string_view name) {
  for (std::size_t i = 0; i < kNegatives.size(); ++i) {
    if (kNegatives[i] == name) return static_cast<Negatives>(i);
  }
  const std::vector<std::string> known(kNegatives.begin(), kNegatives.end());
  fail_unknown_name("kind of negatives", name, known);
}

/// A neighbour's activating windows that may be taken; the strongest is on top of the heap, of equal ones the first.
struct SilentSampler::Candidates {
  struct Entry {
    std::uint32_t max_bits, start;
    bool operator<(const Entry& other) const {
      return std::pair(max_bits, other.start) < std::pair(other.max_bits, start);
    }
  };
  LatentId latent;
  std::uint8_t rank;
  float similarity;
  std::vector<Entry> heap;
  std::uint32_t given = 0;
};

SilentSampler::SilentSampler(const index::Reader& reader, DocumentSides& sides, std::uint32_t window)
    : reader_(reader),
      sides_(sides),
      window_(window),
      window_count_(reader.token_count() / window),
      splitter_(sides, reader.ctx_len()),
      occupied_(window_count_),
      taken_(window_count_),
      other_(reader, window) {}

void SilentSampler::begin(std::span<const Active> active) {
  out_.reserve(active.size());
  for (const Active& a : active) put_out(a.start / window_);
  silent_count_ = window_count_ - active.size();
}

void SilentSampler::end() {
  for (const std::uint32_t number : out_) {
    occupied_.erase(number);
    taken_.erase(number);
  }
  out_.clear();
}

void SilentSampler::put_out(std::uint32_t number) {
  occupied_.insert(number);
  out_.push_back(number);
}

void SilentSampler::keep_out(std::uint32_t start) {
  for (const std::uint32_t number : {start / window_, (start + window_ - 1) / window_}) {
    if (!occupied_.contains(number)) put_out(number);
  }
}

bool SilentSampler::may_take(std::uint32_t start, Side side) const {
  return !occupied_.contains(start / window_) && sides_.allows(start / reader_.ctx_len(), side);
}

bool SilentSampler::take(std::uint32_t start, Side side) {
  if (!may_take(start, side)) return false;
  put_out(start / window_);
  taken_.insert(start / window_);
  sides_.assign(start / reader_.ctx_len(), side);
  return true;
}

Window SilentSampler::make(std::uint32_t start, WindowKind kind) const {
  Window result;
  result.start = start;
  result.kind = kind;
  result.activation.resize(window_);
  return result;
}

bool SilentSampler::worth_guessing(std::uint64_t wanted) const {
  return silent_count_ >= window_count_ / kFewSilent && silent_count_ >= kFewSilent * wanted;
}

void SilentSampler::list_left() {
  occupied_.list_missing(listed_);
  for (std::uint32_t& number : listed_) number *= window_;
}

/// By guessing where most windows are silent, else from a list.
void SilentSampler::draw_random(Counts wanted, Random& random, std::vector<Pick>& picks) {
  Counts missing = wanted;
  if (worth_guessing(wanted.explain + wanted.test)) guess(missing, random, picks);
  if (missing.explain + missing.test == 0) return;
  list_left();
  Pool pool{listed_, missing, 0};
  for (const Pick& pick : splitter_.draw(std::span(&pool, 1), random)) {
    put_out(pick.start / window_);
    taken_.insert(pick.start / window_);
    picks.push_back(pick);
  }
}

void SilentSampler::draw_random(Side side, std::uint64_t wanted, Random& random, std::vector<Pick>& picks) {
  if (worth_guessing(wanted)) {
    std::uint64_t guesses = kGuessesPerWindow * wanted;
    while (wanted > 0 && guess_one(side, guesses, random, picks)) --wanted;
  }
  if (wanted == 0) return;
  list_left();
  for (std::size_t i = 0; i < listed_.size() && wanted > 0; ++i) {
    std::swap(listed_[i], listed_[i + random.below(listed_.size() - i)]);
    if (!take(listed_[i], side)) continue;
    picks.push_back({listed_[i], side, 0});
    --wanted;
  }
}

/// In turn, so that neither side takes the documents that the other needs.
void SilentSampler::guess(Counts& missing, Random& random, std::vector<Pick>& picks) {
  std::uint64_t guesses = kGuessesPerWindow * (missing.explain + missing.test);
  while (missing.explain + missing.test > 0) {
    const Side side = missing.test >= missing.explain ? Side::test : Side::explain;
    if (!guess_one(side, guesses, random, picks)) return;
    --missing.of(side);
  }
}

bool SilentSampler::guess_one(Side side, std::uint64_t& guesses, Random& random, std::vector<Pick>& picks) {
  for (; guesses > 0; --guesses) {
    const auto start = static_cast<std::uint32_t>(random.below(window_count_)) * window_;
    if (!take(start, side)) continue;
    picks.push_back({start, side, 0});
    return true;
  }
  return false;
}

SilentSampler::Candidates SilentSampler::candidates_of(const index::WeightEntry& entry, std::uint8_t rank, Side side) {
  Candidates found{LatentId{entry.id}, rank, entry.value, {}};
  other_.find(found.latent);
  for (const Active& a : other_.windows()) {
    if (may_take(a.start, side)) found.heap.push_back({a.max_bits, a.start});
  }
  std::make_heap(found.heap.begin(), found.heap.end());
  return found;
}

std::vector<Window> SilentSampler::draw_neighbours(const NeighbourSource& source, LatentId latent, Side side,
                                                   std::uint64_t wanted) {
  std::vector<Window> drawn;
  if (wanted == 0) return drawn;
  std::vector<Candidates> neighbours;
  for (const index::WeightEntry& entry : source.weights.entries(source.list, latent))
    neighbours.push_back(candidates_of(entry, static_cast<std::uint8_t>(neighbours.size() + 1), side));
  const auto take_next = [&](Candidates& from) {
    while (!from.heap.empty() && from.given < kMostOfOneNeighbour) {
      std::pop_heap(from.heap.begin(), from.heap.end());
      const std::uint32_t start = from.heap.back().start;
      from.heap.pop_back();
      if (!take(start, side)) continue;
      ++from.given;
      Window window = make(start, WindowKind::silent_neighbour);
      window.similarity = from.similarity;
      window.neighbour = {from.latent, from.rank, activations_in(reader_.firings(from.latent), start, window_)};
      drawn.push_back(std::move(window));
      return true;
    }
    return false;
  };
  for (bool any = true; any;) {
    any = false;
    for (Candidates& from : neighbours) {
      if (drawn.size() == wanted) return drawn;
      any |= take_next(from);
    }
  }
  return drawn;
}

std::vector<Window> SilentSampler::draw_semantic(const SemanticPool& pool, std::span<const Window> near, Side side,
                                                 std::uint64_t wanted) {
  std::vector<std::uint32_t> queries;
  queries.reserve(near.size());
  for (const Window& w : near) queries.push_back(w.start);
  std::vector<Window> drawn;
  for (const auto& [start, cosine] :
       pool.nearest(queries, wanted, [&](std::uint32_t candidate) { return take(candidate, side); })) {
    drawn.push_back(make(start, WindowKind::silent_semantic));
    drawn.back().similarity = cosine;
  }
  return drawn;
}

}  // namespace gloss::examples
