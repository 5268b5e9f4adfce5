#pragma once
/// Which windows show what a latent does: those an explainer sees, those a scorer judges, and silent ones.
/// Methods: docs/methods.md 2 and 3. Text is made later; here are only positions and activations.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gloss/base/ids.h"
#include "gloss/index/reader.h"
#include "gloss/text/token_file.h"

namespace gloss::examples {

enum class WindowKind : std::uint8_t { activating = 0, silent_random = 1 };

/// W tokens of one context, beginning at position `start` (context * ctx_len + offset).
struct Window {
  std::uint32_t start = 0;
  WindowKind kind = WindowKind::activating;
  std::uint8_t quantile = 0;      // 1 (weakest) .. Q (nearest the maximum); 0 for silent windows
  float max = 0.0F;               // largest activation in it
  std::vector<float> activation;  // [W], 0 where the latent is silent
};

struct Options {
  std::uint32_t window = 32;       // W; divides ctx_len
  std::uint32_t quantiles = 10;    // Q
  std::uint32_t explain = 40;      // activating windows for explaining, over all quantiles
  std::uint32_t test = 70;         // activating windows for testing: per decile 5 for detection, 7 for fuzzing
  std::uint32_t silent = 50;       // silent windows for each of explain and test
  std::uint32_t min_windows = 20;  // fewer activating windows than that: too rare
  bool split_documents = true;     // no document serves both splits
  std::uint64_t seed = 1;
};

enum class Status : std::uint8_t { ok, too_rare, dead };
std::string_view name_of(Status status);

/// The windows of one latent. Splits are disjoint by window, and by document when `documents_disjoint`. Order within
/// each is random. Fewer silent windows than asked for: there are no more (that the documents allow).
struct LatentExamples {
  LatentId latent{};
  Status status = Status::ok;
  float max_activation = 0.0F;     // M, over the whole cache
  std::uint64_t firing_count = 0;  // tokens at which it fires
  std::uint32_t window_count = 0;  // activating windows in all
  std::uint64_t silent_count = 0;  // silent windows in all
  /// No document serves both explain or explain_silent and test or test_silent. False when not asked for, and when
  /// asked for in vain: one document holds so many of the windows that one split would have none, so windows were split
  /// instead.
  bool documents_disjoint = false;
  std::vector<Window> explain, test;
  std::vector<Window> explain_silent, test_silent;
};

/// Makes the examples of one latent after another; keeps work memory. One object per thread.
class Builder {
 public:
  /// Lifetime: `reader` and `tokens` are handles, kept as copies. Errors: usage when W does not divide ctx_len;
  /// bad_input when index and tokens disagree.
  Builder(index::Reader reader, text::TokenFile tokens, Options options);
  ~Builder();
  Builder(Builder&&) noexcept;
  Builder& operator=(Builder&&) noexcept;

  /// Deterministic in (seed, hookpoint, latent) alone. Too rare or dead: no windows, the counts are still given.
  /// Requires: latent below the index's latent count.
  /// Errors: bad_input when firings of this latent are out of order or of range (the index is damaged).
  LatentExamples build(LatentId latent);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Whether token i of the window is marked: a > 0 and a >= tau * window maximum (docs/methods.md, notation).
inline bool is_marked(const Window& w, std::size_t i, float tau) {
  return w.activation[i] > 0.0F && w.activation[i] >= tau * w.max;
}

/// Which latents a command works on: `0-99,512`, `random:300`, `all`, `file:LIST.csv` (hookpoint,latent a line).
class LatentSpec {
 public:
  /// Errors: usage when it cannot be read (says where), bad_input for the file.
  static LatentSpec parse(std::string_view spec);
  /// The latents of one hookpoint, ascending. `random:n` draws n of those for which `eligible` holds (alive, enough
  /// windows). Errors: usage when a number is not below `latent_count`.
  std::vector<LatentId> select(std::string_view hookpoint, std::uint32_t latent_count, std::uint64_t seed,
                               const std::vector<bool>& eligible) const;

 private:
  struct Range {
    std::uint32_t first, last;
  };
  bool all_ = false;
  std::uint64_t random_ = 0;
  std::vector<Range> ranges_;
  std::vector<std::pair<std::string, std::uint32_t>> listed_;
  std::string text_;
};

}  // namespace gloss::examples
