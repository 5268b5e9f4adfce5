#include "gloss/index/layout.h"

#include <algorithm>

#include "gloss/formats/checked_file.h"

namespace gloss::index {
namespace {

using formats::Dtype;

constexpr std::array<std::string_view, 5> kReserved{"format", "hookpoint", "ctx_len", "token_count",
                                                    "excluded_token_count"};

}  // namespace

bool is_reserved_key(std::string_view key) {
  return formats::is_checksum_key(key) || std::find(kReserved.begin(), kReserved.end(), key) != kReserved.end();
}

std::vector<formats::SafeTensorsWriter::Declared> declare_arrays(std::uint64_t latents, std::uint64_t firings,
                                                                 Dtype activation) {
  const std::array<Dtype, kArrays> dtypes{Dtype::u64, Dtype::u64, Dtype::u64, Dtype::f64,
                                          Dtype::u32, Dtype::f32, activation, Dtype::boolean};
  const std::array<std::uint64_t, kArrays> lengths{latents + 1, latents, latents, latents,
                                                   firings,     latents, firings, latents};
  std::vector<formats::SafeTensorsWriter::Declared> arrays;
  for (std::size_t a = 0; a < kArrays; ++a)
    arrays.push_back({std::string(kArrayNames.at(a)), dtypes.at(a), {lengths.at(a)}});
  return arrays;
}

}  // namespace gloss::index
