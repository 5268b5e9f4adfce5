#include "gloss/app/console_reporter.h"

#include <fmt/format.h>

#include "gloss/base/quantity.h"

namespace gloss::app {
namespace {

constexpr auto kTerminalPause = std::chrono::milliseconds(100);
constexpr auto kLogPause = std::chrono::seconds(15);

}  // namespace

ConsoleReporter::~ConsoleReporter() {
  if (line_open_) out_ << "\n";
}

void ConsoleReporter::clear_line() {
  if (line_open_) out_ << "\r\033[K";
  line_open_ = false;
}

void ConsoleReporter::info(std::string_view message) {
  const std::lock_guard lock(mutex_);
  clear_line();
  out_ << message << "\n" << std::flush;
}

void ConsoleReporter::warn(std::string_view message) { info(message); }

void ConsoleReporter::progress(const Progress& p) {
  const std::lock_guard lock(mutex_);
  const auto now = Clock::now();
  if (meter_.begins(p, now)) last_shown_ = terminal_ ? Clock::time_point{} : now;
  const bool last = p.total != 0 && p.done >= p.total;
  if (!last && now - last_shown_ < (terminal_ ? Clock::duration(kTerminalPause) : Clock::duration(kLogPause))) return;
  last_shown_ = now;
  const double per_second = meter_.rate(now, p.done);
  std::string line = fmt::format("{}: {}", p.stage, format_count(static_cast<double>(p.done)));
  if (p.total != 0)
    line += fmt::format("/{} {} ({:.0f}%)", format_count(static_cast<double>(p.total)), p.unit,
                        100.0 * static_cast<double>(p.done) / static_cast<double>(p.total));
  else
    line += fmt::format(" {}", p.unit);
  if (per_second > 0) {
    line += fmt::format(", {} {}/s", format_count(per_second), p.unit);
    if (p.total > p.done)
      line += fmt::format(", {} left", format_seconds(static_cast<double>(p.total - p.done) / per_second));
  }
  if (!p.detail.empty()) line += fmt::format(" | {}", p.detail);
  clear_line();
  out_ << line;
  if (terminal_ && !last)
    line_open_ = true;
  else
    out_ << "\n";
  out_.flush();
}

}  // namespace gloss::app
