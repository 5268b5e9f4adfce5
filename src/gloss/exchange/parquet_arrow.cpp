// Explanations as Parquet through Apache Arrow.
#include <arrow/api.h>
#include <arrow/io/api.h>
#include <fmt/format.h>
#include <parquet/arrow/reader.h>
#include <parquet/arrow/writer.h>

#include <cmath>
#include <memory>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/base/utf8.h"
#include "gloss/exchange/explanation_parquet.h"

namespace gloss::exchange {
namespace {

constexpr std::int64_t kRowsOfGroup = 65'536;

void check_write(const arrow::Status& status, const std::filesystem::path& file) {
  if (!status.ok())
    fail_system(file.string(), fmt::format("cannot be written: {}", replace_invalid_utf8(status.message())));
}
void check_read(const arrow::Status& status, const std::string& where) {
  if (!status.ok())
    fail_input(where, fmt::format("cannot be read as Parquet: {}", replace_invalid_utf8(status.message())),
               "the file is cut off or damaged: download or copy it again");
}

std::shared_ptr<arrow::Schema> schema_of_columns() {
  arrow::FieldVector fields;
  for (const TableColumn& column : kTableColumns) {
    const auto type = column.kind == CellKind::text      ? arrow::utf8()
                      : column.kind == CellKind::integer ? arrow::uint64()
                                                         : arrow::float64();
    fields.push_back(arrow::field(std::string(column.name), type));
  }
  return arrow::schema(std::move(fields));
}

/// Rows are held until they make a group.
class Table {
 public:
  explicit Table(std::filesystem::path file) : file_(std::move(file)), schema_(schema_of_columns()) {
    for (const TableColumn& column : kTableColumns) {
      if (column.kind == CellKind::text) builders_.push_back(std::make_shared<arrow::StringBuilder>());
      if (column.kind == CellKind::integer) builders_.push_back(std::make_shared<arrow::UInt64Builder>());
      if (column.kind == CellKind::real) builders_.push_back(std::make_shared<arrow::DoubleBuilder>());
    }
    auto opened = arrow::io::FileOutputStream::Open(file_.string());
    check_write(opened.status(), file_);
    out_ = *opened;
    auto properties = parquet::WriterProperties::Builder().compression(arrow::Compression::SNAPPY)->build();
    auto writer = parquet::arrow::FileWriter::Open(*schema_, arrow::default_memory_pool(), out_, properties);
    check_write(writer.status(), file_);
    writer_ = std::move(*writer);
  }

  void add(const TableRow& row) {
    for (std::size_t c = 0; c < row.size(); ++c) check_write(append(*builders_[c], row[c]), file_);
    if (++rows_ == kRowsOfGroup) flush();
  }
  void close() {
    flush();
    check_write(writer_->Close(), file_);
    check_write(out_->Close(), file_);
  }

 private:
  static arrow::Status append(arrow::ArrayBuilder& builder, const Cell& cell) {
    if (const auto* text = std::get_if<std::string>(&cell))
      return static_cast<arrow::StringBuilder&>(builder).Append(replace_invalid_utf8(*text));
    if (const auto* number = std::get_if<std::uint64_t>(&cell))
      return static_cast<arrow::UInt64Builder&>(builder).Append(*number);
    const auto* number = std::get_if<double>(&cell);
    if (number == nullptr || std::isnan(*number)) return builder.AppendNull();
    return static_cast<arrow::DoubleBuilder&>(builder).Append(*number);
  }
  void flush() {
    if (rows_ == 0) return;
    arrow::ArrayVector arrays;
    for (const auto& builder : builders_) {
      auto array = builder->Finish();
      check_write(array.status(), file_);
      arrays.push_back(*array);
    }
    check_write(writer_->WriteTable(*arrow::Table::Make(schema_, arrays, rows_), rows_), file_);
    rows_ = 0;
  }

