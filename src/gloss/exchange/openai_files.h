#pragma once
/// Files of OpenAI's neuron explainer: explanations/LAYER/NEURON.jsonl (NeuronSimulationResults) and
/// collated-activations/LAYER/NEURON.json (NeuronRecord). Format: docs/formats/explanations.md. Source:
/// openai/automated-interpretability @ e4aa21b, activations/activations.py, explanations/explanations.py.
#include <cstddef>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "gloss/examples/latent_page.h"
#include "gloss/exchange/given_explanation.h"

namespace gloss::exchange {

struct OpenAiReading {
  LeftOut left_out;
  std::size_t simulated = 0;  // explanations whose score was computed from the sequences in the file
  std::size_t differing = 0;  // of them, those whose file says another correlation: by more than 0.005
};
/// Calls `take` with each explanation of a file for the neurons of `hookpoint`: the first of a neuron is by "openai",
/// the second by "openai:2", and so on, with its score by simulation and the judge "openai" (simulation_score). Empty
/// ones are left out. Errors: bad_input with file and line; a layer that is not the first number in the hookpoint's
/// name.
OpenAiReading each_openai_line(const std::filesystem::path& file, const std::string& hookpoint,
                               const TakeExplanation& take);

/// An explanation and the number by simulation that it has, NaN where it has none.
using SimulatedText = std::pair<std::string, double>;
/// The line of a neuron's file. Sequences are not in it: a run keeps none of simulation's answers.
std::string openai_results(std::uint32_t layer, LatentId latent, const std::vector<SimulatedText>& explanations);
/// The text of a neuron's record. Samples by quantile are not in it.
std::string openai_record(std::uint32_t layer, LatentId latent, const examples::LatentContexts& contexts);

}  // namespace gloss::exchange
