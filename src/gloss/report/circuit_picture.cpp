#include "gloss/report/circuit_picture.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "gloss/report/visible_text.h"

namespace gloss::report {
namespace {

constexpr std::size_t kMostNodes = 14, kMostEdges = 300, kMostLetters = 31;
constexpr double kColumn = 330.0, kBox = 230.0, kRow = 50.0, kHeight = 38.0, kTop = 76.0, kLeft = 16.0;
constexpr double kThickest = 7.0, kThinnest = 0.4;

const char* colour_of(double effect) { return effect < 0.0 ? "#2b6cb0" : "#c05621"; }

struct Corner {
  double x, y;
};

template <class Items>
std::vector<std::size_t> strongest_first(const Items& items) {
  std::vector<std::size_t> order(items.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return std::abs(items[a].effect) > std::abs(items[b].effect); });
  return order;
}

/// The first letters of a text, whole characters only.
std::string shortened(const std::string& text) {
  std::size_t letters = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool begins = (static_cast<unsigned char>(text[i]) & 0xC0U) != 0x80U;
    if (begins && letters++ == kMostLetters) return text.substr(0, i) + "\u2026";
  }
  return text;
}

std::string edge_of(const CircuitPicture& p, const CircuitPicture::Edge& e, Corner from, Corner to, double largest) {
  const double x1 = from.x + kBox, y1 = from.y + kHeight / 2, x2 = to.x, y2 = to.y + kHeight / 2;
  const double middle = (x1 + x2) / 2;
  return fmt::format(
      "<path d=\"M{:.1f} {:.1f}C{:.1f} {:.1f} {:.1f} {:.1f} {:.1f} {:.1f}\" fill=\"none\" stroke=\"{}\" "
      "stroke-opacity=\"0.55\" stroke-width=\"{:.2f}\"><title>{} to {}: {:+.4f}</title></path>\n",
      x1, y1, middle, y1, middle, y2, x2, y2, colour_of(e.effect),
      std::max(kThinnest, kThickest * std::abs(e.effect) / largest), html_text(p.nodes[e.from].name),
      html_text(p.nodes[e.to].name), e.effect);
}

std::string box_of(const CircuitPicture& p, const CircuitPicture::Node& n, Corner at, double largest) {
  return fmt::format(
      "<g><title>{} {}: {:+.4f}{}{}</title><rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{}\" height=\"{}\" rx=\"5\" "
      "fill=\"#fff\" stroke=\"{}\" stroke-width=\"{:.2f}\"/>"
      "<text x=\"{:.1f}\" y=\"{:.1f}\" font-weight=\"600\">{}</text><text x=\"{:.1f}\" y=\"{:.1f}\" "
      "text-anchor=\"end\">{:+.3f}</text><text x=\"{:.1f}\" y=\"{:.1f}\" fill=\"#555\">{}</text></g>\n",
      html_text(p.columns[n.column]), html_text(n.name), n.effect, n.explanation.empty() ? "" : "\n",
      html_text(n.explanation), at.x, at.y, kBox, kHeight, colour_of(n.effect),
      1.0 + 3.0 * std::abs(n.effect) / largest, at.x + 8, at.y + 15, html_text(n.name), at.x + kBox - 8, at.y + 15,
      n.effect, at.x + 8, at.y + 31, html_text(shortened(n.explanation)));
}

}  // namespace

std::string circuit_svg(const CircuitPicture& p) {
  std::vector<std::optional<Corner>> corner(p.nodes.size());
  std::vector<std::size_t> taken(p.columns.size(), 0);
  std::size_t left_out = 0;
  for (const std::size_t n : strongest_first(p.nodes)) {
    const std::size_t column = p.nodes[n].column;
    if (taken[column] == kMostNodes) {
      ++left_out;
      continue;
    }
    corner[n] =
        Corner{kLeft + kColumn * static_cast<double>(column), kTop + kRow * static_cast<double>(taken[column]++)};
  }
  const auto largest = [](const auto& items) {
    double most = 1e-300;
    for (const auto& item : items) most = std::max(most, std::abs(item.effect));
    return most;
  };
  std::string edges;
  std::size_t drawn = 0;
  for (const std::size_t i : strongest_first(p.edges)) {
    const CircuitPicture::Edge& e = p.edges[i];
    if (!corner[e.from] || !corner[e.to] || drawn == kMostEdges) continue;
    edges += edge_of(p, e, *corner[e.from], *corner[e.to], largest(p.edges));
    ++drawn;
  }
  std::string boxes;
  for (std::size_t n = 0; n < p.nodes.size(); ++n) {
    if (corner[n]) boxes += box_of(p, p.nodes[n], *corner[n], largest(p.nodes));
  }
  const std::size_t rows = taken.empty() ? 0 : *std::max_element(taken.begin(), taken.end());
  const double width = kLeft * 2 + kColumn * static_cast<double>(p.columns.size()) - (kColumn - kBox);
  const double height = kTop + kRow * static_cast<double>(std::max<std::size_t>(rows, 1)) + kLeft;
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0f}\" height=\"{1:.0f}\" viewBox=\"0 0 {0:.0f} {1:.0f}\" "
      "font-family=\"system-ui, sans-serif\" font-size=\"12\">\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"#fafafa\"/>\n"
      "<text x=\"{2}\" y=\"24\" font-size=\"15\" font-weight=\"600\">{3}</text>\n"
      "<text x=\"{2}\" y=\"42\" fill=\"#555\">effects in logits: blue lowers the metric, orange raises it; not drawn: "
      "{4} "
      "nodes, {5} edges</text>\n",
      std::max(width, 520.0), height, kLeft, html_text(p.title), left_out, p.edges.size() - drawn);
  for (std::size_t c = 0; c < p.columns.size(); ++c)
    svg += fmt::format("<text x=\"{:.1f}\" y=\"66\" font-weight=\"600\">{}</text>\n",
                       kLeft + kColumn * static_cast<double>(c), html_text(p.columns[c]));
  return svg + edges + boxes + "</svg>\n";
}

}  // namespace gloss::report
