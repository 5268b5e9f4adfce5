#pragma once
/// One file as documents, whatever its kind: the readers behind Corpus.
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "gloss/text/byte_source.h"

namespace gloss::text {

/// Documents of one open file, in its order. One thread at a time.
class DocumentReader {
 public:
  virtual ~DocumentReader() = default;
  DocumentReader() = default;
  DocumentReader(const DocumentReader&) = delete;
  DocumentReader& operator=(const DocumentReader&) = delete;

  /// The next document, or nothing at the end. Errors: bad_input naming file and line or row.
  virtual std::optional<std::string> next() = 0;
};

/// A kind of file: how its name ends, how its bytes are packed, and who reads it. `field`: the JSON field or the
/// column that holds the text.
struct FileKind {
  std::string_view suffix;
  Packing packing;
  std::unique_ptr<DocumentReader> (*open)(const std::filesystem::path& path, const FileKind& kind,
                                          const std::string& field);
};

/// The table of kinds.
std::span<const FileKind> file_kinds();
/// By the end of the name; null when it is none of them.
const FileKind* kind_of(const std::filesystem::path& path);

/// parquet_arrow.cpp, or parquet_none.cpp in a build without Apache Arrow, whose error says how to get it.
std::unique_ptr<DocumentReader> open_parquet(const std::filesystem::path& path, const FileKind& kind,
                                             const std::string& field);
/// Whether this build reads Parquet, and with which Arrow: "23.0.0", or "" without.
std::string arrow_version();

/// "'a', 'b', 'c'": the first few of `names`, for a message; "nothing" when there are none.
std::string shown_names(std::span<const std::string> names);

}  // namespace gloss::text
