#pragma once
/// Which tokens of a window fuzzing marks, rightly and wrongly. Method: docs/methods.md 6.
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "gloss/base/random.h"
#include "gloss/examples/examples.h"

namespace gloss::score {

/// Tokens that reach `tau` of the window's maximum. Shapes: [W].
std::vector<bool> right_marks(const examples::Window& w, float tau);
/// The same of the neighbour that the window was drawn by. Requires: kind silent_neighbour.
std::vector<bool> neighbour_marks(const examples::Window& w, float tau);

/// N: marked tokens of a test window on average, rounded to nearest, at least 1.
std::size_t mean_marked(const examples::LatentExamples& examples, float tau);
/// The test windows of one quantile, in the order of the split. Lifetime: as `examples`.
std::vector<const examples::Window*> windows_of(const examples::LatentExamples& examples, std::uint32_t quantile);

/// Lengths of the runs of marked tokens, in order.
std::vector<std::size_t> run_lengths(const std::vector<bool>& marked);

/// `count` tokens at which the latent is silent, or all there are.
std::vector<bool> scattered_marks(const examples::Window& w, std::size_t count, Random random);
/// Runs of these lengths of tokens at which the latent is silent, apart from each other: the longest first, each at
/// random among the places that are left. A run that fits nowhere apart from others is set beside one, and one that
/// fits nowhere at all is cut in two; what finds no silent token is left out.
std::vector<bool> matched_marks(const examples::Window& w, std::vector<std::size_t> lengths, Random random);

}  // namespace gloss::score
