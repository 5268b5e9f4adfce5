#pragma once
/// Explanations with their scores as CSV, for spreadsheets and pandas. Format: docs/formats/explanations.md.
#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/exchange/explanation_table.h"

namespace gloss::exchange {

/// The rows of each_table_row() behind a heading. Returns how many explanations.
std::size_t write_explanation_csv(const store::Store& store, const std::vector<std::string>& hookpoints,
                                  const std::function<void(std::string_view text)>& write);

/// each_table_explanation() of a .csv or .tsv, also .gz, whose first row names the columns. Errors: also a row of
/// another number of fields.
LeftOut each_csv_explanation(const std::filesystem::path& file, const TableDefaults& defaults,
                             const TakeExplanation& take);

}  // namespace gloss::exchange
