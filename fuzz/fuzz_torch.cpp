/// A PyTorch checkpoint from anywhere: every tensor lies in the file or in a copy no larger than it, or there is an
/// Error. The first byte says whether the rest is a whole file, or the pickle of one, with two storages beside it
/// (which spares the fuzzer the zip archive's sums and offsets).
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "gloss/base/error.h"
#include "gloss/formats/torch_file.h"
#include "gloss/formats/zip_testing.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

unsigned touch(std::span<const std::byte> bytes) {
  return bytes.empty() ? 0 : std::to_integer<unsigned>(bytes.front()) + std::to_integer<unsigned>(bytes.back());
}

std::string archive_of(std::string pickle, bool deflate) {
  std::vector<gloss::formats::ZipPart> parts(3);
  parts[0].name = "archive/data.pkl";
  parts[0].data = std::move(pickle);
  parts[1].name = "archive/data/0";
  parts[1].data = std::string(24, '\1');
  parts[2].name = "archive/data/1";
  parts[2].data = std::string(4096, '\2');
  for (auto& part : parts) part.deflate = deflate;
  return gloss::formats::make_zip(parts);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  if (data[0] % 3 != 0) bytes = archive_of(std::move(bytes), data[0] % 3 == 2);
  constexpr std::size_t kSmallest = std::size_t{1} << 20;  // as many bytes may always be copied
  const std::size_t most = 1032 * bytes.size() + kSmallest;
  try {
    const auto file = gloss::formats::TorchFile::parse(gloss::MappedFile::of_bytes(std::move(bytes), "fuzz"));
    unsigned sum = 0;
    for (const auto& t : file.tensors()) {
      require(t.bytes.size() <= most);
      std::uint64_t elements = 1;
      for (const std::uint64_t n : t.shape) elements *= n;
      require(elements * gloss::formats::size_bytes(t.dtype) == t.bytes.size());
      sum += touch(t.bytes);
    }
    require(sum <= 510 * file.tensors().size());
    (void)file.values().dump();
  } catch (const gloss::Error&) {
  }
  return 0;
}
