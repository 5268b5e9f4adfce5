#pragma once
/// Simulations as OpenAI's neuron explainer and delphi write them: for each sequence of tokens, what the explanation
/// lets expect and what the neuron did. Source: openai/automated-interpretability @ e4aa21b, explanations.py.
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "gloss/base/ids.h"
#include "gloss/score/judgement.h"

namespace gloss::exchange {

/// The score `simulation` of a ScoredSimulation. Where it holds its sequences it is computed from them
/// (score::add_simulation), of the simulation before calibration if that is there; levels in the neuron's own unit are
/// brought to 0..10 by the largest activation. Where it holds none, the number it says, without an interval. Nothing
/// when there is neither. `said`: the correlation it says, NaN when none. Errors: bad_input.
struct SimulationScore {
  score::LatentScore score;
  double said = 0.0;
};
std::optional<SimulationScore> simulation_score(const nlohmann::json& scored_simulation, LatentId latent,
                                                const std::string& where);

}  // namespace gloss::exchange
