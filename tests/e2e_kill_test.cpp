// A cache that is killed at random moments ends with the bytes of one that never was.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "gloss/base/random.h"
#include "shared_run.h"

namespace {

namespace fs = std::filesystem;
using gloss::testing::cache_command;
using gloss::testing::content;
using gloss::testing::kIndex;
using gloss::testing::run_for;
using gloss::testing::run_gloss;
using gloss::testing::TemporaryFolder;

/// GLOSS_CACHE_KILLS: how many.
TEST(Killed, ACacheEndsWithTheSameBytes) {
  const char* wanted = std::getenv("GLOSS_CACHE_KILLS");
  const int kills = wanted == nullptr ? 4 : std::atoi(wanted);
  const TemporaryFolder folder("kill-cache");
  const auto command = [&](const std::string& name) {
    std::vector<std::string> all = cache_command((folder.path() / name).string(), "20k");
    all.insert(all.end(), {"--no-weights", "--memory", "256KiB"});  // many spills
    return all;
  };
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_EQ(run_gloss(command("whole")).code, 0);
  const auto takes = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
  gloss::Random random = gloss::Random::for_purpose(5, "kills");
  int killed = 0, finished = 0;
  while (killed < kills || finished == 0) {
    // Any moment, once all are used up until it ends.
    const auto time = killed < kills
                          ? std::chrono::milliseconds(1 + random.below(static_cast<std::uint64_t>(takes.count())))
                          : std::chrono::minutes(10);
    int code = -1;
    if (!run_for(command("cut"), time, &code)) {
      ++killed;
      continue;
    }
    ASSERT_EQ(code, 0);
    ++finished;
    for (const std::string& file :
         {kIndex, std::string("tokens.safetensors"), std::string("latents/layers.2/statistics.safetensors"),
          std::string("latents/layers.2/coder.json")}) {
      EXPECT_TRUE(content(folder.path() / "cut" / file) == content(folder.path() / "whole" / file)) << file;
    }
    EXPECT_FALSE(fs::exists(folder.path() / "cut/latents/layers.2/spill"));
    EXPECT_EQ(run_gloss({"check", (folder.path() / "cut").string()}).code, 0);
    fs::remove_all(folder.path() / "cut");
  }
  std::cout << killed << " kills, " << finished << " caches finished\n";
}

}  // namespace
