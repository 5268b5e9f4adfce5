#include "shared_run.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

namespace gloss::testing {

namespace fs = std::filesystem;

const std::string kSmall = std::string(GLOSS_SOURCE_DIR) + "/small-model", kModel = kSmall + "/model",
                  kCoder = kSmall + "/coder", kText = kSmall + "/text.jsonl.zst";

std::vector<std::string> cache_command(const std::string& run, const std::string& tokens) {
  return {"cache", run, "--model", kModel, "--sae", kCoder, "--text", kText, "--tokens", tokens, "--ctx-len", "128"};
}

const fs::path& cached_run() {
  static const TemporaryFolder folder("e2e");
  static const fs::path run = [] {
    const Outcome outcome = run_gloss(cache_command((folder.path() / "run").string()));
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return folder.path() / "run";
  }();
  return run;
}

void copy_cached_run(const fs::path& run) {
  fs::copy(cached_run(), run, fs::copy_options::recursive);
  // Another test may have explained in it, with settings of its own.
  for (const char* file : {"results.db", "results.db-wal", "results.db-shm"}) fs::remove(run / file);
}

fs::path copy_of_run(const TemporaryFolder& folder) {
  copy_cached_run(folder.path() / "run");
  return folder.path() / "run";
}

std::string content(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace gloss::testing
