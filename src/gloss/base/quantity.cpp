#include "gloss/base/quantity.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "gloss/base/error.h"

namespace gloss {
namespace {

constexpr std::array<std::pair<std::string_view, double>, 8> kUnits{{{"", 1.0},
                                                                     {"k", 1e3},
                                                                     {"M", 1e6},
                                                                     {"G", 1e9},
                                                                     {"KiB", 1024.0},
                                                                     {"MiB", 1048576.0},
                                                                     {"GiB", 1073741824.0},
                                                                     {"TiB", 1099511627776.0}}};

[[noreturn]] void fail_quantity(std::string_view text, std::string_view what) {
  throw Error(ErrorKind::usage, what, fmt::format("'{}' is not a number", text),
              "write a whole number, alone or with k, M, G, KiB, MiB or GiB: 300, 5M, 1GiB");
}

}  // namespace

std::uint64_t parse_quantity(std::string_view text, std::string_view what) {
  double number = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || !std::isfinite(number) || number < 0) fail_quantity(text, what);
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  for (const auto& [name, factor] : kUnits) {
    if (unit != name) continue;
    const double value = number * factor;
    if (value > 9e15 || value != std::floor(value)) fail_quantity(text, what);
    return static_cast<std::uint64_t>(value);
  }
  fail_quantity(text, what);
}

std::string format_count(double count) {
  // what would round to 1000 of a unit belongs to the next one
  if (count < 999.5) return fmt::format("{:.0f}", count);
  if (count < 999.5e3) return fmt::format("{:.3g}k", count / 1e3);
  if (count < 999.5e6) return fmt::format("{:.3g}M", count / 1e6);
  return fmt::format("{:.3g}G", count / 1e9);
}

std::string format_bytes(std::uint64_t size) {
  const auto bytes = static_cast<double>(size);
  if (size < 1024) return fmt::format("{} B", size);
  if (bytes < 1048576.0) return fmt::format("{:.1f} KiB", bytes / 1024.0);
  if (bytes < 1073741824.0) return fmt::format("{:.1f} MiB", bytes / 1048576.0);
  return fmt::format("{:.2f} GiB", bytes / 1073741824.0);
}

std::string format_seconds(double seconds) {
  if (seconds < 10) return fmt::format("{:.1f}s", seconds);
  const auto whole = static_cast<std::uint64_t>(seconds);
  if (whole < 60) return fmt::format("{}s", whole);
  if (whole < 3600) return fmt::format("{}m {:02}s", whole / 60, whole % 60);
  return fmt::format("{}h {:02}m", whole / 3600, whole / 60 % 60);
}

}  // namespace gloss
