#pragma once
/// How fast a piece of work goes, over its last seconds.
#include <chrono>
#include <cstdint>
#include <deque>
#include <string>

#include "gloss/base/reporter.h"

namespace gloss::app {

/// Threads: one at a time.
class RateMeter {
 public:
  using Clock = std::chrono::steady_clock;

  /// Whether it is the beginning of another piece of work: another stage, or less done than before.
  bool begins(const Progress& progress, Clock::time_point now) {
    if (progress.stage == stage_ && (samples_.empty() || progress.done >= samples_.back().done)) return false;
    stage_ = progress.stage;
    samples_.assign(1, {now, progress.done});
    return true;
  }
  /// Units a second.
  double rate(Clock::time_point now, std::uint64_t done) {
    constexpr auto kWindow = std::chrono::seconds(10);
    samples_.push_back({now, done});
    while (samples_.size() > 2 && now - samples_.front().time > kWindow) samples_.pop_front();
    const double seconds = std::chrono::duration<double>(now - samples_.front().time).count();
    return seconds > 0 ? static_cast<double>(done - samples_.front().done) / seconds : 0.0;
  }

 private:
  struct Sample {
    Clock::time_point time;
    std::uint64_t done;
  };
  std::string stage_;
  std::deque<Sample> samples_;
};

}  // namespace gloss::app
