// Holds the includes of src/gloss to the modules' table of docs/architecture.md: each module uses only those above it.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

const std::vector<std::string> kOrder = {"base",     "formats",  "text",      "model", "sparse", "index",
                                         "examples", "llm",      "explain",   "score", "store",  "circuit",
                                         "report",   "exchange", "dashboard", "app"};
// Modules that must not include these although they stand above them: libtorch stays where it is needed.
const std::vector<std::string> kTorchModules = {"model", "sparse", "circuit"};

struct Include {
  fs::path file;
  std::string module;
  std::string target;  // as written between quotes or brackets
};

std::vector<Include> all_includes(const fs::path& source) {
  std::vector<Include> found;
  const std::regex pattern(R"(^\s*#include\s+[<"]([^>"]+)[>"])");
  for (const auto& entry : fs::recursive_directory_iterator(source)) {
    const std::string extension = entry.path().extension();
    if (extension != ".h" && extension != ".cpp") continue;
    const std::string module = fs::relative(entry.path(), source).begin()->string();
    std::ifstream in(entry.path());
    for (std::string line; std::getline(in, line);) {
      std::smatch match;
      if (std::regex_search(line, match, pattern)) found.push_back({entry.path(), module, match[1]});
    }
  }
  return found;
}

std::ptrdiff_t rank_of(const std::string& module) {
  const auto it = std::find(kOrder.begin(), kOrder.end(), module);
  return it == kOrder.end() ? -1 : it - kOrder.begin();
}

const fs::path kSource = fs::path(GLOSS_SOURCE_DIR) / "src/gloss";

TEST(Architecture, EveryModuleIsInTheTable) {
  for (const auto& entry : fs::directory_iterator(kSource)) {
    if (!entry.is_directory()) continue;
    EXPECT_GE(rank_of(entry.path().filename()), 0) << entry.path();
  }
}

TEST(Architecture, AModuleIncludesOnlyModulesAboveIt) {
  const std::vector<Include> includes = all_includes(kSource);
  ASSERT_GT(includes.size(), 100U);
  for (const Include& include : includes) {
    if (include.target.rfind("gloss/", 0) != 0) continue;
    const std::string rest = include.target.substr(6);
    const auto slash = rest.find('/');
    if (slash == std::string::npos) continue;  // a generated header
    EXPECT_LE(rank_of(rest.substr(0, slash)), rank_of(include.module))
        << include.file << " includes " << include.target;
  }
}

TEST(Architecture, TorchStaysInItsModulesAndOutOfTheirPublicHeaders) {
  for (const Include& include : all_includes(kSource)) {
    const bool torch = include.target.rfind("torch/", 0) == 0 || include.target.rfind("ATen/", 0) == 0 ||
                       include.target.rfind("c10/", 0) == 0 || include.target == "gloss/model/torch_tensor.h";
    if (!torch) continue;
    EXPECT_TRUE(std::find(kTorchModules.begin(), kTorchModules.end(), include.module) != kTorchModules.end())
        << include.file << " includes " << include.target;
  }
}

TEST(Architecture, ArrowIsIncludedByItsFilesAlone) {
  for (const Include& include : all_includes(kSource)) {
    if (include.target.rfind("arrow/", 0) != 0 && include.target.rfind("parquet/", 0) != 0) continue;
    EXPECT_EQ(include.file.filename(), "parquet_arrow.cpp") << include.file << " includes " << include.target;
  }
}

TEST(Architecture, PublicHeadersUsedByOtherModulesAreFreeOfTorch) {
  const std::vector<Include> includes = all_includes(kSource);
  // Headers that reach torch, closed over inclusion.
  std::map<std::string, bool> reaches;
  for (bool changed = true; changed;) {
    changed = false;
    for (const Include& include : includes) {
      if (include.file.extension() != ".h") continue;
      const std::string self = "gloss/" + fs::relative(include.file, kSource).string();
      const bool torch = include.target.rfind("torch/", 0) == 0 || include.target.rfind("ATen/", 0) == 0 ||
                         (reaches.contains(include.target) && reaches[include.target]);
      if (torch && !reaches[self]) changed = reaches[self] = true;
    }
  }
  ASSERT_TRUE(reaches["gloss/model/torch_tensor.h"]);
  for (const Include& include : includes) {
    if (std::find(kTorchModules.begin(), kTorchModules.end(), include.module) != kTorchModules.end()) continue;
    EXPECT_FALSE(reaches.contains(include.target) && reaches[include.target])
        << include.file << " includes " << include.target << ", which includes torch";
  }
}

}  // namespace
