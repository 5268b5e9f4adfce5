#pragma once
/// Explanations with their scores as rows of a table, whichever file holds it. Format: docs/formats/explanations.md.
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "gloss/exchange/given_explanation.h"
#include "gloss/store/store.h"

namespace gloss::exchange {

enum class CellKind : std::uint8_t { text, integer, real };
struct TableColumn {
  std::string_view name;
  CellKind kind;
};
/// The columns that gloss writes, in their order.
inline constexpr std::array<TableColumn, 19> kTableColumns{{{"hookpoint", CellKind::text},
                                                            {"latent", CellKind::integer},
                                                            {"explainer", CellKind::text},
                                                            {"explanation", CellKind::text},
                                                            {"program", CellKind::text},
                                                            {"failure", CellKind::text},
                                                            {"scorer", CellKind::text},
                                                            {"judge", CellKind::text},
                                                            {"score_name", CellKind::text},
                                                            {"score", CellKind::real},
                                                            {"score_low", CellKind::real},
                                                            {"score_high", CellKind::real},
                                                            {"tp", CellKind::integer},
                                                            {"fp", CellKind::integer},
                                                            {"tn", CellKind::integer},
                                                            {"fn", CellKind::integer},
                                                            {"failed", CellKind::integer},
                                                            {"f1", CellKind::real},
                                                            {"auc", CellKind::real}}};

/// What a column of that kind holds; nothing where there is no score.
using Cell = std::variant<std::monostate, std::string, std::uint64_t, double>;
using TableRow = std::array<Cell, kTableColumns.size()>;

/// A row for each score of each explanation of the hookpoints, ordered by hookpoint, latent, explainer, scorer, judge;
/// an explanation without a score has one row. Shuffled baselines are left out. Returns how many explanations.
std::size_t each_table_row(const store::Store& store, const std::vector<std::string>& hookpoints,
                           const std::function<void(const TableRow&)>& write);

/// What a table need not say when every row has the same.
struct TableDefaults {
  std::string hookpoint, explainer;
};
/// A table that is read row by row, each cell as text.
struct TableSource {
  std::vector<std::string> columns;
  std::string heading;                                            // where the columns are named
  std::function<std::optional<std::vector<std::string>>()> next;  // as many as the columns; nothing at the end
  std::function<std::string()> where;                             // the row that next() gave last
};
/// Calls `take` with each explanation of the table: `latent` and `explanation` must be there, `hookpoint` and
/// `explainer` where `defaults` has none; `program` and `failure` are read where they are, and scores where there are
/// `scorer`, `judge` and the four counts. Rows in sequence of the same explanation are one. Failed and empty ones are
/// left out. Errors: bad_input with the place: a column that is missing or named twice, a latent or a number that is
/// none; as add_score.
LeftOut each_table_explanation(const TableSource& table, const TableDefaults& defaults, const TakeExplanation& take);

}  // namespace gloss::exchange
