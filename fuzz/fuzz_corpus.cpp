/// Text files of every kind from anywhere are documents or an Error. The first byte says which kind.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "gloss/base/error.h"
#include "gloss/base/utf8.h"
#include "gloss/text/byte_source.h"
#include "gloss/text/corpus.h"
#include "gloss/text/csv_reader.h"

namespace {

using gloss::MappedFile;
using gloss::text::Packing;

/// Fields, put together, are no more than the bytes that the source gives.
void check_rows(const std::string& bytes, Packing packing, char separator) {
  gloss::text::CsvReader rows(gloss::text::open_source(MappedFile::of_bytes(bytes, "fuzz"), packing), "fuzz",
                              separator);
  std::size_t whole = 0;
  {
    std::string text;
    const auto source = gloss::text::open_source(MappedFile::of_bytes(bytes, "fuzz"), packing);
    while (source->read_more(text)) {
    }
    whole = text.size();
  }
  std::size_t characters = 0;
  while (const auto row = rows.next()) {
    for (const std::string& field : *row) characters += field.size() + 1;
    if (row->empty() || characters > whole + 1) std::abort();
  }
}

/// Lines, put together again, are no more than the bytes that the source gives. False when those are too many to go on.
bool check_lines(const std::string& bytes, Packing packing) {
  std::string whole;
  const auto source = gloss::text::open_source(MappedFile::of_bytes(bytes, "fuzz"), packing);
  constexpr std::size_t kEnough = std::size_t{8} << 20;  // a small file may unpack to a very large one
  while (whole.size() < kEnough && source->read_more(whole)) {
  }
  if (whole.size() >= kEnough) return false;
  std::size_t characters = 0;
  gloss::text::LineReader lines(gloss::text::open_source(MappedFile::of_bytes(bytes, "fuzz"), packing), "fuzz");
  while (const auto line = lines.next()) characters += line->size() + 1;
  if (characters > whole.size() + 1) std::abort();
  return true;
}

void check_corpus(const std::filesystem::path& file) {
  gloss::text::Corpus corpus = gloss::text::Corpus::open({file});
  constexpr int kDocuments = 1000;
  for (int i = 0; i < kDocuments; ++i) {
    const auto text = corpus.next();
    if (!text) return;
    if (file.string().find(".txt") == std::string::npos && !gloss::is_valid_utf8(*text)) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  static const std::filesystem::path folder = [] {
    std::string name = (std::filesystem::temp_directory_path() / "gloss-fuzz-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    return std::filesystem::path(name);
  }();
  struct Kind {
    const char* name;
    Packing packing;
  };
  static constexpr std::array<Kind, 12> kKinds{{{"f.csv", Packing::none},
                                                {"f.tsv", Packing::none},
                                                {"f.csv.gz", Packing::gzip},
                                                {"f.tsv.gz", Packing::gzip},
                                                {"f.csv.zst", Packing::zstd},
                                                {"f.tsv.zst", Packing::zstd},
                                                {"f.txt", Packing::none},
                                                {"f.jsonl", Packing::none},
                                                {"f.txt.gz", Packing::gzip},
                                                {"f.jsonl.gz", Packing::gzip},
                                                {"f.txt.zst", Packing::zstd},
                                                {"f.jsonl.zst", Packing::zstd}}};
  const Kind& kind = kKinds.at(data[0] % kKinds.size());
  const std::string bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  try {
    if (!check_lines(bytes, kind.packing)) return 0;
    const std::filesystem::path file = folder / kind.name;
    try {
      check_rows(bytes, kind.packing, ',');
    } catch (const gloss::Error&) {
    }
    std::ofstream(file, std::ios::binary) << bytes;
    check_corpus(file);
  } catch (const gloss::Error&) {
  }
  return 0;
}
