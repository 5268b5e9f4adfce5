#pragma once
/// One spilled run: firings of a stretch of tokens, sorted by latent. Layout: docs/formats/activation-index.md.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "gloss/base/hash.h"
#include "gloss/base/placed_file.h"
#include "gloss/index/reader.h"

namespace gloss::index {

/// What the manifest remembers of a run.
struct RunInfo {
  std::uint64_t firing_count = 0;
  std::uint64_t end_position = 0;  // every token before it is in this run or an earlier one
  float largest = 0.0F;            // largest activation
  std::string offsets_hash, special_hash, positions_hash, activations_hash;  // XXH3-128, hexadecimal
};

std::filesystem::path run_path(const std::filesystem::path& spill_folder, std::size_t number);

/// Writes a run whose firings come latent by latent. Whole or not there, as PlacedFile.
class RunWriter {
 public:
  /// Errors: failed (disk), from any call.
  RunWriter(const std::filesystem::path& path, std::uint32_t latent_count, std::uint64_t firing_count,
            std::uint64_t end_position);

  /// Each column grows from front to back, in turn as the caller likes. Units: activations are the bits of their f32.
  void append_positions(std::span<const std::uint32_t> values) { append(positions_, std::as_bytes(values)); }
  void append_activations(std::span<const std::uint32_t> values) { append(activations_, std::as_bytes(values)); }
  /// Call once, last. Shapes: offsets [F+1], special [F].
  RunInfo commit(std::span<const std::uint64_t> offsets, std::span<const std::uint64_t> special, float largest);

 private:
  struct Column {
    std::uint64_t at = 0;  // byte at which `pending` goes
    std::vector<std::byte> pending;
    Hasher hash;
  };
  void append(Column& column, std::span<const std::byte> bytes);
  void flush(Column& column);

  std::uint32_t latent_count_;
  RunInfo info_;
  PlacedFile file_;
  Column positions_, activations_;
};

/// The firings of an index as a run. Requires: `reader` counts firings at special tokens. Errors: failed (disk).
RunInfo write_run_of(const Reader& reader, const std::filesystem::path& path, std::uint64_t end_position);

/// Reads pieces of a run; holds nothing of it in memory.
class RunFile {
 public:
  /// Checks header and size. Errors: bad_input when the file is missing, cut or not the run that `info` describes.
  RunFile(const std::filesystem::path& path, std::uint32_t latent_count, const RunInfo& info);
  ~RunFile();
  RunFile(const RunFile&) = delete;
  RunFile& operator=(const RunFile&) = delete;

  /// Requires: the piece lies within the array. Errors: failed, or bad_input when the file was cut meanwhile.
  void read_offsets(std::uint64_t first, std::span<std::uint64_t> out) const;
  void read_special(std::uint64_t first, std::span<std::uint64_t> out) const;
  void read_positions(std::uint64_t first, std::span<std::uint32_t> out) const;
  void read_activations(std::uint64_t first, std::span<std::uint32_t> out) const;

 private:
  void check_header(std::uint32_t latent_count, const RunInfo& info) const;
  void read_at(std::uint64_t offset, std::span<std::byte> out) const;

  std::string name_;
  std::uint64_t special_at_ = 0, positions_at_ = 0, activations_at_ = 0;
  int fd_ = -1;
};

}  // namespace gloss::index
