#pragma once
/// Safetensors files of which every bit is under a checksum: XXH3-128 of each array, and of the header itself.
/// How they lie in the metadata: docs/formats/checksums.md.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/base/hash.h"
#include "gloss/base/placed_file.h"
#include "gloss/formats/safetensors.h"

namespace gloss::formats {

/// "xxh3.offsets": the metadata key of an array's checksum.
std::string checksum_key(std::string_view array);
/// Whether a CheckedFileWriter sets this metadata key itself.
bool is_checksum_key(std::string_view key);

/// Writes a file whose arrays' shapes are known in advance. Each array grows from front to back, all of them in turn as
/// the caller likes. Data begin at a multiple of 64 bytes, so that arrays declared widest dtype first are aligned when
/// mapped. Whole or not there, as PlacedFile.
class CheckedFileWriter {
 public:
  using Declared = SafeTensorsWriter::Declared;

  /// Asks the file system for all of the file at once. Errors: failed (disk); std::logic_error when metadata hold a key
  /// that is_checksum_key().
  CheckedFileWriter(std::filesystem::path path, std::vector<Declared> arrays,
                    std::map<std::string, std::string> metadata);

  /// Appends to array number `array` in the order declared. Errors: failed (disk); std::logic_error beyond its end.
  void append(std::size_t array, std::span<const std::byte> bytes);
  template <class T>
  void append_values(std::size_t array, std::span<const T> values) {
    append(array, std::as_bytes(values));
  }

  /// Where what was appended can be read before commit(), and from which byte on.
  const std::filesystem::path& temporary() const { return file_.temporary(); }
  std::uint64_t begin(std::size_t array) const { return header_bytes_ + arrays_.at(array).begin; }

  /// Writes the header with all checksums, syncs, renames. Errors: failed; std::logic_error when an array is not whole.
  void commit();

 private:
  struct Array {
    Declared declared;
    std::uint64_t begin = 0, size = 0, written = 0;  // bytes; begin counts from the end of the header
    Hasher hash;
  };
  static std::vector<Array> plan(std::vector<Declared> declared);
  std::string header() const;

  std::map<std::string, std::string> metadata_;
  std::vector<Array> arrays_;
  std::uint64_t header_bytes_;
  PlacedFile file_;
};

/// Errors: bad_input when the header does not have the checksum that it holds of itself, or holds none.
void check_header(const SafeTensors& file, std::string_view hint);
/// Reads everything. Errors: bad_input naming the first array that does not have its checksum.
void check_arrays(const SafeTensors& file, std::string_view hint);

}  // namespace gloss::formats
