#pragma once
/// Read-only memory mapping of a file: the only code that maps.
#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace gloss {

/// A mapped file, or bytes that stand for one; copies share the mapping. Any thread may read.
class MappedFile {
 public:
  /// Maps the whole of `path`. Errors: bad_input when it is missing or no regular file; failed when it cannot be
  /// mapped.
  static MappedFile open(const std::filesystem::path& path);
  /// Owns `bytes`; `name` stands for the path in messages. For tests, and for data that is made rather than read.
  static MappedFile of_bytes(std::string bytes, std::string name);

  /// Lifetime: as long as any copy of this object.
  std::span<const std::byte> bytes() const& { return bytes_; }
  std::span<const std::byte> bytes() && = delete;
  const std::string& name() const { return name_; }

 private:
  std::shared_ptr<const void> owner_;
  std::span<const std::byte> bytes_;
  std::string name_;
};

}  // namespace gloss
