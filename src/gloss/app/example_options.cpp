#include "gloss/app/example_options.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "gloss/app/semantic_stage.h"
#include "gloss/base/error.h"
#include "gloss/base/parallel.h"

namespace gloss::app {
namespace {

/// An option that is a name of something. `parse` fails with the known names.
template <class T, class Parse>
void add_named(CLI::App& cli, const std::string& flag, T& value, const Parse& parse, const std::string& description) {
  cli.add_option_function<std::string>(
         flag, [&value, parse](const std::string& name) { value = parse(name); }, description)
      ->default_str(std::string(name_of(value)));
}

void add_counts(CLI::App& cli, examples::Options& e) {
  cli.add_option("--explain-windows", e.explain, "activating windows shown to the explainer, chosen by --sampler");
  cli.add_option("--test-windows", e.test, "activating windows kept for scorers, equally from all quantiles");
  cli.add_option("--refine-windows", e.refine,
                 "activating windows kept for explainers that refine, of what the other two leave");
  cli.add_option("--silent-windows", e.silent, "silent windows for each of explaining, testing and refining");
  cli.add_option("--min-windows", e.min_windows, "a latent with fewer activating windows is too rare");
}

index::WeightList neighbours_named(const std::string& name) {
  const std::vector<std::string> known{"decoder", "encoder", "cooccurrence"};
  if (name == "decoder") return index::WeightList::decoder_neighbours;
  if (name == "encoder") return index::WeightList::encoder_neighbours;
  if (name == "cooccurrence") return index::WeightList::cooccurring;
  fail_unknown_name("kind of neighbours", name, known);
}

void add_negatives(CLI::App& cli, ExampleSettings& settings) {
  add_named(cli, "--negatives", settings.options.negatives, examples::parse_negatives,
            "silent windows that test and refine: random; neighbours (in which the latent's nearest ones fire); "
            "semantic (nearest in meaning to the explain windows); mixed (half random, half neighbours)");
  cli.add_option_function<std::string>(
         "--negatives-neighbours",
         [&settings](const std::string& name) { settings.neighbours = neighbours_named(name); },
         "nearest by decoder, encoder or cooccurrence")
      ->default_str("decoder");
  cli.add_option("--contrast-windows", settings.options.contrast,
                 "silent windows nearest in meaning to the explain windows, for contrastive explainers; 0 = they see "
                 "random ones");
  cli.add_option("--embedding-model", settings.embedding_model,
                 "folder of a BERT of sentence embeddings (all-MiniLM-L6-v2), or URL#MODEL of an endpoint that speaks "
                 "as OpenAI's /embeddings, for windows near in meaning");
  cli.add_option("--semantic-pool", settings.semantic_pool,
                 "random windows of the run that are embedded, candidates of those near in meaning")
      ->check(CLI::Range(1U, 1U << 30));
}

examples::Sources sources_of(const RunData& data, const index::Reader& reader, const ExampleSettings& settings,
                             Reporter& reporter) {
  using examples::Negatives;
  examples::Sources sources;
  const Negatives negatives = settings.options.negatives;
  if (negatives == Negatives::neighbours || negatives == Negatives::mixed || settings.options.neighbours > 0) {
    if (auto weights = data.weights(reader.hookpoint()))
      sources.neighbours = examples::NeighbourSource{std::move(*weights), settings.neighbours};
  }
  if (wants_semantic_pool(settings)) sources.semantic = semantic_pool(data, settings, available_threads(), reporter);
  return sources;
}

}  // namespace

void add_example_options(CLI::App& cli, ExampleSettings& settings) {
  examples::Options& e = settings.options;
  cli.add_option("--window", e.window, "tokens a window; divides the context length")->check(CLI::Range(1, 4096));
  cli.add_flag("--center", e.center,
               "place activating windows around their strongest token (24 of 32 tokens stand before it)");
  cli.add_option("--quantiles", e.quantiles, "quantiles of a latent's windows by their maximum")
      ->check(CLI::Range(1, 100));
  add_counts(cli, e);
  add_named(cli, "--sampler", e.sampler, examples::parse_sampler,
            "how explain windows are chosen: equally from all quantiles, top (the strongest), top-n (random of the "
            "--top-n strongest), random, mixture (half top-n, half random)");
  cli.add_option("--top-n", e.top_n, "of how many of the strongest windows top-n and mixture choose")
      ->check(CLI::Range(1U, 1U << 30));
  add_negatives(cli, settings);
  cli.add_flag("!--no-split-documents", e.split_documents,
               "let one document give windows to explainer and scorer both");
  cli.add_option("--tau", settings.tau, "a token is marked from this fraction of its window's maximum")
      ->check(CLI::Range(0.0, 1.0));
}

examples::Builder make_builder(const RunData& data, const index::Reader& reader, const ExampleSettings& settings,
                               Reporter& reporter) {
  return {reader, data.tokens, settings.options, sources_of(data, reader, settings, reporter)};
}

std::vector<examples::Builder> make_builders(const RunData& data, const index::Reader& reader,
                                             const ExampleSettings& settings, std::size_t threads, Reporter& reporter) {
  const examples::Sources sources = sources_of(data, reader, settings, reporter);
  std::vector<examples::Builder> builders;
  builders.reserve(threads);
  for (std::size_t i = 0; i < threads; ++i) builders.emplace_back(reader, data.tokens, settings.options, sources);
  return builders;
}

std::vector<bool> eligible_latents(const RunData& data, const index::Reader& reader, const ExampleSettings& settings,
                                   std::size_t threads) {
  constexpr std::size_t kBlock = 256;
  ExampleSettings counting = settings;
  counting.options.negatives = examples::Negatives::random;  // counting needs no sources
  counting.options.contrast = counting.options.neighbours = 0;
  SilentReporter silent;
  std::vector<examples::Builder> builders = make_builders(data, reader, counting, threads, silent);
  const std::size_t latents = reader.latent_count();
  std::vector<std::uint8_t> enough(latents, 0);
  parallel_for((latents + kBlock - 1) / kBlock, threads, [&](std::size_t block, std::size_t worker) {
    for (std::size_t f = block * kBlock; f < std::min(latents, (block + 1) * kBlock); ++f) {
      const LatentId latent{static_cast<std::uint32_t>(f)};
      if (reader.count(latent) < settings.options.min_windows) continue;
      enough[f] = builders[worker].count_windows(latent) >= settings.options.min_windows ? 1 : 0;
    }
  });
  return {enough.begin(), enough.end()};
}

}  // namespace gloss::app
