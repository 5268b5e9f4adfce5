// A build without Apache Arrow: the error says how to get it.
#include "gloss/base/error.h"
#include "gloss/exchange/explanation_parquet.h"

namespace gloss::exchange {
namespace {

[[noreturn]] void fail_without(const std::filesystem::path& file) {
  fail_input(file.string(), "Parquet needs Apache Arrow, which this build of gloss has not",
             "pip install pyarrow, then ./setup --arrow $(python3 -c 'import pyarrow; "
             "print(pyarrow.__path__[0])'); or take --format csv");
}

}  // namespace

std::size_t write_explanation_parquet(const store::Store& /*store*/, const std::vector<std::string>& /*hookpoints*/,
                                      const std::filesystem::path& file) {
  fail_without(file);
}

LeftOut each_parquet_explanation(const std::filesystem::path& file, const TableDefaults& /*defaults*/,
                                 const TakeExplanation& /*take*/) {
  fail_without(file);
}

}  // namespace gloss::exchange
