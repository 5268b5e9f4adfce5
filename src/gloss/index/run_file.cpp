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
#include <stdexcept>
#include <vector>

#include "gloss/base/error.h"
#include "gloss/base/hash.h"

namespace gloss::index {
namespace {

constexpr std::size_t kHeaderBytes = 64;
constexpr std::array<char, 8> kMagic{'G', 'L', 'O', 'S', 'S', 'R', 'U', 'N'};
constexpr std::uint32_t kVersion = 2;
constexpr std::uint64_t kValueBytes = 4;  // of a position, of an activation
constexpr std::size_t kPendingBytes = std::size_t{1} << 18;
constexpr const char* kHint = "delete the spill folder to begin the cache of this hookpoint again";

using Header = std::array<std::byte, kHeaderBytes>;

std::uint64_t special_at(std::uint64_t latent_count) { return kHeaderBytes + 8 * (latent_count + 1); }
std::uint64_t positions_at(std::uint64_t latent_count) { return special_at(latent_count) + 8 * latent_count; }

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

RunWriter::RunWriter(const std::filesystem::path& path, std::uint32_t latent_count, std::uint64_t firing_count,
                     std::uint64_t end_position)
    : latent_count_(latent_count),
      info_{firing_count, end_position, 0.0F, {}, {}, {}, {}},
      file_(path, positions_at(latent_count) + 2 * kValueBytes * firing_count) {
  positions_.at = positions_at(latent_count);
  activations_.at = positions_.at + kValueBytes * firing_count;
}

void RunWriter::append(Column& column, std::span<const std::byte> bytes) {
  column.hash.add_bytes(bytes);
  if (column.pending.size() + bytes.size() > kPendingBytes) flush(column);
  if (bytes.size() > kPendingBytes) {
    file_.write_at(column.at, bytes);
    column.at += bytes.size();
  } else {
    column.pending.insert(column.pending.end(), bytes.begin(), bytes.end());
  }
}

void RunWriter::flush(Column& column) {
  file_.write_at(column.at, column.pending);
  column.at += column.pending.size();
  column.pending.clear();
}

RunInfo RunWriter::commit(std::span<const std::uint64_t> offsets, std::span<const std::uint64_t> special,
                          float largest) {
  flush(positions_);
  flush(activations_);
  if (offsets.size() != std::size_t{latent_count_} + 1 || special.size() != latent_count_ ||
      positions_.at != positions_at(latent_count_) + kValueBytes * info_.firing_count ||
      activations_.at != positions_.at + kValueBytes * info_.firing_count)
    throw std::logic_error("a run of other latents or firings than it was to have");
  file_.write_at(0, make_header(latent_count_, info_.firing_count, info_.end_position));
  file_.write_at(kHeaderBytes, std::as_bytes(offsets));
  file_.write_at(special_at(latent_count_), std::as_bytes(special));
  info_.offsets_hash = hash_hex(std::as_bytes(offsets));
  info_.special_hash = hash_hex(std::as_bytes(special));
  info_.positions_hash = positions_.hash.digest_hex();
  info_.activations_hash = activations_.hash.digest_hex();
  info_.largest = largest;
  file_.commit();
  return info_;
}

RunInfo write_run_of(const Reader& reader, const std::filesystem::path& path, std::uint64_t end_position) {
  const std::uint32_t latents = reader.latent_count();
  std::vector<std::uint64_t> offsets(std::size_t{latents} + 1, 0);
  std::vector<std::uint64_t> special(latents);
  for (std::uint32_t f = 0; f < latents; ++f) {
    offsets[f + 1] = offsets[f] + reader.count(LatentId{f});
    special[f] = reader.special_count(LatentId{f}).value();
  }
  RunWriter run(path, latents, offsets.back(), end_position);
  float largest = 0.0F;
  std::vector<std::uint32_t> bits;
  for (std::uint32_t f = 0; f < latents; ++f) {
    const Firings firings = reader.firings(LatentId{f});
    run.append_positions(firings.position);
    bits.resize(firings.size());
    for (std::size_t i = 0; i < firings.size(); ++i) {
      const float value = firings.value(i);
      bits[i] = std::bit_cast<std::uint32_t>(value);
      largest = std::max(largest, value);
    }
    run.append_activations(bits);
  }
  return run.commit(offsets, special, largest);
}

RunFile::RunFile(const std::filesystem::path& path, std::uint32_t latent_count, const RunInfo& info)
    : name_(path.string()) {
  special_at_ = special_at(latent_count);
  positions_at_ = positions_at(latent_count);
  activations_at_ = positions_at_ + kValueBytes * info.firing_count;
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
  const std::uint64_t wanted = activations_at_ + kValueBytes * info.firing_count;
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
  read_at(positions_at_ + kValueBytes * first, std::as_writable_bytes(out));
}

void RunFile::read_activations(std::uint64_t first, std::span<std::uint32_t> out) const {
  read_at(activations_at_ + kValueBytes * first, std::as_writable_bytes(out));
}

}  // namespace gloss::index
