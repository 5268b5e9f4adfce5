#pragma once
/// Which latents carry a behaviour, and through which they act: what is found, as plain values.
/// Method: docs/methods.md 15.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "gloss/base/ids.h"
#include "gloss/model/hookpoint.h"
#include "gloss/sparse/coder.h"

namespace gloss::circuit {

/// A coder and its place in the model.
struct Place {
  std::string hookpoint;
  sparse::Coder coder;
  model::Hookpoint reads, reconstructs;
};

/// Two prompts of one length that ask for different answers. The metric is logit(clean_answer) - logit(patch_answer)
/// after the last token.
struct Pair {
  std::vector<TokenId> clean, patch;
  TokenId clean_answer{}, patch_answer{};
};

/// A latent, or what a coder leaves unexplained, at a place: over all positions, or at one of them.
struct Node {
  std::uint32_t place = 0;
  std::optional<std::uint32_t> position = {};
  std::optional<LatentId> latent = {};  // none: the coder's error term
  double effect = 0.0;                  // on the metric, in logits; mean over pairs
  auto operator<=>(const Node&) const = default;
};

/// How much of the effect of one node reaches the metric through a node of the next place.
struct Edge {
  std::size_t from = 0, to = 0;  // indexes of nodes
  double effect = 0.0;
};

/// Whether the effects of a place's nodes make up what patching the whole place does; means over pairs.
struct PlaceSum {
  double latents = 0.0, error = 0.0;  // effects of all nodes, those below the threshold too
  double patched = 0.0;               // change of the metric when the place takes the patch prompt's activation
};

struct Graph {
  std::vector<std::string> hookpoints;  // of the places, in the order of a pass
  std::vector<Node> nodes;              // by place, then the largest |effect| first
  std::vector<Edge> edges;              // largest |effect| first
  std::vector<PlaceSum> sums;           // one a place
  double clean_metric = 0.0, patch_metric = 0.0;
  std::size_t pairs = 0;
};

}  // namespace gloss::circuit
