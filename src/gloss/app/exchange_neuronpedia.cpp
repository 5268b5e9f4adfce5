// gloss export --format neuronpedia: its bulk files (docs/formats/neuronpedia.md).
// Source: hijohnnylin/neuronpedia @ ebb8426, apps/webapp/prisma/schema.prisma (Neuron, Activation, Explanation) and
// apps/webapp/lib/db/import.ts, which takes the columns of a file's first line for all: every line has the same keys.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "gloss/app/exchange.h"
#include "gloss/app/run_data.h"
#include "gloss/base/error.h"
#include "gloss/base/hash.h"
#include "gloss/base/interrupt.h"
#include "gloss/base/output_file.h"
#include "gloss/examples/latent_page.h"
#include "gloss/exchange/given_explanation.h"
#include "gloss/formats/gzip_text.h"
#include "gloss/formats/safetensors.h"
#include "gloss/score/baselines.h"
#include "gloss/store/store.h"

namespace gloss::app {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::size_t kBatch = 1024;  // features, or explanations, of a file
constexpr std::string_view kImported = "neuronpedia:";

std::string line_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"; }

/// Whose rows they are: what every line says.
struct Origin {
  std::string model, source, set, creator, created, dataset;
};

/// A name that is one step of a path, in small letters as Neuronpedia keeps ids. Errors: bad_input.
std::string id_of(std::string name, const std::string& what) {
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
  if (name.empty() || name.front() == '.' || name.find('/') != std::string::npos)
    fail_input(name, fmt::format("cannot be {} of Neuronpedia, which is the name of a folder", what),
               "name another with --model-name, --sae-set");
  return name;
}

/// The name in TransformerLens of a module that has one.
Json hook_name(const std::string& hookpoint, std::uint32_t layer) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kNames{{{"", "hook_resid_post"},
                                                                                 {".input", "hook_resid_pre"},
                                                                                 {".mid", "hook_resid_mid"},
                                                                                 {".attn", "hook_attn_out"},
                                                                                 {".mlp", "hook_mlp_out"}}};
  for (const auto& [end, name] : kNames) {
    if (hookpoint == fmt::format("layers.{}{}", layer, end)) return fmt::format("blocks.{}.{}", layer, name);
  }
  return nullptr;
}

/// Ids must differ in the whole of their database; the same row exported again has the same.
std::string row_id(const Origin& origin, std::string_view table, LatentId latent, std::string_view what) {
  Hasher hash;
  for (const std::string_view part : {std::string_view(origin.model), std::string_view(origin.source), table, what})
    hash.add(part);
  hash.add_number(to_index(latent));
  return "c" + hash.digest_hex().substr(0, 24);
}

Json row_of(const Origin& origin, LatentId latent) {
  return {{"modelId", origin.model}, {"layer", origin.source}, {"index", std::to_string(to_index(latent))}};
}

void add_tokens(Json& row, const std::string& name, const std::vector<std::pair<std::string, double>>& tokens) {
  row[name + "_str"] = Json::array();
  row[name + "_values"] = Json::array();
  for (const auto& [token, value] : tokens) {
    row[name + "_str"].push_back(token);
    row[name + "_values"].push_back(value);
  }
}

Json feature_row(const Origin& origin, const examples::LatentPage& page, const Json& hook) {
  Json row = row_of(origin, page.latent);
  row["sourceSetName"] = origin.set;
  row["creatorId"] = origin.creator;
  row["createdAt"] = origin.created;
  row["maxActApprox"] = page.max;
  row["hasVector"] = false;
  row["vector"] = Json::array();
  row["vectorLabel"] = nullptr;
  row["vectorDefaultSteerStrength"] = nullptr;
  row["hookName"] = hook;
  row["topkCosSimIndices"] = Json::array();
  row["topkCosSimValues"] = Json::array();
  for (const index::WeightEntry& entry : page.neighbours) {
    row["topkCosSimIndices"].push_back(entry.id);
    row["topkCosSimValues"].push_back(entry.value);
  }
  // A run keeps nothing to fill these with.
  for (const char* name :
       {"neuron_alignment_indices", "neuron_alignment_values", "neuron_alignment_l1", "correlated_neurons_indices",
        "correlated_neurons_pearson", "correlated_neurons_l1", "correlated_features_indices",
        "correlated_features_pearson", "correlated_features_l1", "decoder_weights_dist"})
    row[name] = Json::array();
  add_tokens(row, "neg", page.suppressed);
  add_tokens(row, "pos", page.promoted);
  row["frac_nonzero"] = page.density;
  row["logits_hist_data_bar_heights"] = page.logit_heights;
  row["logits_hist_data_bar_values"] = page.logit_values;
  row["freq_hist_data_bar_heights"] = page.histogram_heights;
  row["freq_hist_data_bar_values"] = page.histogram_values;
  return row;
}

