#pragma once
/// Which beginnings several token sequences share, as the order in which to read them. Knows nothing of models.
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "gloss/base/ids.h"

namespace gloss::llm {

/// One stretch of tokens to read: [begin, end) of a text, on after what `parent` read.
struct ReadStep {
  std::size_t text = 0;  // whose tokens these are; those of all texts that go on from here are the same
  std::uint32_t begin = 0, end = 0;
  static constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();
  std::size_t parent = kNone;  // index of a step before this one; none: begin is 0
  std::uint32_t level = 0;     // steps above it
  bool shared = false;         // two or more texts go on from its end; else it ends its text
  bool is_known = false;       // a text that was read before begins with all of this
};

/// A tree of steps that reads every text, each stretch that two or more share only once; parents come before their
/// children. A shared stretch is a step of its own from `worth` tokens on: shorter ones are read by each. The last
/// token of a text is never part of a shared step, so that every text ends in a step of its own. Texts of which `known`
/// says yes were read before: no step ends them, and what others share with them is marked.
/// Requires: texts sorted by their tokens, none empty.
std::vector<ReadStep> plan_reading(std::span<const std::span<const TokenId>> texts, const std::vector<bool>& known,
                                   std::uint32_t worth);

}  // namespace gloss::llm
