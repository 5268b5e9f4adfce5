#pragma once
/// Joins a run's store, tokens and indexes into what reports are made of.
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gloss/app/run_data.h"
#include "gloss/report/run_data.h"
#include "gloss/store/store.h"

namespace gloss::app {

/// `only`: of these latents alone, as report::from_store(). Lifetime: `data` and `store` must outlive the result.
/// Errors: bad_input when nothing was explained yet.
report::RunData report_data(const RunData& data, const store::Store& store, const report::LatentSet* only = nullptr);

/// The same without what shows windows, also of a run that was filtered and never explained.
report::RunData figure_data(const RunData& data, const store::Store& store, const report::LatentSet* only = nullptr);

/// Model, coders, tokens, windows, seed and version, in the order shown.
std::vector<std::pair<std::string, std::string>> run_facts(const RunData& data, const ExampleSettings& settings);
/// Draws the windows of a latent as explainers and scorers had them. Threads: one at a time. Lifetime: `data` must
/// outlive the result.
std::function<examples::LatentExamples(std::string_view hookpoint, LatentId latent)> example_source(
    const RunData& data, const ExampleSettings& settings);

}  // namespace gloss::app
