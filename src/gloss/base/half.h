#pragma once
/// IEEE 754 binary16 and bfloat16 as stored on disk, and exact conversion to and from f32.
#include <bit>
#include <cstdint>

namespace gloss {

/// Largest finite f16.
inline constexpr float kHalfMax = 65504.0F;

/// f16 bits of `value`, rounded to nearest even; beyond the range: infinity (callers check kHalfMax first).
std::uint16_t half_from_float(float value);
float float_from_half(std::uint16_t bits);

inline float float_from_bfloat16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

}  // namespace gloss
