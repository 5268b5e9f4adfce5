#include "gloss/exchange/simulations.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

#include "gloss/base/error.h"
#include "gloss/exchange/given_explanation.h"
#include "gloss/formats/json_file.h"
#include "gloss/score/simulation.h"

namespace gloss::exchange {
namespace {

using Json = nlohmann::json;

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

std::vector<float> numbers_of(const formats::Fields& fields, std::string_view key) {
  std::vector<float> numbers;
  for (const Json& value : list_of(fields, key)) {
    if (!value.is_number() || !std::isfinite(value.get<float>()))
      fail_input(fields.where(), fmt::format("'{}' holds {}, wanted numbers", key, value.dump()));
    numbers.push_back(value.get<float>());
  }
  return numbers;
}

/// A number; delphi writes what is not defined as the text "nan", OpenAI as null.
double score_in(const formats::Fields& fields, std::string_view key) {
  if (!fields.has(key)) return kNone;
  if (fields.at(key) == Json("nan")) return kNone;
  return fields.number(key);
}

/// One sequence as the judge's answer and the window it was given.
struct Sequence {
  score::Question question;
  std::vector<float> levels;
  bool in_own_unit = false;
};

Sequence sequence_of(const Json& json, const std::string& where) {
  const formats::Fields fields(json, where);
  Sequence sequence;
  std::vector<float>& activation = sequence.question.window.activation;
  activation = numbers_of(fields, "true_activations");
  formats::Fields simulation(fields.at("simulation"), where + ": simulation");
  if (simulation.has("uncalibrated_simulation"))
    simulation = {simulation.at("uncalibrated_simulation"), simulation.where() + ": uncalibrated_simulation"};
  sequence.levels = numbers_of(simulation, "expected_activations");
  sequence.in_own_unit = simulation.string("activation_scale", "") == "neuron_activations";
  if (sequence.levels.size() != activation.size() || activation.empty())
    fail_input(where, fmt::format("{} expected activations of {} tokens", sequence.levels.size(), activation.size()));
  sequence.question.truth = *std::max_element(activation.begin(), activation.end()) > 0.0F;
  return sequence;
}

}  // namespace

std::optional<SimulationScore> simulation_score(const Json& scored_simulation, LatentId latent,
                                                const std::string& where) {
  const formats::Fields fields(scored_simulation, where);
  SimulationScore result;
  result.said = score_in(fields, "ev_correlation_score");
  std::vector<Sequence> sequences;
  const Json& list = list_of(fields, "scored_sequence_simulations");
  for (std::size_t i = 0; i < list.size(); ++i)
    sequences.push_back(sequence_of(list[i], fmt::format("{}: scored_sequence_simulations {}", where, i)));
  if (sequences.empty()) {
    if (std::isnan(result.said)) return std::nullopt;
    score::add_rates(result.score);
    result.score.auc = kNone;
    result.score.latent = latent;
    score::set_headline("simulation", result.score, {result.said, kNone, kNone});
    return result;
  }
  float largest = 0.0F;
  for (const Sequence& s : sequences)
    largest =
        std::max(largest, *std::max_element(s.question.window.activation.begin(), s.question.window.activation.end()));
  std::vector<score::Judgement> judgements;
  std::vector<examples::Window> windows;
  for (Sequence& s : sequences) {
    if (s.in_own_unit && largest > 0.0F)
      std::for_each(s.levels.begin(), s.levels.end(), [&](float& v) { v *= score::kHighestLevel / largest; });
    judgements.push_back(score::simulated(s.question, std::move(s.levels)));
    windows.push_back(std::move(s.question.window));
  }
  constexpr std::uint64_t kSeed = 1;
  result.score = score::summarize(latent, judgements, 0);
  score::add_simulation(result.score, judgements, windows, kSeed);
  return result;
}

}  // namespace gloss::exchange
