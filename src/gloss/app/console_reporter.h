#pragma once
/// Messages and progress on stderr.
#include <chrono>
#include <mutex>
#include <ostream>

#include "gloss/app/rate_meter.h"
#include "gloss/base/reporter.h"

namespace gloss::app {

/// On a terminal the progress line is redrawn ten times a second; elsewhere (a log file) a line is written every 15
/// seconds and at the end. Shows done, total, rate over the last seconds, and time left.
class ConsoleReporter : public Reporter {
 public:
  ConsoleReporter(std::ostream& out, bool terminal) : out_(out), terminal_(terminal) {}
  ~ConsoleReporter() override;

  void info(std::string_view message) override;
  void warn(std::string_view message) override;
  void progress(const Progress& progress) override;

 private:
  using Clock = RateMeter::Clock;
  void clear_line();

  std::ostream& out_;
  bool terminal_;
  std::mutex mutex_;
  RateMeter meter_;
  Clock::time_point last_shown_{};
  bool line_open_ = false;
};

}  // namespace gloss::app
