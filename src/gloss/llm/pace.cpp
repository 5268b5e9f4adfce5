#include "gloss/llm/pace.h"

#include <algorithm>

#include "gloss/base/random.h"

namespace gloss::llm {

void Pace::answered() { limit_ = std::min(most_, limit_ + 1.0 / limit_); }

void Pace::busy(Time sent, Time now) {
  if (sent < last_cut_) return;
  limit_ = std::max(1.0, limit_ / 2.0);
  last_cut_ = now;
  ++cuts_;
}

std::chrono::milliseconds backoff(std::uint64_t seed, std::string_view hash, std::uint32_t tries,
                                  std::uint32_t first_ms) {
  constexpr std::uint64_t kLongestMs = 60'000;
  constexpr std::uint32_t kMostDoublings = 16;
  const std::uint64_t whole = std::min(std::uint64_t{first_ms} << std::min(tries - 1, kMostDoublings), kLongestMs);
  const double part = Random::for_purpose(seed, hash, tries).uniform();
  return std::chrono::milliseconds(static_cast<std::int64_t>(static_cast<double>(whole) * part));
}

}  // namespace gloss::llm
