#include "gloss/app/run_data.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "gloss/base/error.h"
#include "gloss/formats/json_file.h"

namespace gloss::app {
namespace {

using Json = nlohmann::json;
constexpr const char* kExamplesKey = "examples";

Json to_json(const ExampleSettings& s) {
  const examples::Options& o = s.options;
  const examples::Options usual;
  Json json{{"window", o.window},
            {"quantiles", o.quantiles},
            {"explain", o.explain},
            {"test", o.test},
            {"silent", o.silent},
            {"min-windows", o.min_windows},
            {"split-documents", o.split_documents},
            {"seed", o.seed},
            {"tau", fmt::format("{}", s.tau)}};
  // Those that came later stand there only where they are set, so that older runs can be gone on with.
  if (o.refine != usual.refine) json["refine"] = o.refine;
  if (o.sampler != usual.sampler) json["sampler"] = name_of(o.sampler);
  if (o.top_n != usual.top_n) json["top-n"] = o.top_n;
  if (o.center != usual.center) json["center"] = o.center;
  if (o.negatives != usual.negatives) json["negatives"] = name_of(o.negatives);
  if (o.negatives == examples::Negatives::neighbours || o.negatives == examples::Negatives::mixed)
    json["negatives-neighbours"] = index::name_of(s.neighbours);
  if (o.contrast > 0) json["contrast"] = o.contrast;
  if (o.contrast > 0 || o.negatives == examples::Negatives::semantic) {
    json["embedding-model"] = s.embedding_model;
    json["semantic-pool"] = s.semantic_pool;
  }
  return json;
}

index::WeightList parse_neighbours(const std::string& name) {
  using index::WeightList;
  std::vector<std::string> known;
  for (const WeightList list :
       {WeightList::decoder_neighbours, WeightList::encoder_neighbours, WeightList::cooccurring}) {
    if (index::name_of(list) == name) return list;
    known.emplace_back(index::name_of(list));
  }
  fail_unknown_name("list of neighbours", name, known);
}

Inputs to_inputs(const Json& json) {
  Inputs inputs;
  for (const auto& [key, value] : json.items())
    inputs[key] = value.is_string() ? value.get<std::string>() : value.dump();
  return inputs;
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

bool has_example_settings(const store::Store& store) {
  return store.setting(kExamplesKey).has_value() || store.has_explanations();
}

ExampleSettings kept_example_settings(const store::Store& store, const RunFolder& run) {
  const std::optional<std::string> kept = store.setting(kExamplesKey);
  if (!kept) {
    if (!store.has_explanations())
      fail_input(run.root().string(), "nothing was explained yet",
                 fmt::format("gloss explain {} comes first", run.root().string()));
    ExampleSettings settings;
    settings.options.window = std::gcd(settings.options.window, text::TokenFile::open(run.tokens()).ctx_len());
    return settings;
  }
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
  if (fields.has("refine")) s.options.refine = number("refine");
  if (fields.has("sampler")) s.options.sampler = examples::parse_sampler(fields.string("sampler"));
  if (fields.has("top-n")) s.options.top_n = number("top-n");
  if (fields.has("center")) s.options.center = fields.boolean("center");
  if (fields.has("negatives")) s.options.negatives = examples::parse_negatives(fields.string("negatives"));
  if (fields.has("negatives-neighbours")) s.neighbours = parse_neighbours(fields.string("negatives-neighbours"));
  if (fields.has("contrast")) s.options.contrast = number("contrast");
  if (fields.has("embedding-model")) s.embedding_model = fields.string("embedding-model");
  if (fields.has("semantic-pool")) s.semantic_pool = number("semantic-pool");
  return s;
}

ExampleSettings settle_example_settings(store::Store& store, const RunFolder& run) {
  ExampleSettings settings = kept_example_settings(store, run);
  if (!store.setting(kExamplesKey)) keep_example_settings(store, run, settings);
  return settings;
}

void keep_method(store::Store& store, const RunFolder& run, const std::string& name, const std::string& fingerprint,
                 bool redo) {
  const std::optional<std::string> kept = store.setting(name);
  if (kept && *kept != fingerprint && !redo)
    fail_input(run.root().string(), fmt::format("{} was used here with another model, prompt or --until-width", name),
               "use the same options as before, a new run folder, or --redo to replace what is there");
  if (!kept || *kept != fingerprint) store.put_setting(name, fingerprint);
}

score::QuestionOptions question_options(const ExampleSettings& settings) {
  score::QuestionOptions questions;
  questions.quantiles = settings.options.quantiles;
  questions.tau = settings.tau;
  questions.seed = settings.options.seed;
  return questions;
}

}  // namespace gloss::app
