#pragma once
/// Marks that cannot be mistaken for text. Method: docs/methods.md 4.
#include <functional>
#include <string>
#include <string_view>

namespace gloss::explain {

struct Delimiters {
  std::string open = "<<", close = ">>";
};

/// Tells whether a prompt marked with `candidate` could be misread.
using Clashes = std::function<bool(const Delimiters& candidate)>;

/// The first pair of a fixed list (<< >>, [[ ]], ...), then of numbered ones without end, for which `clashes` is false.
/// Requires: `clashes` is false for all but finitely many pairs, as it is for any finite text.
Delimiters choose_delimiters(const Clashes& clashes);

/// Whether `marked` (a text with `runs` marked runs in it) holds the delimiters more often than it has marks: in its
/// own text, or where text and mark touch ("<" before "<<"). Overlapping occurrences count.
bool is_ambiguous(std::string_view marked, const Delimiters& delimiters, std::size_t runs);
/// How many pairs stand in `marked`, of which `plain` is the text without marks.
std::size_t count_runs(std::string_view marked, std::string_view plain, const Delimiters& delimiters);

}  // namespace gloss::explain
