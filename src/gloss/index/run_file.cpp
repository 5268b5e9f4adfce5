#include "gloss/index/run_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <vector>

#include "gloss/base/error.h"
#include "gloss/base/hash.h"
#include "gloss/base/output_file.h"

namespace gloss::index {
namespace {

constexpr std::size_t kHeaderBytes = 64;
constexpr std::array<char, 8> kMagic{'G', 'L', 'O', 'S', 'S', 'R', 'U', 'N'};
constexpr std::uint32_t kVersion = 2;
constexpr std::size_t kLeastFirings = 16;
constexpr std::uint64_t kBytesPerFiring = 16;  // latent, position, activation, and the sorted column
constexpr std::uint64_t kBytesPerLatent = 24;  // offsets, cursors, firings at special tokens
constexpr const char* kHint = "delete the spill folder to begin the cache of this hookpoint again";

using Header = std::array<std::byte, kHeaderBytes>;

template <class T>
void put(Header& header, std::size_t at, const T& value) {
  std::memcpy(header.data() + at, &value, sizeof(T));
}

Header make_header(std::uint32_t latent_count, std::uint64_t firing_count, std::uint64_t end_position) {
  Header header{};
  put(header, 0, kMagic);
  put(header, 8, kVersion);
  put(header, 12, latent_count);
  put(header, 16, firing_count);
  put(header, 24, end_position);
  Hasher hash;
  hash.add_bytes(std::span(header).first(kHeaderBytes - 8));
  put(header, kHeaderBytes - 8, hash.digest64());
  return header;
}

}  // namespace

std::filesystem::path run_path(const std::filesystem::path& spill_folder, std::size_t number) {
  return spill_folder / fmt::format("run-{}.bin", number);
}

/// Uninitialised, so that a large buffer costs memory only as it fills.
struct FiringBuffer::Columns {
  std::unique_ptr<std::uint32_t[]> latent, position, activation, sorted;
  std::vector<std::uint64_t> offsets, cursors, special;

  void allocate(std::size_t capacity) {
    for (auto* column : {&latent, &position, &activation, &sorted})
      *column = std::make_unique_for_overwrite<std::uint32_t[]>(capacity);
  }

  /// Moves one column to where its latents go. Shapes: column [n] -> sorted [n].
  void sort_by_latent(const std::unique_ptr<std::uint32_t[]>& column, std::size_t n) {
    std::copy(offsets.begin(), offsets.end() - 1, cursors.begin());
    for (std::size_t i = 0; i < n; ++i) sorted[cursors[latent[i]]++] = column[i];
  }

