#include "gloss/index/firing_buffer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <iterator>

#include "gloss/base/error.h"
#include "gloss/index/index_testing.h"

namespace gloss::index {
namespace {

/// Fills with whole tokens until no more fit; returns how many firings it took.
std::size_t fill(FiringBuffer& buffer, std::span<const Firing> firings) {
  std::size_t taken = 0;
  for (std::uint64_t room = buffer.room(); taken < firings.size() && room > 0; room = buffer.room()) {
    const std::size_t n = std::min<std::size_t>({firings.size() - taken, room, 100});
    buffer.add(firings.subspan(taken, n));
    taken += n;
  }
  return taken;
}

TEST(FiringBuffer, PlacesAnyRangeOfLatentsInOrder) {
  constexpr std::uint32_t kLatents = 1700;
  const std::vector<Firing> firings = testing::random_firings(4, kLatents, 60, 0.05);
  FiringBuffer buffer(std::uint64_t{1} << 20, kLatents);
  ASSERT_EQ(fill(buffer, firings), firings.size());
  std::vector<std::uint64_t> count(kLatents, 0);
  for (const Firing& f : firings) ++count[f.latent];
  EXPECT_TRUE(std::equal(count.begin(), count.end(), buffer.counts().begin(), buffer.counts().end()));
  Random random = Random::for_purpose(1, "ranges");
  for (int trial = 0; trial < 100; ++trial) {
    const auto first = static_cast<std::uint32_t>(random.below(kLatents));
    const auto last = first + 1 + static_cast<std::uint32_t>(random.below(kLatents - first));
    std::vector<Firing> wanted;
    std::copy_if(firings.begin(), firings.end(), std::back_inserter(wanted),
                 [&](const Firing& f) { return f.latent >= first && f.latent < last; });
    std::stable_sort(wanted.begin(), wanted.end(),
                     [](const Firing& a, const Firing& b) { return a.latent < b.latent; });
    std::vector<std::uint64_t> next;
    std::uint64_t size = 0;
    for (std::uint32_t f = first; f < last; ++f) {
      next.push_back(size);
      size += count[f];
    }
    ASSERT_EQ(size, wanted.size());
    std::vector<std::uint32_t> positions(size), activations(size);
    buffer.place(first, last, next, positions.data(), activations.data());
    for (std::size_t i = 0; i < size; ++i) {
      ASSERT_EQ(positions[i], wanted[i].position) << first << " " << last;
      ASSERT_EQ(activations[i], std::bit_cast<std::uint32_t>(wanted[i].activation));
    }
    EXPECT_EQ(next.back(), size);
  }
}

/// What it holds, its sorting and its tables stay within the memory, whatever the latents.
TEST(FiringBuffer, KeepsToItsMemory) {
  for (const std::uint32_t latents : {1U, 500U, 5000U, 100000U}) {
    for (const std::uint64_t memory : {std::uint64_t{4} << 20, std::uint64_t{9} << 20}) {
      for (const bool one_latent : {false, true}) {
        FiringBuffer buffer(memory, latents);
        std::vector<Firing> firings;
        for (std::uint32_t p = 0; p < 800'000; ++p) firings.push_back({one_latent ? 0 : p * 7919U % latents, p, 1.0F});
        const std::uint64_t taken = fill(buffer, firings);
        const std::uint64_t sorting = one_latent || latents == 1 ? 8 * taken : 0;
        const std::uint64_t tables = 24 * (std::uint64_t{latents} + 1);
        EXPECT_LE(buffer.used_bytes() + sorting + tables, memory + memory / 16) << latents << " " << one_latent;
        EXPECT_GE(20 * taken, (memory - tables) * 3 / 4) << "and does not waste it";
        buffer.clear();
        EXPECT_EQ(fill(buffer, firings), taken) << "emptied it is as new";
        buffer.clear();
        buffer.trim();
        EXPECT_EQ(buffer.used_bytes(), 0U);
      }
    }
  }
}

TEST(FiringBuffer, HasRoomForSomeFiringsInAnyMemory) {
  for (const std::uint32_t latents : {1U, 100U, 100000U}) {
    FiringBuffer buffer(0, latents);
    EXPECT_GE(buffer.room(), 16U);
    buffer.grow(5000);
    EXPECT_GE(buffer.room(), 5000U);
  }
}

}  // namespace
}  // namespace gloss::index
