#pragma once
/// Figures of the page as inline SVG, coloured by its style sheet. Private to the report.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/score/judgement.h"

namespace gloss::report {

/// One curve or bar set. `style` is its place among the explainers (class "series-N"), or "baseline".
struct Series {
  std::string name;
  std::string style;
  std::vector<double> values;               // histogram: one per latent; NaN left out
  std::vector<score::Interval> per_decile;  // curve: weakest first
};

/// Bars of `front.values` over 0..1 in 20 bins, as shares of the latents; `behind` (may have no values) as an outline.
std::string histogram_svg(const Series& front, const Series& behind, std::string_view label);
/// Accuracy with intervals by decile.
std::string decile_svg(const std::vector<Series>& series, std::string_view label);
/// Bars of `counts` between `edges`, the tallest to the top. Shapes: edges [bins + 1], ascending; counts [bins].
std::string counts_svg(std::span<const double> edges, std::span<const std::uint64_t> counts, std::string_view label,
                       std::string_view axis);
/// A 0..1 axis with the chance level, an interval and its value; for tables.
std::string interval_svg(const score::Interval& interval);

/// How many values fall into each of `bins` equal parts of 0..1; 1 belongs to the last.
std::vector<std::size_t> bin_counts(const std::vector<double>& values, std::size_t bins);

}  // namespace gloss::report
