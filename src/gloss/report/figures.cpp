#include "gloss/report/figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "gloss/base/quantity.h"
#include "gloss/report/visible_text.h"

namespace gloss::report {
namespace {

constexpr std::size_t kBins = 20;

/// Plot area inside a drawing, in its own units.
struct Frame {
  double width = 360, height = 200;
  double left = 38, right = 10, top = 12, bottom = 34;

  double x(double share) const { return left + share * (width - left - right); }
  double y(double share) const { return height - bottom - share * (height - top - bottom); }
};

std::string line_svg(double x1, double y1, double x2, double y2, std::string_view style) {
  return fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" class=\"{}\"/>", x1, y1, x2, y2,
                     style);
}

std::string text_svg(double x, double y, std::string_view anchor, std::string_view text) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>", x, y, anchor, text);
}

std::string open_svg(const Frame& f, std::string_view label) {
  return fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">", f.width, f.height, html_text(label));
}

/// Horizontal lines at the given shares of `top_value`, labelled by the value.
std::string grid_svg(const Frame& f, double top_value, std::string_view unit) {
  std::string svg;
  for (const double share : {0.0, 0.25, 0.5, 0.75, 1.0}) {
    svg += line_svg(f.left, f.y(share), f.width - f.right, f.y(share), "grid");
    if (share != 0.25 && share != 0.75)
      svg += text_svg(f.left - 6, f.y(share) + 3.5, "end", fmt::format("{:.3g}{}", share * top_value, unit));
  }
  return svg;
}

std::vector<double> shares_of(const Series& series) {
  const std::vector<std::size_t> counts = bin_counts(series.values, kBins);
  const auto total =
      static_cast<double>(std::max<std::size_t>(1, std::accumulate(counts.begin(), counts.end(), std::size_t{0})));
  std::vector<double> shares;
  shares.reserve(counts.size());
  for (const std::size_t count : counts) shares.push_back(static_cast<double>(count) / total);
  return shares;
}

/// The next round number of percent above the tallest bar.
double round_top(const std::vector<double>& a, const std::vector<double>& b) {
  const double tallest = std::max(*std::max_element(a.begin(), a.end()), *std::max_element(b.begin(), b.end()));
  for (const double top : {0.1, 0.2, 0.4, 0.6, 0.8}) {
    if (tallest <= top) return top;
  }
  return 1.0;
}

std::string points_svg(const Frame& f, const Series& series) {
  std::string points;
  std::string marks;
  const auto n = static_cast<double>(series.per_decile.size());
  for (std::size_t q = 0; q < series.per_decile.size(); ++q) {
    const score::Interval& i = series.per_decile[q];
    if (std::isnan(i.value)) continue;
    const double x = f.x((static_cast<double>(q) + 0.5) / n);
    points += fmt::format("{:.1f},{:.1f} ", x, f.y(i.value));
    if (!std::isnan(i.low)) marks += line_svg(x, f.y(i.low), x, f.y(i.high), "whisker");
    marks += fmt::format(
        "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.6\"><title>{}, decile {}: {:.3f} [{:.3f}, {:.3f}]"
        "</title></circle>",
        x, f.y(i.value), html_text(series.name), q + 1, i.value, i.low, i.high);
  }
  return fmt::format("<g class=\"series {}\"><polyline points=\"{}\"/>{}</g>", series.style, points, marks);
}

}  // namespace

std::vector<std::size_t> bin_counts(const std::vector<double>& values, std::size_t bins) {
  std::vector<std::size_t> counts(bins, 0);
  for (const double v : values) {
    if (std::isnan(v)) continue;
    const double place = std::clamp(v, 0.0, 1.0) * static_cast<double>(bins);
    ++counts[std::min(bins - 1, static_cast<std::size_t>(place))];
  }
  return counts;
}

