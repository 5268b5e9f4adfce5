#include "gloss/app/run_data.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "gloss/base/error.h"
#include "gloss/base/parallel.h"
#include "gloss/formats/json_file.h"

namespace gloss::app {
namespace {

using Json = nlohmann::json;
constexpr const char* kExamplesKey = "examples";

Json to_json(const ExampleSettings& s) {
  const examples::Options& o = s.options;
  return {{"window", o.window},
          {"quantiles", o.quantiles},
          {"explain", o.explain},
          {"test", o.test},
          {"silent", o.silent},
          {"min-windows", o.min_windows},
          {"split-documents", o.split_documents},
          {"seed", o.seed},
          {"tau", fmt::format("{}", s.tau)}};
}

Inputs to_inputs(const Json& json) {
  Inputs inputs;
  for (const auto& [key, value] : json.items())
    inputs[key] = value.is_string() ? value.get<std::string>() : value.dump();
  return inputs;
}

std::uint32_t count_windows(const index::Firings& firings, std::uint32_t window) {
  std::uint32_t count = 0;
  std::uint32_t last = 0;
  for (std::size_t i = 0; i < firings.size(); ++i) {
    const std::uint32_t w = firings.position[i] / window;
    if (i == 0 || w != last) ++count;
    last = w;
  }
  return count;
}

/// Of an index or what lies beside it.
template <class Reader>
void check_tokens(const RunData& data, const Reader& reader) {
  const auto it = reader.metadata().find("tokens_fingerprint");
  if (it != reader.metadata().end() && it->second != data.tokens.fingerprint())
    fail_input(reader.file_name(),
               fmt::format("was made from tokens {}, but {} holds {}", it->second, data.run.tokens().string(),
                           data.tokens.fingerprint()),
               "files of two runs were mixed; run gloss cache into a new folder");
}

}  // namespace

RunData RunData::open(const RunFolder& run) {
  run.hookpoints();  // tells what to do when there is no cache yet
  return {run, text::Tokenizer::load(run.tokenizer()), text::TokenFile::open(run.tokens())};
}

index::Reader RunData::index(const std::string& hookpoint) const {
  index::Reader reader = index::Reader::open(run.index(hookpoint));
  check_tokens(*this, reader);
  return reader;
}

std::optional<index::LatentWeightsReader> RunData::weights(const std::string& hookpoint) const {
  std::error_code ignored;
  if (!std::filesystem::exists(run.weights(hookpoint), ignored)) return std::nullopt;
  index::LatentWeightsReader reader = index::LatentWeightsReader::open(run.weights(hookpoint));
  check_tokens(*this, reader);
  const std::uint32_t latents = index(hookpoint).latent_count();
  if (reader.latent_count() != latents)
    fail_input(reader.file_name(),
               fmt::format("has {} latents, but the index beside it {}", reader.latent_count(), latents),
               "files of two runs were mixed; delete it and run gloss cache again, which makes it anew");
  return reader;
}

void keep_example_settings(store::Store& store, const RunFolder& run, const ExampleSettings& settings) {
  const Json now = to_json(settings);
  const std::optional<std::string> kept = store.setting(kExamplesKey);
  if (!kept) {
    store.put_setting(kExamplesKey, now.dump());
    return;
  }
  const std::string changes =
      describe_changes(to_inputs(formats::parse_json(*kept, run.results().string())), to_inputs(now));
  if (!changes.empty())
    fail_input(run.root().string(), fmt::format("its windows were drawn with other settings: {}", changes),
               fmt::format("all explainers and scorers of a run share one split; delete {} to start over",
                           run.results().string()));
}

ExampleSettings kept_example_settings(const store::Store& store, const RunFolder& run) {
  const std::optional<std::string> kept = store.setting(kExamplesKey);
  if (!kept)
    fail_input(run.root().string(), "nothing was explained yet",
               fmt::format("gloss explain {} comes first", run.root().string()));
  const Json json = formats::parse_json(*kept, run.results().string());
  const formats::Fields fields(json, run.results().string() + ": setting 'examples'");
  constexpr std::uint64_t kMax = 1U << 30;
  const auto number = [&](const char* key) { return static_cast<std::uint32_t>(fields.integer(key, 0, kMax)); };
  ExampleSettings s;
  s.options.window = number("window");
  s.options.quantiles = number("quantiles");
  s.options.explain = number("explain");
  s.options.test = number("test");
  s.options.silent = number("silent");
  s.options.min_windows = number("min-windows");
  s.options.split_documents = fields.boolean("split-documents");
  s.options.seed = fields.integer("seed", 0, std::numeric_limits<std::uint64_t>::max());
  s.tau = std::stof(fields.string("tau"));
  return s;
}

void keep_method(store::Store& store, const RunFolder& run, const std::string& name, const std::string& fingerprint,
                 bool redo) {
  const std::optional<std::string> kept = store.setting(name);
  if (kept && *kept != fingerprint && !redo)
    fail_input(run.root().string(), fmt::format("{} was used here with another model or prompt", name),
               "use the same --llm-model and --prompts, a new run folder, or --redo to replace what is there");
  if (!kept || *kept != fingerprint) store.put_setting(name, fingerprint);
}

score::QuestionOptions question_options(const ExampleSettings& settings) {
  score::QuestionOptions questions;
  questions.quantiles = settings.options.quantiles;
  questions.tau = settings.tau;
  questions.seed = settings.options.seed;
  return questions;
}

std::vector<bool> eligible_latents(const index::Reader& reader, std::uint32_t window, std::uint32_t min_windows,
                                   std::size_t threads) {
  constexpr std::size_t kBlock = 256;
  const std::size_t latents = reader.latent_count();
  std::vector<std::uint8_t> enough(latents, 0);
  parallel_for((latents + kBlock - 1) / kBlock, threads, [&](std::size_t block, std::size_t) {
    for (std::size_t f = block * kBlock; f < std::min(latents, (block + 1) * kBlock); ++f) {
      const LatentId latent{static_cast<std::uint32_t>(f)};
      if (reader.count(latent) == 0) continue;
      enough[f] = count_windows(reader.firings(latent), window) >= min_windows ? 1 : 0;
    }
  });
  return {enough.begin(), enough.end()};
}

}  // namespace gloss::app
