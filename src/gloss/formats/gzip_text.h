#pragma once
/// Text that is packed as it is written: one gzip member. Source: RFC 1952, through zlib.
#include <filesystem>
#include <memory>
#include <string_view>

namespace gloss::formats {

/// Writer of PATH.tmp; commit() makes it PATH in one step. Not committed = removed by the destructor. The same text
/// gives the same bytes: neither name nor time is in the file. Memory: one buffer.
/// Errors: failed, as OutputFile.
class GzipText {
 public:
  explicit GzipText(const std::filesystem::path& path);
  ~GzipText();
  GzipText(const GzipText&) = delete;
  GzipText& operator=(const GzipText&) = delete;

  void write(std::string_view text);
  /// Call once, last.
  void commit();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gloss::formats
