#pragma once
/// Fingerprints: XXH3, 128 bits, as 32 hexadecimal digits.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace gloss {

/// Streaming hash. Strings are added with their length, so that ("ab","c") and ("a","bc") differ.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;

  void add_bytes(std::span<const std::byte> bytes);
  void add(std::string_view text);
  void add_number(std::uint64_t number);

  std::uint64_t digest64() const;
  std::string digest_hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string hash_hex(std::span<const std::byte> bytes);
/// Of a file's content; of a folder: of the names and contents of its files, sorted by name, not recursing.
std::string hash_path(const std::filesystem::path& path);

}  // namespace gloss