std::string histogram_svg(const Series& front, const Series& behind, std::string_view label) {
  const Frame f;
  const std::vector<double> bars = shares_of(front);
  const std::vector<double> outline = shares_of(behind);
  const double top = round_top(bars, outline);
  std::string svg = open_svg(f, label) + grid_svg(f, 100 * top, "%");
  svg += line_svg(f.x(0.5), f.y(0), f.x(0.5), f.y(1), "chance");
  svg += fmt::format("<g class=\"bars {}\">", front.style);
  const std::vector<std::size_t> counts = bin_counts(front.values, kBins);
  for (std::size_t b = 0; b < kBins; ++b) {
    if (counts[b] == 0) continue;
    const double x = f.x(static_cast<double>(b) / kBins) + 0.6;
    const double y = f.y(bars[b] / top);
    svg += fmt::format(
        "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" rx=\"1\"><title>{:.2f} to {:.2f}: "
        "{} latents</title></rect>",
        x, y, f.x(1.0 / kBins) - f.x(0) - 1.2, f.y(0) - y, static_cast<double>(b) / kBins,
        static_cast<double>(b + 1) / kBins, counts[b]);
  }
  svg += "</g>";
  if (!behind.values.empty()) {
    std::string path = fmt::format("M{:.1f} {:.1f}", f.x(0), f.y(0));
    for (std::size_t b = 0; b < kBins; ++b)
      path += fmt::format("V{:.1f}H{:.1f}", f.y(outline[b] / top), f.x(static_cast<double>(b + 1) / kBins));
    svg += fmt::format("<path class=\"outline\" d=\"{}V{:.1f}\"/>", path, f.y(0));
  }
  for (const double tick : {0.0, 0.25, 0.5, 0.75, 1.0})
    svg += text_svg(f.x(tick), f.height - f.bottom + 15, "middle", fmt::format("{:g}", tick));
  return svg + text_svg(f.x(0.5), f.height - 4, "middle", "balanced accuracy of a latent (0.5 = chance)") + "</svg>";
}

std::string decile_svg(const std::vector<Series>& series, std::string_view label) {
  const Frame f;
  std::size_t count = 1;
  for (const Series& s : series) count = std::max(count, s.per_decile.size());
  std::string svg = open_svg(f, label) + grid_svg(f, 1.0, "");
  for (const Series& s : series) svg += points_svg(f, s);
  for (std::size_t q = 0; q < count; ++q) {
    const double x = f.x((static_cast<double>(q) + 0.5) / static_cast<double>(count));
    svg += text_svg(x, f.height - f.bottom + 15, "middle", fmt::format("{}", q + 1));
  }
  return svg + text_svg(f.x(0.5), f.height - 4, "middle", "decile of activation, weakest to strongest") + "</svg>";
}

std::string counts_svg(std::span<const double> edges, std::span<const std::uint64_t> counts, std::string_view label,
                       std::string_view axis) {
  const Frame f;
  const std::uint64_t tallest = counts.empty() ? 0 : *std::max_element(counts.begin(), counts.end());
  const double top = std::max(1.0, static_cast<double>(tallest));
  const double low = edges.empty() ? 0.0 : edges.front();
  const double width = edges.empty() || edges.back() <= low ? 1.0 : edges.back() - low;
  std::string svg = open_svg(f, label);
  for (const double share : {0.0, 0.5, 1.0}) {
    svg += line_svg(f.left, f.y(share), f.width - f.right, f.y(share), "grid");
    if (share != 0.5) svg += text_svg(f.left - 6, f.y(share) + 3.5, "end", format_count(share * top));
  }
  svg += "<g class=\"bars series-0\">";
  for (std::size_t b = 0; b < counts.size(); ++b) {
    if (counts[b] == 0) continue;
    const double left = f.x((edges[b] - low) / width);
    const double y = f.y(static_cast<double>(counts[b]) / top);
    svg += fmt::format(
        "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"><title>{:.4g} to {:.4g}: {} firings"
        "</title></rect>",
        left, y, std::max(0.5, f.x((edges[b + 1] - low) / width) - left - 0.6), f.y(0) - y, edges[b], edges[b + 1],
        counts[b]);
  }
  svg += "</g>";
  for (const double tick : {0.0, 0.5, 1.0})
    svg += text_svg(f.x(tick), f.height - f.bottom + 15, "middle", fmt::format("{:.3g}", low + tick * width));
  return svg + text_svg(f.x(0.5), f.height - 4, "middle", html_text(axis)) + "</svg>";
}

std::string interval_svg(const score::Interval& i) {
  if (std::isnan(i.value)) return {};
  const auto x = [](double v) { return 3 + 94 * std::clamp(v, 0.0, 1.0); };
  std::string svg = "<svg class=\"interval\" viewBox=\"0 0 100 14\" aria-hidden=\"true\">";
  svg += line_svg(3, 7, 97, 7, "grid") + line_svg(50, 2, 50, 12, "chance");
  if (!std::isnan(i.low)) svg += line_svg(x(i.low), 7, x(i.high), 7, "whisker");
  return svg + fmt::format("<circle cx=\"{:.1f}\" cy=\"7\" r=\"3\"/></svg>", x(i.value));
}

}  // namespace gloss::report
