#pragma once
/// Where progress, notes and warnings go: the library never prints, it tells a Reporter.
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace gloss {

/// State of a long piece of work. Units: `done` and `total` in `unit` ("tokens", "latents"); total 0 = not known.
struct Progress {
  std::string_view stage;
  std::uint64_t done = 0;
  std::uint64_t total = 0;
  std::string_view unit;
  std::string_view detail;  // e.g. "loss 0.21, FVU 0.18, dead 12"
};

/// Threads: calls may come from any thread.
class Reporter {
 public:
  virtual ~Reporter() = default;
  virtual void info(std::string_view message) = 0;
  virtual void warn(std::string_view message) = 0;
  /// May be called as often as one likes; shown a few times a second.
  virtual void progress(const Progress& progress) = 0;
};

/// Says nothing; for tests.
class SilentReporter : public Reporter {
 public:
  void info(std::string_view) override {}
  void warn(std::string_view) override {}
  void progress(const Progress&) override {}
};

}  // namespace gloss
