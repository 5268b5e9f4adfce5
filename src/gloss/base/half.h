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

/// half_from_float, where most values are positive and neither tiny nor huge.
inline std::uint16_t half_from_positive(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  constexpr std::uint32_t kLeastNormal = 0x38800000U;  // 2^-14
  constexpr std::uint32_t kTooLarge = 0x477FF000U;     // rounds beyond 65504
  if (bits - kLeastNormal >= kTooLarge - kLeastNormal) return half_from_float(value);
  return static_cast<std::uint16_t>((bits + 0xFFFU + ((bits >> 13) & 1U) - 0x38000000U) >> 13);
}

inline float float_from_bfloat16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

}  // namespace gloss
