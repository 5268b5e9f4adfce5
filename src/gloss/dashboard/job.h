#pragma once
/// What other processes are doing with a run.
#include <cstdint>
#include <string>

namespace gloss::dashboard {

/// As a Progress tells it. `total` 0 = not known.
struct Job {
  std::string command;  // "explain"
  std::string stage, unit, detail;
  std::uint64_t done = 0, total = 0;
  double rate = 0.0;  // units a second, over the last ten; 0 = not known
};

}  // namespace gloss::dashboard
