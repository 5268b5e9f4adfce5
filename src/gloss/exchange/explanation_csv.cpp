#include "gloss/exchange/explanation_csv.h"

#include <fmt/format.h>

#include <memory>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/base/mapped_file.h"
#include "gloss/report/csv.h"
#include "gloss/text/csv_reader.h"

namespace gloss::exchange {
namespace {

constexpr std::string_view kFormula = "=+-@\t\r";  // what report::csv_text puts an apostrophe before

/// Whether a spreadsheet would take it for a formula once the apostrophes at its beginning are gone.
bool is_guarded(std::string_view text) {
  const std::size_t first = text.find_first_not_of('\'');
  return first != std::string_view::npos && first > 0 && kFormula.find(text[first]) != std::string_view::npos;
}

/// One apostrophe more before those that stand before a formula already, so that reading takes off the right ones.
std::string field_of(const std::string& text) { return report::csv_text(is_guarded(text) ? "'" + text : text); }
std::string text_of(std::string field) {
  if (is_guarded(field)) field.erase(0, 1);
  return field;
}

std::string field_of(const Cell& cell) {
  if (const auto* text = std::get_if<std::string>(&cell)) return field_of(*text);
  if (const auto* number = std::get_if<std::uint64_t>(&cell)) return std::to_string(*number);
  if (const auto* number = std::get_if<double>(&cell)) return report::csv_number(*number);
  return {};
}

template <class Parts, class Field>
std::string line_of(const Parts& parts, const Field& field) {
  std::string line;
  for (const auto& part : parts) {
    if (&part != &parts.front()) line += ',';
    line += field(part);
  }
  return line + "\r\n";
}

std::unique_ptr<text::ByteSource> source_of(std::filesystem::path file, char& separator) {
  const bool packed = file.extension() == ".gz";
  auto source = text::open_source(MappedFile::open(file), packed ? text::Packing::gzip : text::Packing::none);
  if (packed) file.replace_extension();
  separator = file.extension() == ".tsv" ? '\t' : ',';
  return source;
}

}  // namespace

std::size_t write_explanation_csv(const store::Store& store, const std::vector<std::string>& hookpoints,
                                  const std::function<void(std::string_view text)>& write) {
  write(line_of(kTableColumns, [](const TableColumn& column) { return std::string(column.name); }));
  return each_table_row(store, hookpoints, [&](const TableRow& row) {
    write(line_of(row, [](const Cell& cell) { return field_of(cell); }));
  });
}

LeftOut each_csv_explanation(const std::filesystem::path& file, const TableDefaults& defaults,
                             const TakeExplanation& take) {
  char separator = ',';
  auto source = source_of(file, separator);
  text::CsvReader reader(std::move(source), file.string(), separator);
  auto heading = reader.next();
  if (!heading) fail_input(file.string(), "is empty", "wanted a first row that names the columns");
  TableSource table;
  table.columns = *std::move(heading);
  table.heading = fmt::format("{}: line 1", file.string());
  table.where = [&] { return fmt::format("{}: line {}", file.string(), reader.line()); };
  table.next = [&] {
    auto fields = reader.next();
    if (!fields) return fields;
    if (fields->size() != table.columns.size())
      fail_input(table.where(),
                 fmt::format("has {} fields, and the first row names {}", fields->size(), table.columns.size()),
                 "a text with a comma stands in double quotes");
    for (std::string& field : *fields) field = text_of(std::move(field));
    return fields;
  };
  return each_table_explanation(table, defaults, take);
}

}  // namespace gloss::exchange
