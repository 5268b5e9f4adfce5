#pragma once
/// A circuit as a picture: a column a hookpoint, in the order of a pass; boxes by the strength of their effect.
#include <cstddef>
#include <string>
#include <vector>

namespace gloss::report {

struct CircuitPicture {
  struct Node {
    std::size_t column = 0;
    std::string name;         // "latent 17"
    std::string explanation;  // or ""
    double effect = 0.0;
  };
  struct Edge {
    std::size_t from = 0, to = 0;  // indexes of nodes
    double effect = 0.0;
  };
  std::string title;
  std::vector<std::string> columns;
  std::vector<Node> nodes;
  std::vector<Edge> edges;
};

/// An SVG document that needs nothing else. The 14 strongest nodes of a column and the 300 strongest edges between them
/// are drawn; how many are left out is said. Blue lowers the metric, orange raises it; an edge's width goes with its
/// effect. Full texts stand in <title>, which a browser shows at the pointer. Requires: column, from and to in bounds.
std::string circuit_svg(const CircuitPicture& picture);

}  // namespace gloss::report
