#pragma once
/// Figures of a run: each a Vega-Lite specification that holds its numbers, and the same numbers as CSV. They open in
/// the report's page, in a notebook, and in any editor of Vega-Lite. Which there are: docs/figures.md.
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gloss/base/ids.h"
#include "gloss/report/run_data.h"
#include "gloss/report/summary.h"

namespace gloss::report {

/// Numbers of a figure. Shapes: rows [n][columns]; each a number, a text, true or false, or null (not known).
struct FigureTable {
  std::vector<std::string> columns;
  std::vector<std::vector<nlohmann::json>> rows;

  std::string csv() const;
};

struct Figure {
  std::string name, title;  // the name is a file's: a-z, 0-9 and '-'
  FigureTable table;        // everything
  nlohmann::json spec;
};

struct FigureOptions {
  std::vector<std::string> names;  // which; "agreement" and "judges" stand for all of theirs; none = all there are
  std::optional<std::pair<std::string, LatentId>> latent;  // of `outcomes`
  std::uint64_t seed = 1;
  std::size_t most_points = 5'000;  // drawn; the CSV has all
};

/// Those that the run has numbers for. Errors: usage for an unknown name (lists the known), for `outcomes` without a
/// latent; bad_input for one asked for by name that the run has no numbers for (says what is missing).
std::vector<Figure> make_figures(const RunData& data, const RunSummary& summary, const FigureOptions& options);

/// FOLDER/NAME.vl.json and NAME.csv of each, and the paths of the former. Errors: failed (disk).
std::vector<std::filesystem::path> write_figures(const std::filesystem::path& folder,
                                                 const std::vector<Figure>& figures);
/// A page that draws them and loads nothing.
std::string figures_page(const RunData& data, const std::vector<Figure>& figures);

}  // namespace gloss::report
