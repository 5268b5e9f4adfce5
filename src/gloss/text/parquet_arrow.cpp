// Parquet through Apache Arrow: the only file that includes it.
#include <arrow/api.h>
#include <arrow/config.h>
#include <arrow/io/api.h>
#include <fmt/format.h>
#include <parquet/arrow/reader.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "gloss/base/error.h"
#include "gloss/base/utf8.h"
#include "gloss/text/document_reader.h"

namespace gloss::text {
namespace {

void check(const arrow::Status& status, const std::string& where) {
  if (!status.ok())
    fail_input(where, fmt::format("cannot be read as Parquet: {}", replace_invalid_utf8(status.message())),
               "the file is cut off or damaged: download or copy it again");
}

/// A value of the column, by its row; nothing where it is null.
using Text = std::optional<std::string_view>;

template <class ArrayType>
Text string_at(const arrow::Array& array, std::int64_t row) {
  if (array.IsNull(row)) return {};
  return static_cast<const ArrayType&>(array).GetView(row);
}

bool is_text(const arrow::DataType& type) {
  if (type.id() == arrow::Type::DICTIONARY)
    return is_text(*static_cast<const arrow::DictionaryType&>(type).value_type());
  return type.id() == arrow::Type::STRING || type.id() == arrow::Type::LARGE_STRING ||
         type.id() == arrow::Type::STRING_VIEW;
}

Text text_at(const arrow::Array& array, std::int64_t row) {
  switch (array.type_id()) {
    case arrow::Type::STRING:
      return string_at<arrow::StringArray>(array, row);
    case arrow::Type::LARGE_STRING:
      return string_at<arrow::LargeStringArray>(array, row);
    case arrow::Type::STRING_VIEW:
      return string_at<arrow::StringViewArray>(array, row);
    case arrow::Type::DICTIONARY: {
      if (array.IsNull(row)) return {};
      const auto& coded = static_cast<const arrow::DictionaryArray&>(array);
      return text_at(*coded.dictionary(), coded.GetValueIndex(row));
    }
    default:
      return {};
  }
}

/// One column, a batch of rows in memory at a time.
class ParquetReader : public DocumentReader {
 public:
  ParquetReader(std::string name, const std::string& field) : name_(std::move(name)) {
    auto opened = arrow::io::MemoryMappedFile::Open(name_, arrow::io::FileMode::READ);
    check(opened.status(), name_);
    parquet::arrow::FileReaderBuilder builder;
    check(builder.Open(*opened), name_);
    parquet::ArrowReaderProperties properties(false);  // no threads of its own
    properties.set_batch_size(kBatchRows);
    properties.set_pre_buffer(false);
    builder.properties(properties);
    check(builder.Build(&file_), name_);
    std::shared_ptr<arrow::Schema> schema;
    check(file_->GetSchema(&schema), name_);
    const int column = column_of(*schema, field);
    std::vector<int> groups(static_cast<std::size_t>(file_->num_row_groups()));
    for (std::size_t i = 0; i < groups.size(); ++i) groups[i] = static_cast<int>(i);
    auto batches = file_->GetRecordBatchReader(groups, {column});
    check(batches.status(), name_);
    batches_ = std::move(*batches);
  }

  std::optional<std::string> next() override {
    try {
      return next_text();
    } catch (const parquet::ParquetException& e) {  // some calls throw where others return a status
      fail_input(fmt::format("{}: row {}", name_, rows_before_),
                 fmt::format("cannot be read as Parquet: {}", e.what()));
    }
  }

 private:
  static constexpr std::int64_t kBatchRows = 1024;

  std::optional<std::string> next_text() {
    while (!batch_ || row_ == batch_->num_rows()) {
      rows_before_ += batch_ ? batch_->num_rows() : 0;
      row_ = 0;
      check(batches_->ReadNext(&batch_), fmt::format("{}: row {}", name_, rows_before_));
      if (!batch_) return {};
      check(batch_->ValidateFull(), fmt::format("{}: row {}", name_, rows_before_));
    }
    const Text text = text_at(*batch_->column(0), row_++);
    return std::string(text.value_or(""));
  }

  /// Index among the leaves of the file's schema, of which a column of strings is one.
  int column_of(const arrow::Schema& schema, const std::string& field) const {
    const std::vector<std::string> names = schema.field_names();
    const auto found = std::count(names.begin(), names.end(), field);
    if (found != 1)
      fail_input(
          name_,
          fmt::format("has {} '{}', but {}", found == 0 ? "no column" : "several columns", field, shown_names(names)),
          "name the column that holds the text with --text-field");
    const arrow::DataType& type = *schema.GetFieldByName(field)->type();
    if (!is_text(type))
      fail_input(name_, fmt::format("column '{}' is {}, wanted strings", field, type.ToString()),
                 "name the column that holds the text with --text-field");
    const parquet::SchemaDescriptor& leaves = *file_->parquet_reader()->metadata()->schema();
    for (int i = 0; i < leaves.num_columns(); ++i) {
      if (leaves.Column(i)->path()->ToDotVector() == std::vector<std::string>{field}) return i;
    }
    fail_input(name_, fmt::format("column '{}' is no plain column", field));
  }

  std::string name_;
  std::unique_ptr<parquet::arrow::FileReader> file_;
  std::shared_ptr<arrow::RecordBatchReader> batches_;
  std::shared_ptr<arrow::RecordBatch> batch_;
  std::int64_t row_ = 0;
  std::int64_t rows_before_ = 0;
};

}  // namespace

std::unique_ptr<DocumentReader> open_parquet(const std::filesystem::path& path, const FileKind& /*kind*/,
                                             const std::string& field) {
  try {
    return std::make_unique<ParquetReader>(path.string(), field);
  } catch (const parquet::ParquetException& e) {
    fail_input(path.string(), fmt::format("cannot be read as Parquet: {}", e.what()));
  }
}

std::string arrow_version() { return arrow::GetBuildInfo().version_string; }

}  // namespace gloss::text
