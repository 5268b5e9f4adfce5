#pragma once
/// Comma- and tab-separated tables: one column's values, row by row.
/// Source: RFC 4180, with \n beside \r\n as the end of a row, and a quote inside an unquoted field taken as it stands.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/text/byte_source.h"

namespace gloss::text {

/// Rows of a table. One thread at a time. Memory: the longest row and one buffer.
class CsvReader {
 public:
  static constexpr std::size_t kMaxRow = std::size_t{64} << 20;

  /// `name` begins messages. A byte order mark before the first row is passed over.
  CsvReader(std::unique_ptr<ByteSource> source, std::string name, char separator, std::size_t max_row = kMaxRow);

  /// The fields of the next row, or nothing at the end. Empty lines between rows are passed over. Quotes around a
  /// field are taken off and those doubled in it made one; a field in quotes may hold separators and line ends.
  /// Lifetime: until the next call. Errors: bad_input with file and line: a quoted field that does not end, or is
  /// followed by anything but a separator or the end of its row; a row too long; or from the source.
  std::optional<std::vector<std::string>> next();
  /// The line in which the row begins that next() gave last, from 1.
  std::uint64_t line() const { return row_line_; }
  const std::string& name() const { return name_; }

 private:
  static constexpr int kEnd = -1;

  int peek();
  int take();
  bool at_row_end();
  void grow(std::string& field, int c);
  std::string quoted_field();
  std::string plain_field();
  [[noreturn]] void fail(std::uint64_t line, std::string_view what, std::string_view hint = {}) const;

  std::unique_ptr<ByteSource> source_;
  std::string name_;
  char separator_;
  std::size_t max_row_;
  std::string buffer_;
  std::size_t at_ = 0;
  std::size_t row_bytes_ = 0;
  std::uint64_t line_ = 1;
  std::uint64_t row_line_ = 0;
  bool begun_ = false;
};

}  // namespace gloss::text
