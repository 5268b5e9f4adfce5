#pragma once
/// Help for tests of checked files: a header that was altered on purpose, with the checksum it would have.
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>

#include "gloss/base/hash.h"

namespace gloss::formats::testing {

/// The file with its header's checksum made right. Requires: the header holds one.
inline std::string with_header_checksum(std::string file) {
  constexpr std::size_t kDigits = 32;
  const std::string key = "\"xxh3.header\":\"";
  std::uint64_t json = 0;
  std::memcpy(&json, file.data(), sizeof(json));
  const std::size_t at = file.find(key);
  if (at == std::string::npos) throw std::logic_error("no checksum of the header");
  file.replace(at + key.size(), kDigits, std::string(kDigits, '0'));
  const std::string digits = hash_hex(std::as_bytes(std::span(file.data(), sizeof(json) + json)));
  return file.replace(at + key.size(), kDigits, digits);
}

}  // namespace gloss::formats::testing
