/// Safetensors bytes from anywhere: every tensor lies in them, or there is an Error.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "gloss/base/error.h"
#include "gloss/formats/safetensors.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

/// Reads the first and the last byte, so that a sanitizer sees a range that lies outside.
unsigned touch(std::span<const std::byte> bytes) {
  return bytes.empty() ? 0 : std::to_integer<unsigned>(bytes.front()) + std::to_integer<unsigned>(bytes.back());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using gloss::formats::SafeTensors;
  std::string bytes(reinterpret_cast<const char*>(data), size);
  try {
    const SafeTensors file = SafeTensors::parse(gloss::MappedFile::of_bytes(std::move(bytes), "fuzz"));
    std::size_t total = 0;
    unsigned sum = 0;
    for (const auto& t : file.tensors()) {
      require(file.contains(t.name));
      require(t.element_count() * gloss::formats::size_bytes(t.dtype) == t.bytes.size());
      total += t.bytes.size();
      sum += touch(t.bytes);
      try {
        require(gloss::formats::to_floats(t).size() == t.element_count());
        (void)file.view<float>(t.name, t.dtype);
      } catch (const gloss::Error&) {
      }
    }
    require(total <= size);
    require(sum <= 510 * file.tensors().size());
  } catch (const gloss::Error&) {
  }
  return 0;
}
