#pragma once
/// Where the arrays of an activation index lie in its file, and the header that says so:
/// docs/formats/activation-index.md.
#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "gloss/formats/safetensors.h"

namespace gloss::index {

/// The arrays in the order of their bytes.
enum Array : std::size_t { kOffsets, kCount, kSum, kPositions, kMax, kActivations, kArrays };
inline constexpr std::array<std::string_view, kArrays> kArrayNames{"offsets",   "count", "sum",
                                                                   "positions", "max",   "activations"};
/// What metadata 'format' says: the kind of file, and the version of its layout.
inline constexpr std::string_view kFormat = "gloss-index-1";

/// "xxh3.offsets".
std::string checksum_key(Array array);
/// Whether the writer sets this metadata key itself.
bool is_reserved_key(std::string_view key);

class Layout {
 public:
  /// `activation` is f16 or f32.
  Layout(std::uint64_t latents, std::uint64_t firings, formats::Dtype activation);

  std::uint64_t data_bytes() const { return data_bytes_; }
  /// From the begin of the data, that is from the end of the header.
  std::uint64_t begin(Array array) const { return begin_.at(array); }
  /// A safetensors header of a multiple of 64 bytes. Its size depends on the lengths of keys and values only.
  /// Source: huggingface/safetensors README, "Format".
  std::string header(const std::map<std::string, std::string>& metadata) const;

 private:
  std::array<std::uint64_t, kArrays> begin_{}, length_{};
  std::array<formats::Dtype, kArrays> dtype_{};
  std::uint64_t data_bytes_ = 0;
};

}  // namespace gloss::index
