// A build without Apache Arrow: Parquet files are known, and the error says how to read them.
#include "gloss/base/error.h"
#include "gloss/text/document_reader.h"

namespace gloss::text {

std::unique_ptr<DocumentReader> open_parquet(const std::filesystem::path& path, const FileKind& /*kind*/,
                                             const std::string& /*field*/) {
  fail_input(path.string(), "is a Parquet file, and this build of gloss has no Apache Arrow to read it with",
             "pip install pyarrow, then ./setup --arrow $(python3 -c 'import pyarrow; "
             "print(pyarrow.__path__[0])'); or convert the file to JSON lines");
}

std::string arrow_version() { return {}; }

}  // namespace gloss::text
