#pragma once
/// Files that are either whole or not there: written beside their place, synced, then renamed.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace gloss {

/// Buffered writer of PATH.tmp; commit() makes it PATH in one step. Not committed = removed by the destructor.
/// Errors: failed, with the path and the system's reason (a full disk says so), from any call.
class OutputFile {
 public:
  explicit OutputFile(std::filesystem::path path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }
  /// Bytes written so far.
  std::uint64_t size_bytes() const { return written_; }
  /// Flushes, syncs to disk and renames. Call once, last.
  void commit();

 private:
  void flush();

  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int fd_ = -1;
  std::string buffer_;
  std::uint64_t written_ = 0;
};

/// Writes a whole small file in one step (temporary, sync, rename).
void write_file(const std::filesystem::path& path, std::string_view content);
/// Reads a whole file. Errors: bad_input when missing; failed otherwise.
std::string read_file(const std::filesystem::path& path);

}  // namespace gloss
