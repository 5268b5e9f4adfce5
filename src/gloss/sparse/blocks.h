#pragma once
/// Tasks of fixed size that threads share, so that what is summed within one does not depend on their number.
#include <algorithm>
#include <cstddef>

#include "gloss/base/parallel.h"

namespace gloss::sparse {

inline constexpr std::size_t kLatentsPerBlock = 64;

inline std::size_t block_count(std::size_t items, std::size_t per_block) { return (items + per_block - 1) / per_block; }

/// body(block, begin, end) for blocks of [0, items).
template <class Body>
void for_blocks(std::size_t items, std::size_t per_block, std::size_t threads, const Body& body) {
  parallel_for(block_count(items, per_block), threads, [&](std::size_t block, std::size_t) {
    body(block, block * per_block, std::min(items, (block + 1) * per_block));
  });
}

}  // namespace gloss::sparse
