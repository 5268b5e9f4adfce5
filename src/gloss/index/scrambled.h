#pragma once
/// The check that a latent fires at a token whatever stands around it: texts of random tokens with that token in one
/// place, which model and coder are run on. Only what the texts are, and what is counted; docs/methods.md 13.
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "gloss/base/ids.h"
#include "gloss/index/statistics.h"

namespace gloss::index {

inline constexpr std::uint32_t kScrambledTokens = 20;  // of a text
inline constexpr std::uint32_t kScrambledTexts = 2;    // with one token

/// Where the token stands. A latent is looked for at the last token in either case.
enum class ScrambledPlace : std::uint8_t { last, before_last };

/// Text `number` with `token`: kScrambledTokens ids, the others drawn from `ordinary` with replacement. The same for
/// all latents. Requires: `ordinary` is not empty.
std::vector<TokenId> scrambled_text(std::uint64_t seed, ScrambledPlace place, TokenId token, std::uint32_t number,
                                    std::span<const TokenId> ordinary);

/// Which latents fire in a text.
struct ScrambledFirings {
  std::vector<std::uint32_t> last, anywhere;  // at its last token; at any, in any order, also more than once
};

/// How often each of several latents fires in the texts of its own tokens.
class ScrambledTally {
 public:
  /// The latent's listed tokens are checked; where it fires at the first token of a context there is no token before.
  void add_latent(LatentId latent, const TokenList& list);
  /// Tokens of any latent, ascending, each once.
  std::vector<TokenId> tokens() const;
  /// Counts a text with `token`.
  void add_text(TokenId token, const ScrambledFirings& fired);

  /// Shares of the texts with its tokens, 0 to 1.
  struct Share {
    LatentId latent{};
    std::uint32_t texts = 0;
    double last = 0.0, anywhere = 0.0;
  };
  /// Latents with any text, ascending.
  std::vector<Share> shares() const;

 private:
  struct Count {
    std::uint32_t texts = 0, last = 0, anywhere = 0;
  };
  std::map<std::uint32_t, std::vector<std::uint32_t>> latents_of_;  // by token
  std::map<std::uint32_t, Count> count_;                            // by latent
};

}  // namespace gloss::index
