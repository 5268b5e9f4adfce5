#include "gloss/exchange/openai_files.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "gloss/base/error.h"
#include "gloss/exchange/simulations.h"
#include "gloss/formats/json_file.h"
#include "gloss/score/judge.h"

namespace gloss::exchange {
namespace {

using Json = nlohmann::json;
using Ordered = nlohmann::ordered_json;

constexpr double kSame = 0.005;  // of two correlations

Ordered object(const char* dataclass) { return {{"dataclass_name", dataclass}}; }

Ordered neuron_id(std::uint32_t layer, LatentId latent) {
  Ordered id = object("NeuronId");
  id["layer_index"] = layer;
  id["neuron_index"] = to_index(latent);
  return id;
}

/// NaN is null, as their writer has it.
Ordered number_or_null(double value) { return std::isfinite(value) ? Ordered(value) : Ordered(nullptr); }

Ordered records_of(const std::vector<examples::PageSequence>& sequences) {
  Ordered records = Ordered::array();
  for (const examples::PageSequence& sequence : sequences) {
    Ordered record = object("ActivationRecord");
    record["tokens"] = sequence.tokens;
    record["activations"] = sequence.values;
    records.push_back(std::move(record));
  }
  return records;
}

std::string text_of(const Ordered& json) { return json.dump(-1, ' ', false, Ordered::error_handler_t::replace) + "\n"; }

}  // namespace

OpenAiReading each_openai_line(const std::filesystem::path& file, const std::string& hookpoint,
                               const TakeExplanation& take) {
  const std::uint32_t layer = layer_of(hookpoint);
  OpenAiReading reading;
  each_json_line(file, [&](const Json& json, const std::string& where) {
    const formats::Fields fields(json, where);
    const formats::Fields neuron(fields.at("neuron_id"), where + ": neuron_id");
    const std::uint64_t found = neuron.integer("layer_index", 0, std::numeric_limits<std::uint32_t>::max());
    if (found != layer)
      fail_input(neuron.where(), fmt::format("layer_index {}, wanted {} because of {}", found, layer, hookpoint),
                 "name the hookpoint of those neurons with --hookpoint");
    const LatentId latent = latent_of(neuron.at("neuron_index"), neuron.where());
    const Json& scored = list_of(fields, "scored_explanations");
    for (std::size_t i = 0; i < scored.size(); ++i) {
      const formats::Fields one(scored[i], fmt::format("{}: scored_explanations {}", where, i));
      GivenExplanation given{{hookpoint, i == 0 ? "openai" : fmt::format("openai:{}", i + 1), {}}, one.where()};
      given.row.explanation.latent = latent;
      given.row.explanation.text = one.string("explanation");
      if (is_blank(given.row.explanation.text)) {
        ++reading.left_out.explanations;
        continue;
      }
      if (one.has("scored_simulation")) {
        auto score = simulation_score(one.at("scored_simulation"), latent, one.where() + ": scored_simulation");
        if (score) {
          const double own = score::headline("simulation", score->score).value.value;
          const score::LatentScore& s = score->score;
          reading.simulated += s.tp + s.fp + s.tn + s.fn > 0 ? 1 : 0;
          reading.differing += std::abs(own - score->said) > kSame ? 1 : 0;
          add_score(given, {"simulation", "openai", std::move(score->score)}, one.where());
        }
      }
      take(given);
    }
  });
  return reading;
}

std::string openai_results(std::uint32_t layer, LatentId latent, const std::vector<SimulatedText>& explanations) {
  Ordered results = object("NeuronSimulationResults");
  results["neuron_id"] = neuron_id(layer, latent);
  results["scored_explanations"] = Ordered::array();
  for (const auto& [text, correlation] : explanations) {
    Ordered simulation = object("ScoredSimulation");
    simulation["scored_sequence_simulations"] = Ordered::array();
    simulation["ev_correlation_score"] = number_or_null(correlation);
    simulation["rsquared_score"] = nullptr;
    simulation["absolute_dev_explained_score"] = nullptr;
    Ordered scored = object("ScoredExplanation");
    scored["explanation"] = text;
    scored["scored_simulation"] = std::move(simulation);
    results["scored_explanations"].push_back(std::move(scored));
  }
  return text_of(results);
}

std::string openai_record(std::uint32_t layer, LatentId latent, const examples::LatentContexts& contexts) {
  Ordered record = object("NeuronRecord");
  record["neuron_id"] = neuron_id(layer, latent);
  record["random_sample"] = records_of(contexts.random);
  record["random_sample_by_quantile"] = nullptr;
  record["quantile_boundaries"] = nullptr;
  record["mean"] = number_or_null(contexts.mean);
  record["variance"] = number_or_null(contexts.variance);
  record["skewness"] = number_or_null(contexts.skewness);
  record["kurtosis"] = number_or_null(contexts.kurtosis);
  record["most_positive_activation_records"] = records_of(contexts.strongest);
  return text_of(record);
}

}  // namespace gloss::exchange
