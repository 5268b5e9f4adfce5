/// index.safetensors from anywhere: an Error, or a Reader whose firings lie within the file.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/index/reader.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using gloss::index::Reader;
  try {
    std::string bytes(reinterpret_cast<const char*>(data), size);
    const Reader reader = Reader::parse(gloss::MappedFile::of_bytes(std::move(bytes), "index.safetensors"));
    volatile std::uint64_t sum = 0;  // keeps the reads from being optimised away
    for (std::uint32_t f = 0; f < reader.latent_count(); ++f) {
      const gloss::index::Firings firings = reader.firings(gloss::LatentId{f});
      if (firings.size() != reader.count(gloss::LatentId{f})) std::abort();
      for (std::size_t i = 0; i < firings.size(); ++i)
        sum = sum + firings.position[i] + (firings.value(i) > 0.0F ? 1 : 0);
    }
    reader.verify();
  } catch (const gloss::Error&) {
  }
  return 0;
}
