/// A zip archive from anywhere: its entries lie in the file, apart from one another, or there is an Error.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "gloss/base/error.h"
#include "gloss/formats/zip_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using gloss::formats::ZipEntry;
  using gloss::formats::ZipFile;
  std::string bytes(reinterpret_cast<const char*>(data), size);
  try {
    const ZipFile zip = ZipFile::parse(gloss::MappedFile::of_bytes(std::move(bytes), "fuzz"));
    std::vector<const ZipEntry*> entries;
    for (const ZipEntry& entry : zip.entries()) {
      if (entry.offset > size || entry.bytes.size() > size - entry.offset) std::abort();
      if (zip.find(entry.name) != &entry) std::abort();
      entries.push_back(&entry);
    }
    std::sort(entries.begin(), entries.end(), [](const auto* a, const auto* b) { return a->offset < b->offset; });
    for (std::size_t i = 1; i < entries.size(); ++i) {
      if (entries[i - 1]->offset + entries[i - 1]->bytes.size() > entries[i]->offset) std::abort();
    }
    for (const ZipEntry* entry : entries) {
      try {
        if (zip.unpack(*entry).size() != entry->size) std::abort();
      } catch (const gloss::Error&) {
      }
    }
  } catch (const gloss::Error&) {
  }
  return 0;
}
