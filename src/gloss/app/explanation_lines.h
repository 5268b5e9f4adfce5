#pragma once
/// Explanations as JSON lines: gloss's own, and those of Neuronpedia's bulk files. Format:
/// docs/formats/explanations.md.
#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/store/store.h"

namespace gloss::app {

/// A line of a file, .jsonl or .jsonl.gz, and where it stands.
struct ExplanationLine {
  store::ExplanationRow row;
  std::string where;
};
using TakeLine = std::function<void(const ExplanationLine&)>;

/// Calls `take` with each line that holds an explanation; those of failed ones are left out, and counted in the result.
/// Errors: bad_input with file and line: no JSON object, a key that is missing or of another type, an empty text.
std::size_t each_explanation_line(const std::filesystem::path& file, const TakeLine& take);
/// The same of Neuronpedia's `explanations/batch-N.jsonl.gz`, for the latents of `hookpoint`: explainer
/// "neuronpedia:TYPE" or "neuronpedia:TYPE:MODEL", as each line names them. Source: hijohnnylin/neuronpedia,
/// apps/webapp/prisma/schema.prisma (Explanation).
std::size_t each_neuronpedia_line(const std::filesystem::path& file, std::string_view hookpoint, const TakeLine& take);
/// The same of OpenAI's `explanations/LAYER/NEURON.jsonl` (NeuronSimulationResults), for the neurons of `hookpoint`:
/// the first explanation of a neuron is by "openai", the second by "openai:2", and so on; scores are not read. Errors:
/// also a layer that is not the first number in the hookpoint's name. Source: openai/automated-interpretability @
/// e4aa21b, explanations/explanations.py.
std::size_t each_openai_line(const std::filesystem::path& file, const std::string& hookpoint, const TakeLine& take);

/// One line for each explanation of the hookpoints, with its scores: ordered by hookpoint, latent, explainer. Shuffled
/// baselines are left out. Returns how many.
std::size_t write_explanation_lines(const store::Store& store, const std::vector<std::string>& hookpoints,
                                    const std::function<void(std::string_view text)>& write);

}  // namespace gloss::app
