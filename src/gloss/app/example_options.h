#pragma once
/// The flags that say which windows a latent's examples are, and the builders that follow them.
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "gloss/app/run_data.h"
#include "gloss/base/reporter.h"
#include "gloss/examples/examples.h"
#include "gloss/index/reader.h"

namespace gloss::app {

/// What --latents takes (examples::LatentSpec).
inline constexpr const char* kLatentsHelp =
    "numbers and ranges (0-99,512), file:LIST.csv (hookpoint,latent a line) or all; of these only alive or dead ones, "
    "those of a density:1e-4..1e-2 (fraction of tokens), or those for which a condition holds, such as 'not positional "
    "and density<0.01' (and, or, not, brackets; kinds that gloss filter told; density, firings and max with <, <=, >, "
    ">=); of these random:300; with commas between";

/// Adds them to a command. Lifetime: `settings` must outlive parsing.
void add_example_options(CLI::App& cli, ExampleSettings& settings);

/// What draws the windows of `reader`'s latents by these settings: explainers, scorers and reports have the same.
/// Errors: usage or bad_input when the run lacks what the settings need (neighbours, a model of sentence embeddings).
examples::Builder make_builder(const RunData& data, const index::Reader& reader, const ExampleSettings& settings,
                               Reporter& reporter);
/// One for each thread.
std::vector<examples::Builder> make_builders(const RunData& data, const index::Reader& reader,
                                             const ExampleSettings& settings, std::size_t threads, Reporter& reporter);

/// Latents with at least as many activating windows as the settings want, by latent.
std::vector<bool> eligible_latents(const RunData& data, const index::Reader& reader, const ExampleSettings& settings,
                                   std::size_t threads);

}  // namespace gloss::app
