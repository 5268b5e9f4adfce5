#pragma once
/// One spilled run: firings of a stretch of tokens, sorted by latent. Layout: docs/formats/activation-index.md.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

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

/// Firings waiting to be spilled, and the work memory of the sort; sized once. Columns, so that a sort moves one at a
/// time. Units: activations are the bits of their f32.
class FiringBuffer {
 public:
  /// As many firings as fit in `memory_bytes` beside the tables of latents, never fewer than 16.
  FiringBuffer(std::uint64_t memory_bytes, std::uint32_t latent_count);
  ~FiringBuffer();
  FiringBuffer(const FiringBuffer&) = delete;
  FiringBuffer& operator=(const FiringBuffer&) = delete;

  std::size_t size() const { return size_; }
  /// Whether there is nothing to spill.
  bool empty() const { return size_ == 0 && special_firings_ == 0; }
  std::size_t room() const { return capacity_ - size_; }
  /// Requires: room() > 0, latent below the latent count.
  void add(std::uint32_t latent, std::uint32_t position, std::uint32_t activation_bits);
  /// Counts a firing at a special token, which is not kept. Requires: latent below the latent count.
  void count_special(std::uint32_t latent);
  void clear();
  /// Makes room for `count` firings where even an empty buffer has less. Requires: size() == 0.
  void grow(std::size_t count);
  /// Gives the memory of the firings back; grow() takes it anew. Requires: size() == 0.
  void release();

  /// Sorts by latent, keeping the order of positions, and writes the run in one step. The buffer stays as it is.
  /// Errors: failed (disk); std::logic_error when a latent fires twice at one position.
  RunInfo write_run(const std::filesystem::path& path, std::uint64_t end_position);

 private:
  struct Columns;
  std::unique_ptr<Columns> columns_;
  std::uint32_t latent_count_;
  std::size_t capacity_ = 0;
  std::size_t size_ = 0;
  std::uint64_t special_firings_ = 0;
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
