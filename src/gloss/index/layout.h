#pragma once
/// The arrays of an activation index, and what its metadata say of it: docs/formats/activation-index.md.
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/formats/safetensors.h"

namespace gloss::index {

/// The arrays in the order of their bytes.
enum Array : std::size_t { kOffsets, kCount, kSpecial, kSum, kPositions, kMax, kActivations, kCached, kArrays };
inline constexpr std::array<std::string_view, kArrays> kArrayNames{"offsets",   "count", "special_count", "sum",
                                                                   "positions", "max",   "activations",   "cached"};
/// Arrays that version 1 did not have.
inline constexpr bool is_new(std::size_t array) { return array == kSpecial || array == kCached; }

/// What metadata 'format' says: the kind of file, and the version of its layout.
inline constexpr std::string_view kFormat = "gloss-index-2";
inline constexpr std::string_view kFirstFormat = "gloss-index-1";

/// Whether the writer sets this metadata key itself.
bool is_reserved_key(std::string_view key);

/// Names, types and shapes. `activation` is f16 or f32.
std::vector<formats::SafeTensorsWriter::Declared> declare_arrays(std::uint64_t latents, std::uint64_t firings,
                                                                 formats::Dtype activation);

}  // namespace gloss::index
