#pragma once
/// A file of known size whose parts come in any order; whole or not there, as OutputFile.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace gloss {

/// Writes PATH.tmp; commit() makes it PATH in one step. Not committed = removed by the destructor.
class PlacedFile {
 public:
  /// Asks the file system for all of `size_bytes` at once, so that a full disk shows before the work and not after it.
  /// Errors: failed, with the path and the system's reason, from any call.
  PlacedFile(std::filesystem::path path, std::uint64_t size_bytes);
  ~PlacedFile();
  PlacedFile(const PlacedFile&) = delete;
  PlacedFile& operator=(const PlacedFile&) = delete;

  /// Where the bytes can be read before commit().
  const std::filesystem::path& temporary() const { return temporary_; }
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes);
  /// Syncs to disk and renames. Call once, last.
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int fd_ = -1;
};

}  // namespace gloss
