#pragma once
/// Explanations with their scores as a table, for spreadsheets and pandas. Format: docs/formats/explanations.md.
#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/app/explanation_lines.h"
#include "gloss/store/store.h"

namespace gloss::app {

/// A row for each score of each explanation of the hookpoints, ordered by hookpoint, latent, explainer, scorer, judge;
/// an explanation without a score has one row. Shuffled baselines are left out. Returns how many explanations.
std::size_t write_explanation_csv(const store::Store& store, const std::vector<std::string>& hookpoints,
                                  const std::function<void(std::string_view text)>& write);

/// What a table need not say when every row has the same.
struct CsvDefaults {
  std::string hookpoint, explainer;
};
/// Calls `take` with each explanation of a .csv or .tsv, also .gz; its first row names the columns: `latent` and
/// `explanation`, `hookpoint` and `explainer` where `defaults` has none, and if there `program` and `failure`; others
/// are not read. Rows in sequence of the same explanation are one. Failed and empty ones are left out, and counted in
/// the result. Errors: bad_input with file and line: a column that is missing or named twice, a row of another number
/// of fields, a latent that is no number.
std::size_t each_csv_explanation(const std::filesystem::path& file, const CsvDefaults& defaults, const TakeLine& take);

}  // namespace gloss::app
