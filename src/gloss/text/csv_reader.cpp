#include "gloss/text/csv_reader.h"

#include <fmt/format.h>

#include <utility>

#include "gloss/base/error.h"

namespace gloss::text {

CsvReader::CsvReader(std::unique_ptr<ByteSource> source, std::string name, char separator, std::size_t max_row)
    : source_(std::move(source)), name_(std::move(name)), separator_(separator), max_row_(max_row) {}

void CsvReader::fail(std::uint64_t line, std::string_view what, std::string_view hint) const {
  fail_input(fmt::format("{}:{}", name_, line), what, hint);
}

int CsvReader::peek() {
  if (at_ == buffer_.size()) {
    buffer_.clear();
    at_ = 0;
    if (!source_->read_more(buffer_)) return kEnd;
  }
  return static_cast<unsigned char>(buffer_[at_]);
}

int CsvReader::take() {
  const int c = peek();
  if (c == kEnd) return kEnd;
  ++at_;
  if (c == '\n') ++line_;
  return c;
}

void CsvReader::grow(std::string& field, int c) {
  if (++row_bytes_ > max_row_)
    fail(row_line_, fmt::format("the row is longer than {} bytes", max_row_),
         "is this a table, and is every quote closed?");
  field.push_back(static_cast<char>(c));
}

/// After the opening quote.
std::string CsvReader::quoted_field() {
  const std::uint64_t opened = line_;
  std::string field;
  for (;;) {
    const int c = take();
    if (c == kEnd) fail(opened, "a quoted field begins here and does not end", "the file may be cut off");
    if (c != '"') {
      grow(field, c);
    } else if (peek() == '"') {
      grow(field, take());
    } else {
      return field;
    }
  }
}

/// Up to a separator or the end of the row. A \r belongs to the end of a row only before \n or the end of the file.
std::string CsvReader::plain_field() {
  std::string field;
  for (;;) {
    const int c = peek();
    if (c == kEnd || c == '\n' || c == separator_) return field;
    take();
    if (c == '\r' && (peek() == '\n' || peek() == kEnd)) return field;
    grow(field, c);
  }
}

/// Takes the end of a row when it comes next.
bool CsvReader::at_row_end() {
  if (peek() == '\r') {
    take();
    if (peek() != '\n' && peek() != kEnd) fail(line_, "a carriage return without a line feed behind a quoted field");
  }
  if (peek() == kEnd) return true;
  if (peek() != '\n') return false;
  take();
  return true;
}

std::optional<std::vector<std::string>> CsvReader::next() {
  if (!begun_) {
    begun_ = true;
    constexpr std::string_view kMark = "\xEF\xBB\xBF";
    while (buffer_.size() < kMark.size() && source_->read_more(buffer_)) {
    }
    if (buffer_.starts_with(kMark)) at_ = kMark.size();
  }
  for (;;) {
    const int c = peek();
    if (c == kEnd) return {};
    if (c != '\n' && c != '\r') break;
    take();
  }
  row_line_ = line_;
  row_bytes_ = 0;
  std::vector<std::string> fields;
  for (;;) {
    ++row_bytes_;  // so that fields without a byte count too
    if (peek() == '"') {
      take();
      fields.push_back(quoted_field());
    } else {
      fields.push_back(plain_field());
    }
    if (row_bytes_ > max_row_) fail(row_line_, fmt::format("the row is longer than {} bytes", max_row_));
    if (at_row_end()) return fields;
    if (peek() != separator_)
      fail(line_, "text behind the closing quote of a field", "a quote inside a quoted field is written twice");
    take();
  }
}

}  // namespace gloss::text
