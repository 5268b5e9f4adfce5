#include "gloss/app/report_data.h"

#include <fmt/format.h>

#include <filesystem>
#include <map>
#include <memory>
#include <optional>

#include "gloss/app/example_options.h"
#include "gloss/app/input_output_stage.h"
#include "gloss/app/version.h"
#include "gloss/base/quantity.h"

namespace gloss::app {

std::vector<std::pair<std::string, std::string>> run_facts(const RunData& data, const ExampleSettings& settings) {
  std::vector<std::pair<std::string, std::string>> facts;
  const auto meta = [](const index::Reader& reader, const char* key) {
    const auto it = reader.metadata().find(key);
    return it == reader.metadata().end() ? std::string("unknown") : it->second;
  };
  bool first = true;
  for (const std::string& hookpoint : data.run.hookpoints()) {
    const index::Reader reader = data.index(hookpoint);
    if (first) facts.emplace_back("model", meta(reader, "model"));
    first = false;
    facts.emplace_back(fmt::format("coder at {}", hookpoint),
                       fmt::format("{} latents, {} ({})", reader.latent_count(), meta(reader, "coder_activation"),
                                   meta(reader, "coder_format")));
  }
  facts.emplace_back("tokens",
                     fmt::format("{} in contexts of {}", format_count(static_cast<double>(data.tokens.token_count())),
                                 data.tokens.ctx_len()));
  facts.emplace_back("windows", fmt::format("{} tokens; a token is marked from {} of its window's maximum",
                                            settings.options.window, settings.tau));
  facts.emplace_back("seed", std::to_string(settings.options.seed));
  facts.emplace_back("gloss", version_short());
  return facts;
}

std::function<examples::LatentExamples(std::string_view, LatentId)> example_source(const RunData& data,
                                                                                   const ExampleSettings& settings) {
  auto builders = std::make_shared<std::map<std::string, examples::Builder, std::less<>>>();
  return [&data, settings, builders](std::string_view hookpoint, LatentId latent) {
    auto it = builders->find(hookpoint);
    if (it == builders->end()) {
      SilentReporter silent;  // what takes long was done when the windows were first drawn
      it = builders->emplace(hookpoint, make_builder(data, data.index(std::string(hookpoint)), settings, silent)).first;
    }
    return it->second.build(latent);
  };
}

report::RunData figure_data(const RunData& data, const store::Store& store, const report::LatentSet* only) {
  report::RunData result = only == nullptr ? report::from_store(store) : report::from_store(store, *only);
  result.title = std::filesystem::absolute(data.run.root()).lexically_normal().filename().string();
  return result;
}

report::RunData report_data(const RunData& data, const store::Store& store, const report::LatentSet* only) {
  const ExampleSettings settings = kept_example_settings(store, data.run);
  report::RunData result = figure_data(data, store, only);
  result.facts = run_facts(data, settings);
  result.questions = question_options(settings);
  result.questions.detection_per_quantile = settings.options.test;  // however many were asked about, all can be shown
  result.tokenizer = data.tokenizer;
  result.tokens = data.tokens;
  auto weights = std::make_shared<std::map<std::string, std::optional<index::LatentWeightsReader>, std::less<>>>();
  result.weights = [&data, weights](std::string_view hookpoint) -> const index::LatentWeightsReader* {
    auto it = weights->find(hookpoint);
    if (it == weights->end()) it = weights->emplace(hookpoint, data.weights(std::string(hookpoint))).first;
    return it->second ? &*it->second : nullptr;
  };
  auto scores = std::make_shared<std::map<std::string, std::optional<index::InputOutput>, std::less<>>>();
  result.input_output = [&data, scores](std::string_view hookpoint) -> const index::InputOutput* {
    auto it = scores->find(hookpoint);
    if (it == scores->end())
      it = scores->emplace(hookpoint, input_output_of(data, data.index(std::string(hookpoint)))).first;
    return it->second ? &*it->second : nullptr;
  };
  result.examples = example_source(data, settings);
  auto indexes = std::make_shared<std::map<std::string, index::Reader, std::less<>>>();
  result.histograms = [&data, indexes](std::string_view hookpoint, LatentId latent) {
    constexpr std::uint32_t kStrengthBins = 30;
    constexpr std::uint32_t kMostOffsetBins = 32;
    auto it = indexes->find(hookpoint);
    if (it == indexes->end()) it = indexes->emplace(hookpoint, data.index(std::string(hookpoint))).first;
    return report::FiringHistograms{index::strength_histogram(it->second, latent, kStrengthBins),
                                    index::offset_histogram(it->second, latent, kMostOffsetBins)};
  };
  return result;
}

}  // namespace gloss::app
