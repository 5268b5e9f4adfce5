#pragma once
/// Explanations with their scores as Parquet, through Apache Arrow where the build has it: parquet_arrow.cpp, or
/// parquet_none.cpp, whose error says how to get it. Format: docs/formats/explanations.md.
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "gloss/exchange/explanation_table.h"

namespace gloss::exchange {

/// The rows of each_table_row(), in columns of strings, unsigned 64-bit integers and doubles, null where there is
/// nothing. Nothing is left where it fails. Returns how many explanations.
std::size_t write_explanation_parquet(const store::Store& store, const std::vector<std::string>& hookpoints,
                                      const std::filesystem::path& file);
/// each_table_explanation() of a file; columns of other types than strings, integers and reals are passed over.
LeftOut each_parquet_explanation(const std::filesystem::path& file, const TableDefaults& defaults,
                                 const TakeExplanation& take);

}  // namespace gloss::exchange
