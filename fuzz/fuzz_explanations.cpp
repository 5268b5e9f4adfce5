/// Explanations and scores in files from anywhere are those that gloss keeps, or an Error. The first byte says which
/// kind of file.
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "gloss/base/error.h"
#include "gloss/exchange/delphi_results.h"
#include "gloss/exchange/explanation_csv.h"
#include "gloss/exchange/explanation_lines.h"
#include "gloss/exchange/openai_files.h"
#include "gloss/exchange/saebench.h"
#include "gloss/score/judge.h"

namespace {

namespace fs = std::filesystem;
namespace exchange = gloss::exchange;

/// What is taken has a text and a scorer that is known, whose number it can have given.
void check(const exchange::GivenExplanation& given) {
  if (exchange::is_blank(given.row.explanation.text) || !given.row.explanation.ok()) std::abort();
  for (const exchange::GivenScore& one : given.scores) {
    gloss::score::parse_scorer(one.scorer);
    if (one.judge.empty() || one.score.latent != given.row.explanation.latent) std::abort();
    const double value = gloss::score::headline(one.scorer, one.score).value.value;
    if (!std::isnan(value) && one.scorer != "intervention" && std::abs(value) > 1.0) std::abort();
  }
}

void read_table(const fs::path& file) { exchange::each_csv_explanation(file, {"h", "e"}, check); }
void read_lines(const fs::path& file) { exchange::each_explanation_line(file, check); }
void read_neuronpedia(const fs::path& file) { exchange::each_neuronpedia_line(file, "h", check); }
void read_openai(const fs::path& file) { exchange::each_openai_line(file, "layers.5", check); }
void read_saebench(const fs::path& file) { exchange::each_saebench_explanation(file, "h", check); }
/// Of a folder beside an explanation that is whole.
void read_delphi(const fs::path& file) {
  exchange::each_delphi_explanation(file.parent_path().parent_path().parent_path(), {}, check);
}

struct Kind {
  const char* name;
  void (*read)(const fs::path& file);
};
constexpr std::array<Kind, 9> kKinds{{{"x.csv", read_table},
                                      {"x.tsv", read_table},
                                      {"x.csv.gz", read_table},
                                      {"x.jsonl", read_lines},
                                      {"n.jsonl", read_neuronpedia},
                                      {"o.jsonl", read_openai},
                                      {"s.json", read_saebench},
                                      {"d/scores/detection/h_latent1.txt", read_delphi},
                                      {"e/scores/simulation/h_latent1.txt", read_delphi}}};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  static const fs::path folder = [] {
    std::string name = (fs::temp_directory_path() / "gloss-fuzz-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    for (const char* root : {"d", "e"}) {
      fs::create_directories(fs::path(name) / root / "explanations");
      std::ofstream(fs::path(name) / root / "explanations/h_latent1.txt") << "\"dogs\"";
    }
    return fs::path(name);
  }();
  const Kind& kind = kKinds.at(data[0] % kKinds.size());
  const fs::path file = folder / kind.name;
  fs::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary)
      .write(reinterpret_cast<const char*>(data + 1), static_cast<std::streamsize>(size - 1));
  try {
    kind.read(file);
  } catch (const gloss::Error&) {
  }
  return 0;
}