  void check_ascending(const std::filesystem::path& path) const {
    for (std::size_t f = 0; f + 1 < offsets.size(); ++f) {
      for (std::uint64_t i = offsets[f] + 1; i < offsets[f + 1]; ++i) {
        if (sorted[i] <= sorted[i - 1])
          throw std::logic_error(fmt::format("{}: latent {} fires twice at position {}", path.string(), f, sorted[i]));
      }
    }
  }
};

FiringBuffer::FiringBuffer(std::uint64_t memory_bytes, std::uint32_t latent_count)
    : columns_(std::make_unique<Columns>()), latent_count_(latent_count) {
  const std::uint64_t tables = kBytesPerLatent * (std::uint64_t{latent_count} + 1);
  capacity_ = kLeastFirings;
  if (memory_bytes > tables) capacity_ = std::max<std::uint64_t>(capacity_, (memory_bytes - tables) / kBytesPerFiring);
  columns_->offsets.resize(std::size_t{latent_count} + 1);
  columns_->cursors.resize(latent_count);
  columns_->special.resize(latent_count);
  columns_->allocate(capacity_);
}

FiringBuffer::~FiringBuffer() = default;

void FiringBuffer::add(std::uint32_t latent, std::uint32_t position, std::uint32_t activation_bits) {
  columns_->latent[size_] = latent;
  columns_->position[size_] = position;
  columns_->activation[size_] = activation_bits;
  ++size_;
}

void FiringBuffer::count_special(std::uint32_t latent) {
  ++columns_->special[latent];
  ++special_firings_;
}

void FiringBuffer::clear() {
  size_ = 0;
  special_firings_ = 0;
  std::fill(columns_->special.begin(), columns_->special.end(), std::uint64_t{0});
}

void FiringBuffer::grow(std::size_t count) {
  columns_->allocate(count);
  capacity_ = count;
}

void FiringBuffer::release() {
  for (auto* column : {&columns_->latent, &columns_->position, &columns_->activation, &columns_->sorted})
    column->reset();
  capacity_ = 0;
}

RunInfo FiringBuffer::write_run(const std::filesystem::path& path, std::uint64_t end_position) {
  Columns& c = *columns_;
  std::fill(c.offsets.begin(), c.offsets.end(), std::uint64_t{0});
  std::uint32_t largest = 0;  // of positive floats the bits are ordered as the values are
  for (std::size_t i = 0; i < size_; ++i) {
    ++c.offsets[std::size_t{c.latent[i]} + 1];
    largest = std::max(largest, c.activation[i]);
  }
  for (std::size_t f = 0; f < latent_count_; ++f) c.offsets[f + 1] += c.offsets[f];

  RunInfo info{size_, end_position, std::bit_cast<float>(largest), {}, {}, {}, {}};
  OutputFile file(path);
  file.write(make_header(latent_count_, size_, end_position));
  const auto offsets = std::as_bytes(std::span(c.offsets));
  info.offsets_hash = hash_hex(offsets);
  file.write(offsets);
  const auto special = std::as_bytes(std::span(c.special));
  info.special_hash = hash_hex(special);
  file.write(special);

  const auto sorted = std::as_bytes(std::span(c.sorted.get(), size_));
  c.sort_by_latent(c.position, size_);
  c.check_ascending(path);
  info.positions_hash = hash_hex(sorted);
  file.write(sorted);
  c.sort_by_latent(c.activation, size_);
  info.activations_hash = hash_hex(sorted);
  file.write(sorted);
  file.commit();
  return info;
}

RunInfo write_run_of(const Reader& reader, const std::filesystem::path& path, std::uint64_t end_position) {
  const std::uint32_t latents = reader.latent_count();
  std::vector<std::uint64_t> offsets(std::size_t{latents} + 1, 0);
  for (std::uint32_t f = 0; f < latents; ++f) offsets[f + 1] = offsets[f] + reader.count(LatentId{f});
  RunInfo info{offsets.back(), end_position, 0.0F, {}, {}, {}, {}};
  OutputFile file(path);
  file.write(make_header(latents, info.firing_count, end_position));
  const auto table = std::as_bytes(std::span(offsets));
  info.offsets_hash = hash_hex(table);
  file.write(table);
  std::vector<std::uint64_t> special(latents);
  for (std::uint32_t f = 0; f < latents; ++f) special[f] = reader.special_count(LatentId{f}).value();
  info.special_hash = hash_hex(std::as_bytes(std::span(special)));
  file.write(std::as_bytes(std::span(special)));
  Hasher positions;
  Hasher activations;
  for (std::uint32_t f = 0; f < latents; ++f) {
    const auto bytes = std::as_bytes(reader.firings(LatentId{f}).position);
    positions.add_bytes(bytes);
    file.write(bytes);
  }
  std::vector<float> values;
  for (std::uint32_t f = 0; f < latents; ++f) {
    const Firings firings = reader.firings(LatentId{f});
    values.resize(firings.size());
    for (std::size_t i = 0; i < firings.size(); ++i) {
      values[i] = firings.value(i);
      info.largest = std::max(info.largest, values[i]);
    }
    const auto bytes = std::as_bytes(std::span(values));
    activations.add_bytes(bytes);
    file.write(bytes);
  }
  info.positions_hash = positions.digest_hex();
  info.activations_hash = activations.digest_hex();
  file.commit();
  return info;
}

RunFile::RunFile(const std::filesystem::path& path, std::uint32_t latent_count, const RunInfo& info)
    : name_(path.string()) {
  special_at_ = kHeaderBytes + 8 * (std::uint64_t{latent_count} + 1);
  positions_at_ = special_at_ + 8 * std::uint64_t{latent_count};
  activations_at_ = positions_at_ + 4 * info.firing_count;
  fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd_ < 0 && errno == ENOENT) fail_input(name_, "is missing, though the manifest beside it names it", kHint);
  if (fd_ < 0) fail_errno(name_, "cannot be opened", errno);
  try {
    check_header(latent_count, info);
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

RunFile::~RunFile() { ::close(fd_); }

void RunFile::check_header(std::uint32_t latent_count, const RunInfo& info) const {
  struct stat status {};
  if (::fstat(fd_, &status) != 0) fail_errno(name_, "cannot be read", errno);
  const std::uint64_t wanted = activations_at_ + 4 * info.firing_count;
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (size != wanted)
    fail_input(name_, fmt::format("has {} bytes, wanted {} for {} firings", size, wanted, info.firing_count), kHint);
  Header header{};
  read_at(0, header);
  if (header != make_header(latent_count, info.firing_count, info.end_position))
    fail_input(name_, "bytes 0 to 63: not the header of the run that the manifest names", kHint);
}

void RunFile::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t n = ::pread(fd_, out.data(), out.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_errno(name_, fmt::format("byte {} cannot be read", offset), errno);
    if (n == 0) fail_input(name_, fmt::format("ends at byte {}", offset), kHint);
    offset += static_cast<std::uint64_t>(n);
    out = out.subspan(static_cast<std::size_t>(n));
  }
}

void RunFile::read_offsets(std::uint64_t first, std::span<std::uint64_t> out) const {
  read_at(kHeaderBytes + 8 * first, std::as_writable_bytes(out));
}

void RunFile::read_special(std::uint64_t first, std::span<std::uint64_t> out) const {
  read_at(special_at_ + 8 * first, std::as_writable_bytes(out));
}

void RunFile::read_positions(std::uint64_t first, std::span<std::uint32_t> out) const {
  read_at(positions_at_ + 4 * first, std::as_writable_bytes(out));
}

void RunFile::read_activations(std::uint64_t first, std::span<std::uint32_t> out) const {
  read_at(activations_at_ + 4 * first, std::as_writable_bytes(out));
}

}  // namespace gloss::index
