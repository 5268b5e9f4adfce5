// gloss export --format sae-dashboard.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>

#include "gloss/app/exchange.h"
#include "gloss/app/latent_properties.h"
#include "gloss/app/run_data.h"
#include "gloss/base/error.h"
#include "gloss/base/interrupt.h"
#include "gloss/base/output_file.h"
#include "gloss/examples/sae_dashboard.h"
#include "gloss/exchange/given_explanation.h"
#include "gloss/formats/safetensors.h"
#include "gloss/store/store.h"

namespace gloss::app {
namespace {

namespace fs = std::filesystem;

int export_again(const ExchangeOptions& o, Context& context) {
  must_not_be(o.other);
  const examples::DashboardBatch batch = examples::DashboardBatch::open(o.run);
  std::vector<LatentId> chosen = batch.latents();
  if (o.latents != "alive" && !chosen.empty()) {
    const std::uint32_t end = to_index(*std::max_element(chosen.begin(), chosen.end())) + 1;
    std::vector<bool> there(end, false);
    for (const LatentId latent : chosen) there[to_index(latent)] = true;
    chosen = examples::LatentSpec::parse(o.latents).select("", end, o.common.seed, there);
    std::erase_if(chosen, [&](LatentId latent) { return !there[to_index(latent)]; });
  }
  if (chosen.empty()) fail_input(o.run, fmt::format("has none of the latents {}", o.latents));
  write_file(o.other, batch.text(chosen));
  context.reporter.info(fmt::format("{} latents of {} written to {}", chosen.size(), batch.name(), o.other));
  return kDone;
}

void export_hookpoint(const ExchangeOptions& o, const RunData& data, const std::string& hookpoint, Context& context) {
  const index::Reader reader = data.index(hookpoint);
  const std::optional<index::LatentWeightsReader> weights = data.weights(hookpoint);
  const std::vector<LatentId> latents = chosen_latents(o, data.run, reader);
  if (latents.empty()) fail_input(hookpoint, fmt::format("has none of the latents {}", o.latents));
  examples::DashboardOrigin origin;
  origin.model_id = o.model_name.empty() ? value_of(reader.metadata(), "model") : o.model_name;
  origin.sae_set = o.sae_set;
  origin.dataset = value_of(formats::SafeTensors::open(data.run.tokens()).metadata(), "text");
  origin.layer = exchange::layer_of(hookpoint);
  origin.prompts = data.tokens.context_count();
  origin.tokens_in_prompt = data.tokens.ctx_len();
  examples::PageOptions options;
  options.seed = o.common.seed;
  const fs::path folder = fs::path(o.other) / hookpoint;
  fs::create_directories(folder);
  std::size_t files = 0;
  for (std::size_t begin = 0; begin < latents.size(); begin += examples::kDashboardBatch, ++files) {
    const std::size_t end = std::min(begin + examples::kDashboardBatch, latents.size());
    stop_if_interrupted();
    std::vector<examples::LatentPage> pages;
    for (std::size_t i = begin; i < end; ++i)
      pages.push_back(examples::latent_page(reader, data.tokens, data.tokenizer, weights ? &*weights : nullptr,
                                            latents[i], options));
    write_file(folder / fmt::format("batch-{}.json", files), examples::dashboard_text(origin, pages));
    context.reporter.progress({"export " + hookpoint, end, latents.size(), "latents", ""});
  }
  context.reporter.info(
      fmt::format("{}: {} latents written to {} files of {}", hookpoint, latents.size(), files, folder.string()));
  if (!weights) context.reporter.warn(fmt::format("{}: the run has no weights, so no tokens are listed", hookpoint));
}

}  // namespace

std::string value_of(const std::map<std::string, std::string>& metadata, const std::string& key) {
  const auto found = metadata.find(key);
  return found == metadata.end() ? std::string() : found->second;
}

void must_not_be(const fs::path& path) {
  if (fs::exists(path)) fail_input(path.string(), "is there already", "name a place where nothing is");
}

std::vector<LatentId> chosen_latents(const ExchangeOptions& o, const RunFolder& run, const index::Reader& reader) {
  std::optional<store::Store> store;
  if (fs::exists(run.results())) store.emplace(run.results());
  std::vector<bool> alive(reader.latent_count());
  for (std::uint32_t f = 0; f < reader.latent_count(); ++f) alive[f] = reader.count(LatentId{f}) > 0;
  return examples::LatentSpec::parse(o.latents).select(
      reader.hookpoint(), reader.latent_count(), o.common.seed, alive,
      properties_of(reader, reader.hookpoint(), store ? &*store : nullptr));
}

int export_sae_dashboard(const ExchangeOptions& o, Context& context) {
  if (fs::is_regular_file(o.run)) return export_again(o, context);
  const RunData data = RunData::open(RunFolder(o.run));
  const std::vector<std::string> hookpoints = data.run.select_hookpoints(o.hookpoints);
  for (const std::string& hookpoint : hookpoints) {  // all faults of form show before the work
    must_not_be(fs::path(o.other) / hookpoint);
    exchange::layer_of(hookpoint);
  }
  for (const std::string& hookpoint : hookpoints) {
    try {
      export_hookpoint(o, data, hookpoint, context);
    } catch (...) {  // a folder with a part of the latents would look like all of them
      std::error_code ignored;
      fs::remove_all(fs::path(o.other) / hookpoint, ignored);
      throw;
    }
  }
  context.reporter.info(
      "not in sae-dashboard's files: explanations, scores; not in a run: correlated neurons and latents, neuron "
      "alignment");
  return kDone;
}

}  // namespace gloss::app
