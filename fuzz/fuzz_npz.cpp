/// A NumPy archive from anywhere: every array lies in the file or in a copy that its shape accounts for, or there is an
/// Error. The first byte says whether the rest is a whole archive, or one .npy inside of one, stored or deflated (which
/// spares the fuzzer the zip archive's sums and offsets).
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "gloss/base/error.h"
#include "gloss/formats/npz_file.h"
#include "gloss/formats/zip_testing.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

std::string archive_of(std::string array, bool deflate) {
  std::vector<gloss::formats::ZipPart> parts(1);
  parts[0].name = "W_enc.npy";
  parts[0].data = std::move(array);
  parts[0].deflate = deflate;
  return gloss::formats::make_zip(parts);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  if (data[0] % 3 != 0) bytes = archive_of(std::move(bytes), data[0] % 3 == 2);
  try {
    const auto file = gloss::formats::NpzFile::parse(gloss::MappedFile::of_bytes(std::move(bytes), "fuzz"));
    unsigned sum = 0;
    for (const auto& t : file.tensors()) {
      std::uint64_t elements = 1;
      for (const std::uint64_t n : t.shape) elements *= n;
      require(elements * gloss::formats::size_bytes(t.dtype) == t.bytes.size());
      require(file.contains(t.name));
      if (!t.bytes.empty())
        sum += std::to_integer<unsigned>(t.bytes.front()) + std::to_integer<unsigned>(t.bytes.back());
    }
    require(sum <= 510 * file.tensors().size());
  } catch (const gloss::Error&) {
  }
  return 0;
}
