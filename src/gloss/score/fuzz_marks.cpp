#include "gloss/score/fuzz_marks.h"

#include <algorithm>
#include <functional>
#include <optional>

namespace gloss::score {
namespace {

bool is_silent(const examples::Window& w, std::size_t i) { return !(w.activation[i] > 0.0F); }

/// Whether `length` tokens from `begin` on may be marked: silent, not marked yet, and with `apart` beside no marked
/// one.
bool fits(const examples::Window& w, const std::vector<bool>& marked, std::size_t begin, std::size_t length,
          bool apart) {
  for (std::size_t i = begin; i < begin + length; ++i) {
    if (!is_silent(w, i) || marked[i]) return false;
  }
  const std::size_t end = begin + length;
  return !apart || ((begin == 0 || !marked[begin - 1]) && (end == marked.size() || !marked[end]));
}

std::optional<std::size_t> find_place(const examples::Window& w, const std::vector<bool>& marked, std::size_t length,
                                      Random& random) {
  for (const bool apart : {true, false}) {
    std::vector<std::size_t> places;
    for (std::size_t begin = 0; begin + length <= marked.size(); ++begin) {
      if (fits(w, marked, begin, length, apart)) places.push_back(begin);
    }
    if (!places.empty()) return places[random.below(places.size())];
  }
  return std::nullopt;
}

}  // namespace

std::vector<bool> right_marks(const examples::Window& w, float tau) {
  std::vector<bool> marked(w.activation.size());
  for (std::size_t i = 0; i < marked.size(); ++i) marked[i] = examples::is_marked(w, i, tau);
  return marked;
}

std::vector<bool> neighbour_marks(const examples::Window& w, float tau) {
  const std::vector<float>& activation = w.neighbour.activation;
  const float max = activation.empty() ? 0.0F : *std::max_element(activation.begin(), activation.end());
  std::vector<bool> marked(w.activation.size(), false);
  for (std::size_t i = 0; i < activation.size(); ++i) marked[i] = activation[i] > 0.0F && activation[i] >= tau * max;
  return marked;
}

std::size_t mean_marked(const examples::LatentExamples& examples, float tau) {
  std::size_t total = 0;
  for (const examples::Window& w : examples.test) {
    const std::vector<bool> marked = right_marks(w, tau);
    total += static_cast<std::size_t>(std::count(marked.begin(), marked.end(), true));
  }
  const std::size_t n = std::max<std::size_t>(1, examples.test.size());
  return std::max<std::size_t>(1, (2 * total + n) / (2 * n));
}

std::vector<const examples::Window*> windows_of(const examples::LatentExamples& examples, std::uint32_t quantile) {
  std::vector<const examples::Window*> found;
  for (const examples::Window& w : examples.test) {
    if (w.quantile == quantile) found.push_back(&w);
  }
  return found;
}

std::vector<std::size_t> run_lengths(const std::vector<bool>& marked) {
  std::vector<std::size_t> lengths;
  bool inside = false;
  for (const bool mark : marked) {
    if (mark && !inside) lengths.push_back(0);
    if (mark) ++lengths.back();
    inside = mark;
  }
  return lengths;
}

std::vector<bool> scattered_marks(const examples::Window& w, std::size_t count, Random random) {
  std::vector<std::size_t> silent;
  for (std::size_t i = 0; i < w.activation.size(); ++i) {
    if (is_silent(w, i)) silent.push_back(i);
  }
  std::vector<bool> marked(w.activation.size(), false);
  for (const std::uint64_t chosen : random.sample(silent.size(), count)) marked[silent[chosen]] = true;
  return marked;
}

std::vector<bool> matched_marks(const examples::Window& w, std::vector<std::size_t> lengths, Random random) {
  std::vector<bool> marked(w.activation.size(), false);
  std::sort(lengths.begin(), lengths.end());
  while (!lengths.empty()) {
    const std::size_t length = lengths.back();
    lengths.pop_back();
    if (length == 0) continue;
    if (const std::optional<std::size_t> place = find_place(w, marked, length, random)) {
      std::fill_n(marked.begin() + static_cast<std::ptrdiff_t>(*place), length, true);
    } else if (length > 1) {
      for (const std::size_t part : {length / 2, length - length / 2})
        lengths.insert(std::upper_bound(lengths.begin(), lengths.end(), part), part);
    }
  }
  return marked;
}

}  // namespace gloss::score