  std::filesystem::path file_;
  std::shared_ptr<arrow::Schema> schema_;
  std::vector<std::shared_ptr<arrow::ArrayBuilder>> builders_;
  std::shared_ptr<arrow::io::FileOutputStream> out_;
  std::unique_ptr<parquet::arrow::FileWriter> writer_;
  std::int64_t rows_ = 0;
};

/// "" where it is null. Requires: a type of is_plain().
std::string text_of(const arrow::Array& array, std::int64_t row) {
  if (array.IsNull(row)) return {};
  switch (array.type_id()) {
    case arrow::Type::DICTIONARY: {
      const auto& coded = static_cast<const arrow::DictionaryArray&>(array);
      return text_of(*coded.dictionary(), coded.GetValueIndex(row));
    }
    case arrow::Type::DOUBLE: {
      const double value = static_cast<const arrow::DoubleArray&>(array).Value(row);
      return std::isnan(value) ? std::string() : fmt::format("{}", value);
    }
    case arrow::Type::FLOAT: {
      const float value = static_cast<const arrow::FloatArray&>(array).Value(row);
      return std::isnan(value) ? std::string() : fmt::format("{}", value);
    }
    default: {
      const auto scalar = array.GetScalar(row);
      return scalar.ok() ? (*scalar)->ToString() : std::string();
    }
  }
}

bool is_plain(const arrow::DataType& type) {
  if (type.id() == arrow::Type::DICTIONARY)
    return is_plain(*static_cast<const arrow::DictionaryType&>(type).value_type());
  return arrow::is_integer(type.id()) || type.id() == arrow::Type::STRING || type.id() == arrow::Type::LARGE_STRING ||
         type.id() == arrow::Type::STRING_VIEW || type.id() == arrow::Type::DOUBLE || type.id() == arrow::Type::FLOAT;
}

/// The plain columns of a file, row by row, a batch in memory at a time.
class Rows {
 public:
  explicit Rows(const std::filesystem::path& file) : name_(file.string()) {
    auto opened = arrow::io::MemoryMappedFile::Open(name_, arrow::io::FileMode::READ);
    check_read(opened.status(), name_);
    parquet::arrow::FileReaderBuilder builder;
    check_read(builder.Open(*opened), name_);
    check_read(builder.Build(&file_), name_);
    auto batches = file_->GetRecordBatchReader();
    check_read(batches.status(), name_);
    batches_ = std::move(*batches);
    for (int c = 0; c < batches_->schema()->num_fields(); ++c) {
      if (!is_plain(*batches_->schema()->field(c)->type())) continue;
      places_.push_back(c);
      columns_.push_back(batches_->schema()->field(c)->name());
    }
  }

  const std::vector<std::string>& columns() const { return columns_; }
  std::string where() const { return fmt::format("{}: row {}", name_, rows_before_ + row_); }
  std::optional<std::vector<std::string>> next() {
    while (!batch_ || row_ == batch_->num_rows()) {
      rows_before_ += batch_ ? batch_->num_rows() : 0;
      row_ = 0;
      check_read(batches_->ReadNext(&batch_), where());
      if (!batch_) return std::nullopt;
      check_read(batch_->ValidateFull(), where());
    }
    std::vector<std::string> fields;
    for (const int c : places_) fields.push_back(text_of(*batch_->column(c), row_));
    ++row_;
    return fields;
  }

 private:
  std::string name_;
  std::unique_ptr<parquet::arrow::FileReader> file_;
  std::shared_ptr<arrow::RecordBatchReader> batches_;
  std::shared_ptr<arrow::RecordBatch> batch_;
  std::vector<int> places_;
  std::vector<std::string> columns_;
  std::int64_t rows_before_ = 0, row_ = 0;  // row_: of the batch, the next
};

}  // namespace

std::size_t write_explanation_parquet(const store::Store& store, const std::vector<std::string>& hookpoints,
                                      const std::filesystem::path& file) {
  const std::filesystem::path temporary = file.string() + ".tmp";
  try {
    Table table(temporary);
    const std::size_t count = each_table_row(store, hookpoints, [&](const TableRow& row) { table.add(row); });
    table.close();
    std::filesystem::rename(temporary, file);
    return count;
  } catch (const parquet::ParquetException& e) {
    std::filesystem::remove(temporary);
    fail_system(file.string(), fmt::format("cannot be written: {}", e.what()));
  } catch (...) {
    std::filesystem::remove(temporary);
    throw;
  }
}

LeftOut each_parquet_explanation(const std::filesystem::path& file, const TableDefaults& defaults,
                                 const TakeExplanation& take) {
  try {
    Rows rows(file);
    TableSource table;
    table.columns = rows.columns();
    table.heading = file.string();
    table.next = [&] { return rows.next(); };
    table.where = [&] { return rows.where(); };
    return each_table_explanation(table, defaults, take);
  } catch (const parquet::ParquetException& e) {  // some calls throw where others return a status
    fail_input(file.string(), fmt::format("cannot be read as Parquet: {}", e.what()));
  }
}

}  // namespace gloss::exchange
