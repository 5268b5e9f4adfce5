#include "gloss/explain/delimiters.h"

#include <fmt/format.h>

#include <cstddef>
#include <utility>

namespace gloss::explain {
namespace {

std::size_t count_overlapping(std::string_view text, std::string_view part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

}  // namespace

Delimiters choose_delimiters(const Clashes& clashes) {
  constexpr std::pair<std::string_view, std::string_view> kPairs[] = {{"<<", ">>"}, {"[[", "]]"}, {"⟦", "⟧"},
                                                                      {"{{", "}}"}, {"⟪", "⟫"},   {"【", "】"}};
  for (const auto& [open, close] : kPairs) {
    Delimiters pair{std::string(open), std::string(close)};
    if (!clashes(pair)) return pair;
  }
  for (std::size_t n = 1;; ++n) {
    Delimiters pair{fmt::format("<m{}>", n), fmt::format("</m{}>", n)};
    if (!clashes(pair)) return pair;
  }
}

bool is_ambiguous(std::string_view marked, const Delimiters& delimiters, std::size_t runs) {
  return count_overlapping(marked, delimiters.open) != runs || count_overlapping(marked, delimiters.close) != runs;
}

std::size_t count_runs(std::string_view marked, std::string_view plain, const Delimiters& delimiters) {
  return (marked.size() - plain.size()) / (delimiters.open.size() + delimiters.close.size());
}

}  // namespace gloss::explain