Json activation_row(const Origin& origin, LatentId latent, std::size_t number, const examples::PageSequence& s) {
  Json row = {{"id", row_id(origin, "activation", latent, std::to_string(number))}};
  row.update(row_of(origin, latent));
  const auto [least, most] = std::minmax_element(s.values.begin(), s.values.end());
  row["creatorId"] = origin.creator;
  row["createdAt"] = origin.created;
  row["tokens"] = s.tokens;
  row["values"] = s.values;
  row["maxValue"] = *most;
  row["minValue"] = *least;
  row["maxValueTokenIndex"] = most - s.values.begin();
  row["binMin"] = s.bin_min;
  row["binMax"] = s.bin_max;
  row["binContains"] = s.bin_contains;
  row["qualifyingTokenIndex"] = s.at;
  row["dataIndex"] = nullptr;
  row["dataSource"] = origin.dataset;
  row["dfaValues"] = Json::array();
  row["dfaTargetIndex"] = nullptr;
  row["dfaMaxValue"] = nullptr;
  row["lossValues"] = Json::array();
  row["logitContributions"] = nullptr;
  row["zIndices"] = Json::array();
  row["zValues"] = Json::array();
  return row;
}

/// Type and model as Neuronpedia knows them: those an import came with; of gloss's own explainers a type that the
/// export brings along.
std::pair<std::string, std::string> type_and_model(const std::string& explainer) {
  if (explainer.rfind(kImported, 0) != 0) return {"gloss_" + explainer, ""};
  const std::string rest = explainer.substr(kImported.size());
  const std::size_t colon = rest.find(':');
  return {rest.substr(0, colon), colon == std::string::npos ? std::string() : rest.substr(colon + 1)};
}

Json or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

Json explanation_row(const Origin& origin, const store::ExplanationRow& from) {
  const explain::Explanation& e = from.explanation;
  const auto [type, model] = type_and_model(from.explainer);
  Json row = {{"id", row_id(origin, "explanation", e.latent, from.explainer)}};
  row.update(row_of(origin, e.latent));
  row["authorId"] = origin.creator;
  row["description"] = e.text;
  row["embedding"] = nullptr;
  row["typeName"] = or_null(type);
  row["explanationModelName"] = or_null(model);
  row["triggeredById"] = nullptr;
  row["notes"] = nullptr;
  row["createdAt"] = origin.created;
  return row;
}

/// Lines in files FOLDER/batch-N.jsonl.gz; one that would be empty is not made, since their import reads a first line.
class Batches {
 public:
  explicit Batches(fs::path folder) : folder_(std::move(folder)) { fs::create_directories(folder_); }
  /// What is written from here on is of this batch.
  void begin(std::size_t batch) {
    commit();
    batch_ = batch;
  }
  void write(const Json& row) {
    if (!file_) file_.emplace(folder_ / fmt::format("batch-{}.jsonl.gz", batch_));
    file_->write(line_of(row));
  }
  void commit() {
    if (file_) file_->commit();
    file_.reset();
  }

 private:
  fs::path folder_;
  std::optional<formats::GzipText> file_;
  std::size_t batch_ = 0;
};

std::string time_of(const fs::path& file) {
  const auto time = std::chrono::file_clock::to_sys(fs::last_write_time(file));
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(std::chrono::floor<std::chrono::seconds>(time))));
}

