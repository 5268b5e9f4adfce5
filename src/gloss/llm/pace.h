#pragma once
/// How fast a server is asked: how many requests at once, and how long to wait before the next try.
#include <chrono>
#include <cstdint>
#include <string_view>

namespace gloss::llm {

/// Requests in flight: begins at the most, halves when the server says it is busy, grows by one a round of answers.
/// Source: additive increase, multiplicative decrease (Chiu and Jain 1989); one cut for all that were sent before it.
class Pace {
 public:
  using Time = std::chrono::steady_clock::time_point;
  /// Requires: most >= 1.
  explicit Pace(std::uint32_t most) : most_(most), limit_(most) {}

  /// How many may be in flight now, 1 to the most.
  std::uint32_t limit() const { return static_cast<std::uint32_t>(limit_); }
  void answered();
  /// `sent`: when the request that found the server busy was sent.
  void busy(Time sent, Time now);
  std::uint64_t cuts() const { return cuts_; }

 private:
  double most_, limit_;
  Time last_cut_ = Time::min();
  std::uint64_t cuts_ = 0;
};

/// How long to wait after the `tries`-th try of a request: by chance between 0 and first, 2 first, 4 first ..., at most
/// a minute. Depends on nothing but its arguments. Source: exponential back-off with full jitter (Brooker 2015).
/// Requires: tries >= 1.
std::chrono::milliseconds backoff(std::uint64_t seed, std::string_view hash, std::uint32_t tries,
                                  std::uint32_t first_ms);

}  // namespace gloss::llm
