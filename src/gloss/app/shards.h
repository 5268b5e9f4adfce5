#pragma once
/// How a sharded cache is cut, and what its parts say of themselves in the metadata of their indexes.
#include <algorithm>
#include <cstdint>

namespace gloss::app {

inline constexpr const char* kShardKey = "shard";                         // "2/8"
inline constexpr const char* kShardActivationsKey = "shard_activations";  // what --activations asked for
inline constexpr const char* kShardBatchKey = "shard_batch";              // contexts; parts of an older gloss: 1

/// Batches of `batch` contexts, the last one perhaps shorter.
inline std::uint64_t batches_of(std::uint64_t contexts, std::uint64_t batch) { return (contexts + batch - 1) / batch; }

/// The context at which part `number` of `count` ends and the next one begins; 0 of number 0. Parts are cut between
/// batches: the last bits of a matrix product may depend on where in it a row stands, and so every context stands where
/// it stands in an uncut run.
inline std::uint64_t shard_end(std::uint64_t contexts, std::uint64_t batch, std::uint64_t number, std::uint64_t count) {
  return std::min(contexts, batches_of(contexts, batch) * number / count * batch);
}

}  // namespace gloss::app