Origin origin_of(const ExchangeOptions& o, const RunData& data, const index::Reader& reader) {
  Origin origin;
  const std::string model = o.model_name.empty() ? value_of(reader.metadata(), "model") : o.model_name;
  origin.model = id_of(model, "the model's id");
  origin.set = id_of(o.sae_set, "the name of a set");
  origin.source = fmt::format("{}-{}", exchange::layer_of(reader.hookpoint()), origin.set);
  origin.creator = o.creator;
  origin.created = time_of(data.run.index(reader.hookpoint()));
  origin.dataset = value_of(formats::SafeTensors::open(data.run.tokens()).metadata(), "text");
  return origin;
}

void write_origin(const Origin& origin, const RunData& data, const fs::path& folder) {
  const Json creator = {{"creatorId", origin.creator}, {"createdAt", origin.created}};
  const auto write = [&](const char* name, Json row) {
    row.update(creator);
    write_file(folder / name, line_of(row));
  };
  write("release.jsonl", {{"name", origin.set},
                          {"description", "made by gloss"},
                          {"descriptionShort", nullptr},
                          {"urls", Json::array()},
                          {"creatorName", "gloss"},
                          {"creatorNameShort", nullptr},
                          {"visibility", "PRIVATE"}});
  write("model.jsonl", {{"id", origin.model},
                        {"instruct", false},
                        {"displayName", origin.model},
                        {"displayNameShort", origin.model},
                        {"layers", 0},
                        {"neuronsPerLayer", 0},
                        {"tlensId", nullptr},
                        {"dimension", nullptr}});
  write("sourceset.jsonl", {{"modelId", origin.model},
                            {"name", origin.set},
                            {"description", "made by gloss"},
                            {"type", ""},
                            {"creatorName", "gloss"},
                            {"urls", Json::array()},
                            {"releaseName", origin.set},
                            {"visibility", "PRIVATE"}});
  write("source.jsonl", {{"id", origin.source},
                         {"modelId", origin.model},
                         {"setName", origin.set},
                         {"hasDashboards", true},
                         {"inferenceEnabled", false},
                         {"saelensConfig", nullptr},
                         {"saelensRelease", nullptr},
                         {"saelensSaeId", nullptr},
                         {"hfRepoId", nullptr},
                         {"hfFolderId", nullptr},
                         {"visibility", "PRIVATE"},
                         {"num_prompts", data.tokens.context_count()},
                         {"num_tokens_in_prompt", data.tokens.ctx_len()},
                         {"dataset", origin.dataset},
                         {"notes", nullptr}});
}

/// Explanations of the latents that are written, since a row there must be of a feature that is there.
void export_explanations(const store::Store& store, const Origin& origin, const std::string& hookpoint,
                         const std::vector<LatentId>& latents, const fs::path& folder, std::set<std::string>& types,
                         Reporter& reporter) {
  std::size_t written = 0, failed = 0, others = 0;
  std::optional<Batches> batches;
  store.each_explanation(hookpoint, "", [&](const store::ExplanationRow& row) {
    if (score::is_shuffled_name(row.explainer)) return;
    if (!std::binary_search(latents.begin(), latents.end(), row.explanation.latent)) {
      ++others;
    } else if (!row.explanation.ok()) {
      ++failed;
    } else {
      if (!batches) batches.emplace(folder / "explanations");
      if (written % kBatch == 0) batches->begin(written / kBatch);
      ++written;
      batches->write(explanation_row(origin, row));
      if (row.explainer.rfind(kImported, 0) != 0) types.insert(type_and_model(row.explainer).first);
    }
  });
  if (batches) batches->commit();
  reporter.info(fmt::format("{}: {} explanations written", hookpoint, written));
  if (failed > 0) reporter.warn(fmt::format("{}: {} failed explanations are left out", hookpoint, failed));
  if (others > 0)
    reporter.warn(fmt::format("{}: {} explanations of latents that --latents leaves out", hookpoint, others));
}

