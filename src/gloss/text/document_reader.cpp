#include "gloss/text/document_reader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "gloss/base/error.h"
#include "gloss/base/mapped_file.h"
#include "gloss/base/utf8.h"
#include "gloss/text/csv_reader.h"

namespace gloss::text {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::size_t kMaxPlainText = std::size_t{1} << 30;
constexpr std::string_view kFieldHint = "name the field that holds the text with --text-field";

/// The whole file is one document.
class PlainReader : public DocumentReader {
 public:
  PlainReader(std::unique_ptr<ByteSource> source, std::string name)
      : source_(std::move(source)), name_(std::move(name)) {}

  std::optional<std::string> next() override {
    if (done_) return {};
    done_ = true;
    std::string text;
    while (source_->read_more(text)) {
      if (text.size() > kMaxPlainText)
        fail_input(name_, fmt::format("one document of more than {} bytes", kMaxPlainText),
                   "write its documents as JSON lines");
    }
    return text;
  }

 private:
  std::unique_ptr<ByteSource> source_;
  std::string name_;
  bool done_ = false;
};

/// JSON lines; blank ones are passed over.
class JsonLinesReader : public DocumentReader {
 public:
  JsonLinesReader(std::unique_ptr<ByteSource> source, const std::string& name, std::string field)
      : lines_(std::move(source), name), field_(std::move(field)) {}

  std::optional<std::string> next() override {
    while (const std::optional<std::string_view> line = lines_.next()) {
      if (line->find_first_not_of(" \t\r") != std::string_view::npos) return text_of(*line);
    }
    return {};
  }

 private:
  std::string text_of(std::string_view line) const {
    const std::string where = fmt::format("{}:{}", lines_.name(), lines_.line());
    Json object;
    try {
      object = Json::parse(line);
    } catch (const Json::parse_error& e) {
      fail_input(where, fmt::format("is not JSON: byte {} of {}", e.byte, line.size()));
    } catch (const Json::exception& e) {  // a number beyond f64
      fail_input(where, fmt::format("is not JSON that can be read: {}", e.what()));
    }
    if (!object.is_object()) fail_input(where, fmt::format("is {}, wanted an object", object.type_name()));
    const auto it = object.find(field_);
    if (it == object.end()) {
      std::vector<std::string> keys;
      for (const auto& [key, value] : object.items()) keys.push_back(key);
      fail_input(where, fmt::format("has no '{}', but {}", field_, shown_names(keys)), kFieldHint);
    }
    if (!it->is_string()) fail_input(where, fmt::format("'{}' is {}, wanted a string", field_, it->type_name()));
    return std::move(it->get_ref<std::string&>());
  }

  LineReader lines_;
  std::string field_;
};

/// One column of a table whose first row names the columns.
class CsvColumnReader : public DocumentReader {
 public:
  CsvColumnReader(std::unique_ptr<ByteSource> source, const std::string& name, char separator, const std::string& field)
      : rows_(std::move(source), name, separator) {
    const std::optional<std::vector<std::string>> header = rows_.next();
    if (!header) fail_input(name, "has no rows", "wanted a table whose first row names its columns");
    const auto count = std::count(header->begin(), header->end(), field);
    if (count != 1)
      fail_input(
          fmt::format("{}:{}", name, rows_.line()),
          fmt::format("has {} '{}', but {}", count == 0 ? "no column" : "several columns", field, shown_names(*header)),
          kFieldHint);
    column_ = static_cast<std::size_t>(std::find(header->begin(), header->end(), field) - header->begin());
    columns_ = header->size();
  }

  std::optional<std::string> next() override {
    std::optional<std::vector<std::string>> row = rows_.next();
    if (!row) return {};
    const std::string where = fmt::format("{}:{}", rows_.name(), rows_.line());
    if (row->size() != columns_)
      fail_input(where, fmt::format("has {} fields, wanted {} as in the first row", row->size(), columns_),
                 "a field that holds a separator or a quote stands in quotes");
    std::string& text = (*row)[column_];
    if (!is_valid_utf8(text)) fail_input(where, "the text is not UTF-8", "convert the file, for example with iconv");
    return std::move(text);
  }

 private:
  CsvReader rows_;
  std::size_t column_ = 0;
  std::size_t columns_ = 0;
};

std::unique_ptr<DocumentReader> open_plain(const fs::path& path, const FileKind& kind, const std::string& /*field*/) {
  return std::make_unique<PlainReader>(open_source(MappedFile::open(path), kind.packing), path.string());
}
std::unique_ptr<DocumentReader> open_json_lines(const fs::path& path, const FileKind& kind, const std::string& field) {
  return std::make_unique<JsonLinesReader>(open_source(MappedFile::open(path), kind.packing), path.string(), field);
}
template <char Separator>
std::unique_ptr<DocumentReader> open_table(const fs::path& path, const FileKind& kind, const std::string& field) {
  return std::make_unique<CsvColumnReader>(open_source(MappedFile::open(path), kind.packing), path.string(), Separator,
                                           field);
}

constexpr std::array<FileKind, 13> kKinds{{{".txt", Packing::none, open_plain},
                                           {".jsonl", Packing::none, open_json_lines},
                                           {".csv", Packing::none, open_table<','>},
                                           {".tsv", Packing::none, open_table<'\t'>},
                                           {".txt.gz", Packing::gzip, open_plain},
                                           {".jsonl.gz", Packing::gzip, open_json_lines},
                                           {".csv.gz", Packing::gzip, open_table<','>},
                                           {".tsv.gz", Packing::gzip, open_table<'\t'>},
                                           {".txt.zst", Packing::zstd, open_plain},
                                           {".jsonl.zst", Packing::zstd, open_json_lines},
                                           {".csv.zst", Packing::zstd, open_table<','>},
                                           {".tsv.zst", Packing::zstd, open_table<'\t'>},
                                           {".parquet", Packing::none, open_parquet}}};

}  // namespace

std::span<const FileKind> file_kinds() { return kKinds; }

const FileKind* kind_of(const fs::path& path) {
  const std::string name = path.filename().string();
  const auto* const it =
      std::find_if(kKinds.begin(), kKinds.end(), [&](const FileKind& k) { return name.ends_with(k.suffix); });
  return it == kKinds.end() ? nullptr : it;
}

std::string shown_names(std::span<const std::string> names) {
  constexpr std::size_t kShown = 8;
  std::vector<std::string> shown;
  for (const std::string& name : names.first(std::min(names.size(), kShown)))
    shown.push_back(fmt::format("'{}'", replace_invalid_utf8(name.substr(0, 100))));
  if (names.size() > kShown) shown.push_back(fmt::format("{} more", names.size() - kShown));
  return shown.empty() ? "nothing" : fmt::format("{}", fmt::join(shown, ", "));
}

}  // namespace gloss::text
