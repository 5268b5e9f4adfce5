#include "gloss/base/random.h"

#include <array>
#include <cmath>
#include <numbers>
#include <numeric>
#include <unordered_set>

#include "gloss/base/hash.h"

namespace gloss {
namespace {

using Block = std::array<std::uint32_t, 4>;

Block philox(std::uint64_t counter, std::uint64_t key) {
  Block x{static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32), 0, 0};
  auto k0 = static_cast<std::uint32_t>(key);
  auto k1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53} * x[0];
    const std::uint64_t b = std::uint64_t{0xCD9E8D57} * x[2];
    x = {static_cast<std::uint32_t>(b >> 32) ^ x[1] ^ k0, static_cast<std::uint32_t>(b),
         static_cast<std::uint32_t>(a >> 32) ^ x[3] ^ k1, static_cast<std::uint32_t>(a)};
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return x;
}

}  // namespace

Random Random::for_latent(std::uint64_t seed, std::string_view hookpoint, LatentId latent, std::string_view purpose,
                          std::uint64_t extra) {
  Hasher hash;
  hash.add_number(seed);
  hash.add(hookpoint);
  hash.add_number(to_index(latent));
  hash.add(purpose);
  hash.add_number(extra);
  return Random(hash.digest64());
}

Random Random::for_purpose(std::uint64_t seed, std::string_view purpose, std::uint64_t extra) {
  return for_latent(seed, "", LatentId{0}, purpose, extra);
}

std::uint64_t Random::next_u64() {
  if (has_spare_) {
    has_spare_ = false;
    return spare_;
  }
  const Block block = philox(counter_++, key_);
  spare_ = (std::uint64_t{block[3]} << 32) | block[2];
  has_spare_ = true;
  return (std::uint64_t{block[1]} << 32) | block[0];
}

std::uint64_t Random::below(std::uint64_t n) {
  const std::uint64_t limit = -n % n;  // numbers below it would make small results likelier
  for (;;) {
    const std::uint64_t draw = next_u64();
    if (draw >= limit) return draw % n;
  }
}

double Random::uniform() { return static_cast<double>(next_u64() >> 11) * 0x1.0p-53; }

double Random::normal() {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

std::vector<std::uint64_t> Random::sample(std::uint64_t n, std::uint64_t count) {
  if (count >= n || n <= 4 * count) {
    std::vector<std::uint64_t> all(n);
    std::iota(all.begin(), all.end(), std::uint64_t{0});
    shuffle(std::span(all));
    if (count < n) all.resize(count);
    return all;
  }
  std::vector<std::uint64_t> chosen;
  std::unordered_set<std::uint64_t> seen;
  chosen.reserve(count);
  while (chosen.size() < count) {
    const std::uint64_t draw = below(n);
    if (seen.insert(draw).second) chosen.push_back(draw);
  }
  return chosen;
}

}  // namespace gloss
