#include "gloss/sparse/kernels.h"

#include <cmath>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if defined(__clang__)
#define GLOSS_UNROLL _Pragma("clang loop unroll(full)")
#else
#define GLOSS_UNROLL _Pragma("GCC unroll 12")
#endif

namespace gloss::sparse {
namespace {

namespace portable {
// Four lanes: what every 64-bit processor has.
using V = float __attribute__((vector_size(16)));
constexpr std::size_t kLanes = 4;
constexpr std::size_t kAccRows = 6;

inline std::uint32_t bits_above(V v, V threshold) {
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < kLanes; ++i) bits |= (v[i] > threshold[i] ? 1U : 0U) << i;
  return bits;
}
inline V square_root(V v) {
  for (std::size_t i = 0; i < kLanes; ++i) v[i] = std::sqrt(v[i]);
  return v;
}
#include "gloss/sparse/kernels_body.h"

constexpr Kernels kKernels{"portable", product, product_by_latent, weighted_sum, dots, adam};
}  // namespace portable

#if defined(__x86_64__)

// From here on functions may use these instructions; only tables that the processor supports are ever handed out.
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
namespace avx2 {
using V = __m256;
constexpr std::size_t kLanes = 8;
constexpr std::size_t kAccRows = 6;  // 12 of the 16 registers hold sums

inline std::uint32_t bits_above(V v, V threshold) {
  return static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(v, threshold, _CMP_GT_OQ)));
}
inline V square_root(V v) { return _mm256_sqrt_ps(v); }
#include "gloss/sparse/kernels_body.h"

constexpr Kernels kKernels{"avx2", product, product_by_latent, weighted_sum, dots, adam};
}  // namespace avx2
#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx512f,fma"))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,fma")
#endif
namespace avx512 {
using V = __m512;
constexpr std::size_t kLanes = 16;
constexpr std::size_t kAccRows = 12;  // 24 of the 32 registers hold sums

inline std::uint32_t bits_above(V v, V threshold) { return _mm512_cmp_ps_mask(v, threshold, _CMP_GT_OQ); }
// With a mask, since gcc 12 takes the plain form for a read of something uninitialised.
inline V square_root(V v) { return _mm512_maskz_sqrt_ps(static_cast<__mmask16>(0xFFFF), v); }
#include "gloss/sparse/kernels_body.h"

constexpr Kernels kKernels{"avx512", product, product_by_latent, weighted_sum, dots, adam};
}  // namespace avx512
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif  // x86

std::vector<const Kernels*> find_kernels() {
  std::vector<const Kernels*> found;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) found.push_back(&avx512::kKernels);
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) found.push_back(&avx2::kKernels);
#endif
  found.push_back(&portable::kKernels);
  return found;
}

}  // namespace

std::span<const Kernels* const> available_kernels() {
  static const std::vector<const Kernels*> found = find_kernels();
  return found;
}

const Kernels& kernels() { return *available_kernels().front(); }

}  // namespace gloss::sparse
