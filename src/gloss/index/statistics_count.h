#pragma once
/// The counting behind statistics.h, one latent at a time.
#include <cstdint>
#include <span>
#include <vector>

#include "gloss/index/statistics.h"

namespace gloss::index {

/// Firings of n that count as the strongest: ceil(0.8 n).
inline std::uint64_t strongest(std::uint64_t n) { return (4 * n + 4) / 5; }

/// What many latents share of the tokens.
struct TokenTables {
  std::span<const TokenId> tokens;
  std::span<const std::uint32_t> documents;
  std::uint32_t ctx_len = 1;
  std::uint32_t vocabulary = 0;              // V
  std::vector<std::uint64_t> offset_tokens;  // [ctx_len]: tokens at each offset that are in the index
};

/// Counts one latent after another in work memory that is made once: a table of the vocabulary and one of a context.
class LatentCounter {
 public:
  explicit LatentCounter(const TokenTables& tables);

  /// Everything but what the index says itself (cached, special_count, sum, max). Adds to offset_firings [ctx_len].
  /// Errors: bad_input: a position that is no token.
  LatentStatistics count(const Firings& firings, std::span<std::uint64_t> offset_firings);

 private:
  template <class Key>
  void count_tokens(const Firings& firings, std::span<const Key> keys, LatentStatistics& out);
  void count_offsets_and_documents(const Firings& firings, std::span<std::uint64_t> offset_firings,
                                   LatentStatistics& out);
  double information(std::uint64_t count);
  void add_token(std::uint32_t token);
  TokenList take_list();

  const TokenTables& tables_;
  std::vector<std::uint32_t> offset_count_, offsets_;  // [ctx_len]; those that are not 0
  std::vector<std::uint32_t> token_count_, seen_;      // [V + 1], the last for no token; those that are not 0
  std::vector<std::uint32_t> work_;
};

}  // namespace gloss::index
