#include "gloss/report/circuit_picture.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace gloss::report {
namespace {

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

TEST(CircuitPicture, DrawsBoxesAndTheEdgesBetweenThem) {
  CircuitPicture p;
  p.title = "she < he";
  p.columns = {"layers.0", "layers.1"};
  p.nodes = {{0, "latent 3", "\"girl\" & <her>", -0.5}, {1, "error", "", 0.25}};
  p.edges = {{0, 1, -0.125}};
  const std::string svg = circuit_svg(p);
  EXPECT_EQ(count(svg, "<rect x="), 2U);
  EXPECT_EQ(count(svg, "<path "), 1U);
  EXPECT_NE(svg.find("she &lt; he"), std::string::npos);
  EXPECT_NE(svg.find("&amp; &lt;her&gt;"), std::string::npos);
  EXPECT_EQ(count(svg, "<her>"), 0U);
  EXPECT_NE(svg.find("latent 3 to error: -0.1250"), std::string::npos);
  EXPECT_NE(svg.find("not drawn: 0 nodes, 0 edges"), std::string::npos);
}

TEST(CircuitPicture, SaysWhatItLeavesOut) {
  CircuitPicture p;
  p.columns = {"layers.0", "layers.1"};
  for (std::size_t i = 0; i < 20; ++i) p.nodes.push_back({0, fmt::format("latent {}", i), "", 0.1 * double(i)});
  p.nodes.push_back({1, "latent 0", "", 1.0});
  for (std::size_t i = 0; i < 20; ++i) p.edges.push_back({i, 20, 0.01});
  const std::string svg = circuit_svg(p);
  EXPECT_EQ(count(svg, "<rect x="), 15U);
  EXPECT_NE(svg.find("not drawn: 6 nodes, 6 edges"), std::string::npos);
  EXPECT_EQ(svg.find(">latent 5<"), std::string::npos);
  EXPECT_NE(svg.find(">latent 6<"), std::string::npos);
}

TEST(CircuitPicture, AnEmptyCircuitIsAPictureToo) { EXPECT_NE(circuit_svg({}).find("</svg>"), std::string::npos); }

}  // namespace
}  // namespace gloss::report
