#pragma once
/// The windows of one latent in which it fires, as contexts are cut into windows or centred on their strongest token.
/// Method: docs/methods.md 2.
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "gloss/examples/examples.h"
#include "gloss/index/reader.h"

namespace gloss::examples {

/// An activating window.
struct Active {
  std::uint32_t start;     // position of its first token
  std::uint32_t first;     // its first firing, among the latent's
  std::uint32_t max_bits;  // of its largest activation, as stored; ordered as the values are
};

/// Finds them, for one latent after another; keeps work memory.
class ActiveWindows {
 public:
  /// Requires: `window` divides the contexts.
  ActiveWindows(index::Reader reader, std::uint32_t window) : reader_(std::move(reader)), window_(window) {}

  /// Windows as contexts are cut, in token order. From here on the latent's positions are known to be ascending and
  /// below token_count. Errors: bad_input when the index is damaged.
  void find(LatentId latent);
  /// Replaces what find() found: around the strongest token of each window (the first of equal ones), which comes to
  /// stand at center_offset(W) of a window of the same context, moved as little as needed to stay inside it. Strongest
  /// first, ties by position, those that overlap one taken before are dropped; maxima are those of the new windows.
  void center();

  std::span<const Active> windows() const { return active_; }
  const index::Firings& firings() const { return firings_; }
  /// Starts by largest activation descending, ties by position ascending.
  void rank(std::vector<std::uint32_t>& starts);
  /// The window at `start`, with the activation of every token; kind activating. Requires: one of windows().
  Window make(std::uint32_t start, std::uint8_t quantile) const;

 private:
  template <class T>
  void scan(std::span<const T> activation, LatentId latent);
  void sort_by_strength();
  void place_around_strongest();
  void drop_overlapping();
  void measure();
  std::uint32_t bits(std::size_t firing) const;

  index::Reader reader_;
  std::uint32_t window_;
  index::Firings firings_;
  std::vector<Active> active_;
  std::vector<std::uint64_t> keys_, scratch_;  // (strength, number) of each window, strongest first
  std::vector<std::uint8_t> taken_;
};

/// A latent's activations at `window` tokens from `start` on, 0 where it is silent. Requires: positions ascending.
std::vector<float> activations_in(const index::Firings& firings, std::uint32_t start, std::uint32_t window);

/// Where the strongest token of a centred window of W tokens stands: 24 of 32.
constexpr std::uint32_t center_offset(std::uint32_t window) {
  const std::uint32_t offset = window - window / 4;
  return offset < window ? offset : window - 1;
}

}  // namespace gloss::examples
