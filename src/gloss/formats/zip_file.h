#pragma once
/// Zip archives (PyTorch checkpoints, NumPy's .npz): entries found, stored ones read in place, deflated ones inflated.
/// Source: PKWARE APPNOTE 6.3.10, sections 4.3 (layout) and 4.5.3 (ZIP64); deflate is RFC 1951, through zlib.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "gloss/base/mapped_file.h"

namespace gloss::formats {

struct ZipEntry {
  std::string name;
  bool deflated = false;             // else stored
  std::uint64_t size = 0;            // unpacked; 1,032 times `bytes` at most, which is all that deflate can do
  std::uint32_t crc = 0;             // of the unpacked bytes
  std::uint64_t offset = 0;          // of `bytes` in the file
  std::span<const std::byte> bytes;  // as they lie in the file
};

/// An open archive; copies share the mapping. Every offset and size is checked at opening; no entry shares bytes with
/// another or with the directory, and no name occurs twice.
class ZipFile {
 public:
  static ZipFile open(const std::filesystem::path& path);
  /// Errors: bad_input naming file and byte: no archive, cut, of several disks, encrypted, packed otherwise than by
  /// deflate, sizes or offsets that leave the file or disagree, entries that overlap.
  static ZipFile parse(MappedFile file);
  /// Whether bytes begin as archives do.
  static bool looks_like(std::span<const std::byte> bytes);

  std::span<const ZipEntry> entries() const { return entries_; }  // in the directory's order
  /// Null when there is none. Lifetime: as long as this object.
  const ZipEntry* find(std::string_view name) const;
  /// The unpacked bytes of a deflated entry, checked against its sum; a copy of a stored one, whose sum is not checked
  /// (PyTorch can be told to leave it out). Errors: bad_input when they are damaged or are not `size` bytes.
  std::vector<std::byte> unpack(const ZipEntry& entry) const;
  const MappedFile& file() const { return file_; }

 private:
  MappedFile file_;
  std::vector<ZipEntry> entries_;
  std::unordered_map<std::string, std::size_t> by_name_;
};

}  // namespace gloss::formats
