#pragma once
/// What the parts of a sharded cache say of themselves, in the metadata of their indexes.

namespace gloss::app {

inline constexpr const char* kShardKey = "shard";                         // "2/8"
inline constexpr const char* kShardActivationsKey = "shard_activations";  // what --activations asked for

}  // namespace gloss::app
