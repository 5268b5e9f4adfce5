#pragma once
/// The subject model and a coder, as the page may ask them: given by whoever has them, so that nothing here needs
/// libtorch.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "gloss/base/ids.h"

namespace gloss::dashboard {

/// Shapes: tokens, latents [n]; latents[i] are those that fire at token i, strongest first.
struct TextReading {
  std::vector<TokenId> tokens;
  std::vector<std::vector<std::pair<LatentId, float>>> latents;
  bool cut = false;  // the text was longer
};

struct SteerQuestion {
  std::string hookpoint, prompt;
  LatentId latent{};
  double strength = 0.0;  // in largest activations of the latent
  std::uint32_t tokens = 0;
};
struct SteeredText {
  std::string without, with;  // the continuations alone
};

/// Threads: one call at a time. Functions that are not given: there is no model.
struct LiveModel {
  std::function<TextReading(std::size_t run, const std::string& hookpoint, const std::string& text)> read = {};
  std::function<SteeredText(std::size_t run, const SteerQuestion& question)> steer = {};
};

}  // namespace gloss::dashboard