void export_hookpoint(const ExchangeOptions& o, const RunData& data, const store::Store* store,
                      const std::string& hookpoint, std::set<std::string>& types, Context& context) {
  const index::Reader reader = data.index(hookpoint);
  const std::optional<index::LatentWeightsReader> weights = data.weights(hookpoint);
  const std::vector<LatentId> latents = chosen_latents(o, data.run, reader);
  if (latents.empty()) fail_input(hookpoint, fmt::format("has none of the latents {}", o.latents));
  const Origin origin = origin_of(o, data, reader);
  const Json hook = hook_name(hookpoint, exchange::layer_of(hookpoint));
  const fs::path folder = fs::path(o.other) / "v1" / origin.model / origin.source;
  Batches features(folder / "features"), activations(folder / "activations");
  examples::PageOptions options;
  options.seed = o.common.seed;
  std::size_t sequences = 0;
  for (std::size_t i = 0; i < latents.size(); ++i) {
    stop_if_interrupted();
    if (i % kBatch == 0) {
      features.begin(i / kBatch);
      activations.begin(i / kBatch);
    }
    const examples::LatentPage page =
        examples::latent_page(reader, data.tokens, data.tokenizer, weights ? &*weights : nullptr, latents[i], options);
    features.write(feature_row(origin, page, hook));
    for (std::size_t s = 0; s < page.sequences.size(); ++s)
      activations.write(activation_row(origin, latents[i], s, page.sequences[s]));
    sequences += page.sequences.size();
    context.reporter.progress({"export " + hookpoint, i + 1, latents.size(), "latents", ""});
  }
  features.commit();
  activations.commit();
  write_origin(origin, data, folder);
  context.reporter.info(fmt::format("{}: {} latents with {} activations written to {}", hookpoint, latents.size(),
                                    sequences, folder.string()));
  if (!weights) context.reporter.warn(fmt::format("{}: the run has no weights, so no tokens are listed", hookpoint));
  if (store != nullptr) export_explanations(*store, origin, hookpoint, latents, folder, types, context.reporter);
}

/// Rows for the types of explanations that Neuronpedia does not know: an explanation of an unknown type fails there.
void write_types(const ExchangeOptions& o, const std::set<std::string>& types, const std::string& created) {
  std::string text;
  for (const std::string& type : types)
    text += line_of({{"name", type},
                     {"displayName", type},
                     {"description", "an explainer of gloss"},
                     {"featured", false},
                     {"isAttention", false},
                     {"creatorName", "gloss"},
                     {"creatorId", o.creator},
                     {"createdAt", created}});
  fs::create_directories(fs::path(o.other) / "v1" / "config");
  write_file(fs::path(o.other) / "v1" / "config" / "explanation_type.jsonl", text);
}

}  // namespace

int export_neuronpedia(const ExchangeOptions& o, Context& context) {
  const RunData data = RunData::open(RunFolder(o.run));
  const std::vector<std::string> hookpoints = data.run.select_hookpoints(o.hookpoints);
  must_not_be(o.other);
  std::map<std::string, std::string> sources;  // all faults of form show before the work
  for (const std::string& hookpoint : hookpoints) {
    const auto [known, fresh] = sources.emplace(origin_of(o, data, data.index(hookpoint)).source, hookpoint);
    if (!fresh)
      fail_input(hookpoint, fmt::format("would be the source '{}', as {} is", known->first, known->second),
                 "export them apart, each with its own --hookpoint and --sae-set");
  }
  std::optional<store::Store> store;
  if (fs::exists(data.run.results())) store.emplace(data.run.results());
  try {
    std::set<std::string> types;
    for (const std::string& hookpoint : hookpoints)
      export_hookpoint(o, data, store ? &*store : nullptr, hookpoint, types, context);
    if (!types.empty()) write_types(o, types, time_of(data.run.index(hookpoints.front())));
  } catch (...) {  // a folder with a part of the latents would look like all of them
    std::error_code ignored;
    fs::remove_all(o.other, ignored);
    throw;
  }
  context.reporter.info(
      "not in Neuronpedia's bulk files: scores, patterns; not in a run: correlated neurons and latents, neuron "
      "alignment, vectors");
  return kDone;
}

}  // namespace gloss::app
