#include "gloss/base/error.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <numeric>
#include <system_error>
#include <vector>

namespace gloss {
namespace {

std::string compose(std::string_view where, std::string_view what, std::string_view hint) {
  std::string text = where.empty() ? std::string(what) : fmt::format("{}: {}", where, what);
  if (!hint.empty()) text += fmt::format("\nhint: {}", hint);
  return text;
}

char lower(char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }

/// Insertions, deletions, changes and swaps of neighbours ("cahce" is one step from "cache").
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    before.swap(last);
    last.swap(row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const bool same = lower(a[i - 1]) == lower(b[j - 1]);
      row[j] = std::min({last[j - 1] + (same ? 0 : 1), last[j] + 1, row[j - 1] + 1});
      const bool swapped = i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]);
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row[b.size()];
}

}  // namespace

Error::Error(ErrorKind kind, std::string_view where, std::string_view what, std::string_view hint)
    : std::runtime_error(compose(where, what, hint)), kind_(kind) {}

void fail_input(std::string_view where, std::string_view what, std::string_view hint) {
  throw Error(ErrorKind::bad_input, where, what, hint);
}

void fail_system(std::string_view where, std::string_view what, std::string_view hint) {
  throw Error(ErrorKind::failed, where, what, hint);
}

void fail_errno(std::string_view where, std::string_view what, int error_number) {
  const std::string reason = std::generic_category().message(error_number);
  std::string_view hint;
  if (error_number == ENOSPC) hint = "free some space and run the same command again: it goes on from its last save";
  if (error_number == EACCES) hint = "check the permissions of this path";
  throw Error(error_number == ENOENT ? ErrorKind::bad_input : ErrorKind::failed, where,
              fmt::format("{}: {}", what, reason), hint);
}

std::string nearest_name(std::string_view name, std::span<const std::string> known) {
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(name.size(), 3) / 3 + 1;
  for (const std::string& candidate : known) {
    const std::size_t distance = edit_distance(name, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

void fail_unknown_name(std::string_view what, std::string_view name, std::span<const std::string> known) {
  const std::string nearest = nearest_name(name, known);
  std::string hint = nearest.empty() ? std::string() : fmt::format("did you mean '{}'?", nearest);
  throw Error(ErrorKind::usage, "", fmt::format("unknown {} '{}'; known: {}", what, name, fmt::join(known, ", ")),
              hint);
}

}  // namespace gloss
