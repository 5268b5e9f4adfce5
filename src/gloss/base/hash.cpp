#include "gloss/base/hash.h"

#define XXH_INLINE_ALL
#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <vector>

#include "gloss/base/error.h"
#include "gloss/base/mapped_file.h"

namespace gloss {

struct Hasher::State {
  XXH3_state_t xxh;
};

Hasher::Hasher() : state_(std::make_unique<State>()) { XXH3_128bits_reset(&state_->xxh); }
Hasher::~Hasher() = default;
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;

void Hasher::add_bytes(std::span<const std::byte> bytes) {
  XXH3_128bits_update(&state_->xxh, bytes.data(), bytes.size());
}

void Hasher::add(std::string_view text) {
  add_number(text.size());
  add_bytes(std::as_bytes(std::span(text.data(), text.size())));
}

void Hasher::add_number(std::uint64_t number) { add_bytes(std::as_bytes(std::span(&number, 1))); }

std::uint64_t Hasher::digest64() const { return XXH3_128bits_digest(&state_->xxh).low64; }

std::string Hasher::digest_hex() const {
  const XXH128_hash_t h = XXH3_128bits_digest(&state_->xxh);
  return fmt::format("{:016x}{:016x}", h.high64, h.low64);
}

std::string hash_hex(std::span<const std::byte> bytes) {
  Hasher hash;
  hash.add_bytes(bytes);
  return hash.digest_hex();
}

std::string hash_path(const std::filesystem::path& path) {
  if (!std::filesystem::is_directory(path)) {
    const MappedFile file = MappedFile::open(path);
    return hash_hex(file.bytes());
  }
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  Hasher hash;
  for (const auto& file : files) {
    const MappedFile mapped = MappedFile::open(file);
    hash.add(file.filename().string());
    hash.add_number(mapped.bytes().size());
    hash.add_bytes(mapped.bytes());
  }
  return hash.digest_hex();
}

}  // namespace gloss
