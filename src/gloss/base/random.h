#pragma once
/// Random choices that depend on what they are for, and on nothing else: not on threads, order or neighbours.
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "gloss/base/ids.h"

namespace gloss {

/// Counter-based generator: the n-th number of a key is Philox4x32-10(counter n, key).
/// Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
class Random {
 public:
  explicit Random(std::uint64_t key) : key_(key) {}
  /// The stream of one choice: `purpose` names it ("explain", "fuzz-marks", ...); `extra` tells repeated ones apart.
  static Random for_latent(std::uint64_t seed, std::string_view hookpoint, LatentId latent, std::string_view purpose,
                           std::uint64_t extra = 0);
  /// The stream of a choice that belongs to no latent.
  static Random for_purpose(std::uint64_t seed, std::string_view purpose, std::uint64_t extra = 0);

  std::uint64_t next_u64();
  /// Uniform in [0, n), without bias. Requires: n > 0.
  std::uint64_t below(std::uint64_t n);
  /// Uniform in [0, 1), 53 bits.
  double uniform();
  /// Standard normal (Box-Muller).
  double normal();

  template <class T>
  void shuffle(std::span<T> items) {
    for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(i)]);
  }
  /// `count` different numbers of [0, n) in random order; all n of them when count >= n.
  std::vector<std::uint64_t> sample(std::uint64_t n, std::uint64_t count);

 private:
  std::uint64_t key_;
  std::uint64_t counter_ = 0;
  std::uint64_t spare_ = 0;
  bool has_spare_ = false;
};

}  // namespace gloss
