#pragma once
/// Rows of one size that long work leaves behind when it is interrupted, and takes up again.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "gloss/base/mapped_file.h"

namespace gloss::app {

/// A file beside its artifact: a line that tells what the rows are of, then whole rows.
class PartialRows {
 public:
  /// Takes up the rows of an earlier process when they are of the same (`metadata`), at most `most_rows` of them;
  /// begins anew otherwise. Errors (of append() too): failed: the file cannot be written.
  PartialRows(std::filesystem::path path, const std::map<std::string, std::string>& metadata, std::size_t row_bytes,
              std::uint64_t most_rows);

  std::uint64_t count() const { return count_; }
  /// Shapes: whole rows.
  void append(std::span<const std::byte> rows);
  /// All rows so far. Lifetime: until remove().
  std::span<const std::byte> read();
  void remove();

 private:
  std::filesystem::path path_;
  std::string header_;
  std::size_t row_bytes_;
  std::uint64_t count_ = 0;
  std::ofstream out_;
  MappedFile mapped_;
};

}  // namespace gloss::app
