#pragma once
/// A file's bytes as a stream: as they are, or unpacked from gzip or zstd.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/base/mapped_file.h"

namespace gloss::text {

enum class Packing { none, gzip, zstd };

/// One thread at a time.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  ByteSource() = default;
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;

  /// Appends some more bytes to `out`; false at the end.
  /// Errors: bad_input when compressed data are damaged or cut, naming the file and the byte in it.
  virtual bool read_more(std::string& out) = 0;
};

std::unique_ptr<ByteSource> open_source(MappedFile file, Packing packing);

/// Lines of a source. Memory: the longest line and one buffer.
class LineReader {
 public:
  static constexpr std::size_t kMaxLine = std::size_t{64} << 20;

  /// `name` begins messages. `max_line`: bytes of the longest line allowed.
  LineReader(std::unique_ptr<ByteSource> source, std::string name, std::size_t max_line = kMaxLine);

  /// The next line without its end (\n or \r\n), or nothing at the end. Lifetime: until the next call.
  /// Errors: bad_input with file and line when the line is too long, or from the source.
  std::optional<std::string_view> next();
  /// Number of the line that next() gave last, from 1.
  std::uint64_t line() const { return line_; }
  const std::string& name() const { return name_; }

 private:
  std::unique_ptr<ByteSource> source_;
  std::string name_;
  std::size_t max_line_;
  std::string buffer_;
  std::size_t begin_ = 0;  // of what next() has not given yet
  std::uint64_t line_ = 0;
  bool ended_ = false;
};

}  // namespace gloss::text
