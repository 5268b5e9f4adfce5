#pragma once
/// The counting behind statistics.h, one latent at a time.
#include <cstdint>
#include <span>
#include <vector>

#include "gloss/index/statistics.h"

namespace gloss::index {

/// Firings of n that count as the strongest: ceil(0.8 n).
inline std::uint64_t strongest(std::uint64_t n) { return (4 * n + 4) / 5; }

/// Divides numbers of 32 bits by one divisor, which takes a multiplication each.
/// Source: Lemire, Kaser, Kurz 2019, "Faster remainder by direct computation", section 3: with 64 bits of fraction
/// exact.
class Divisor {
 public:
  /// Requires: divisor > 0.
  explicit Divisor(std::uint32_t divisor) : one_(divisor == 1), inverse_(~std::uint64_t{0} / divisor + 1) {}
  std::uint32_t quotient(std::uint32_t n) const { return one_ ? n : static_cast<std::uint32_t>(high(inverse_, n)); }
  bool divides(std::uint32_t n) const { return n * inverse_ <= inverse_ - 1; }

 private:
  /// (a * b) >> 64
  static std::uint64_t high(std::uint64_t a, std::uint32_t b) {
    return ((a >> 32) * b + (((a & 0xFFFFFFFFU) * b) >> 32)) >> 32;
  }

  bool one_;
  std::uint64_t inverse_;
};

/// What many latents share of the tokens.
struct TokenTables {
  std::span<const TokenId> tokens;
  std::span<const std::uint32_t> documents;
  std::uint32_t ctx_len = 1;
  std::uint32_t vocabulary = 0;              // V
  std::vector<std::uint64_t> offset_tokens;  // [ctx_len]: tokens at each offset that are in the index
};

/// Counts one latent after another in work memory that is made once: a table of the vocabulary, one of a context, and
/// 16 bytes for each firing of a part of a latent's.
class LatentCounter {
 public:
  explicit LatentCounter(const TokenTables& tables);

  /// Everything but what the index says itself (cached, special_count, sum, max). Adds to offset_firings [ctx_len].
  /// Errors: bad_input: a position that is no token.
  LatentStatistics count(const Firings& firings, std::span<std::uint64_t> offset_firings);

 private:
  void count_offsets_and_documents(std::span<const std::uint32_t> positions, std::span<std::uint64_t> offset_firings,
                                   LatentStatistics& out);
  double information();
  template <class Key>
  void count_tokens(std::span<const std::uint32_t> positions, std::span<const Key> keys, LatentStatistics& out);
  void add_tokens(std::span<const std::uint32_t> tokens, std::vector<std::uint32_t>& count,
                  std::vector<std::uint32_t>& seen);
  static TokenList take_list(std::vector<std::uint32_t>& count, std::vector<std::uint32_t>& seen);

  const TokenTables& tables_;
  Divisor ctx_len_;
  double offsets_used_ = 0.0;                             // those with indexed tokens
  std::vector<std::uint32_t> offset_count_;               // [ctx_len]
  std::vector<std::uint64_t> offset_seen_;                // a bit for each offset whose count is not 0
  std::vector<std::uint32_t> offsets_;                    // those, ascending
  std::vector<std::uint32_t> token_count_, tokens_;       // [V + 1], the last for no token; those that are not 0
  std::vector<std::uint32_t> previous_count_, previous_;  // the same of the tokens before
  std::vector<std::uint32_t> strong_, ids_;  // of a part of the firings: where the strongest are; their tokens
};

}  // namespace gloss::index
