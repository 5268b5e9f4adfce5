/// gloss filter as a user runs it: tables, what is kept, and choosing latents by it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "gloss/store/store.h"
#include "shared_run.h"

namespace gloss::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

std::set<std::uint32_t> kept(const fs::path& run, const std::string& kind) {
  const store::Store store(run / "results.db");
  std::set<std::uint32_t> latents;
  const store::KindRow row = store.kind("layers.2", kind).value();
  for (const auto& [latent, value] : row.latents) latents.insert(to_index(latent));
  return latents;
}

TEST(Filter, KeepsWhatItTellsAndLatentsAreChosenByIt) {
  const TemporaryFolder folder("filter");
  const fs::path run = copy_of_run(folder);
  Outcome outcome = run_gloss({"explain", run.string(), "--latents", "not unigram"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("which latents of layers.2 are unigram is not known"));
  EXPECT_THAT(outcome.err, HasSubstr("gloss filter RUN tells it"));

  outcome = run_gloss({"filter", run.string(), "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  std::map<std::string, std::size_t> told;
  const auto tables = nlohmann::json::parse(outcome.out)["filters"];
  for (const auto& filter : tables) {
    for (const auto& row : filter["hookpoints"]) {
      const std::string kind = filter["kind"];
      told[kind] = row["told"];
      EXPECT_EQ(kept(run, kind).size(), told[kind]) << kind;
      for (const auto& at : row["by_threshold"]) {
        if (at["threshold"] == filter["threshold"]) {
          EXPECT_EQ(at["latents"], row["told"]) << kind;
        }
      }
    }
  }
  EXPECT_GT(told["unigram"], 100U);
  EXPECT_GT(told["dead"], 0U);
  EXPECT_EQ(told.count("output"), 0U) << "nothing was scored";

  const std::set<std::uint32_t> unigram = kept(run, "unigram");
  outcome = run_gloss({"explain", run.string(), "--latents", "unigram and density>0.001,random:20"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  {
    const store::Store store(run / "results.db");
    const auto explained = store.explanations("layers.2", "pattern");
    EXPECT_EQ(explained.size(), 20U);
    for (const auto& row : explained) EXPECT_TRUE(unigram.count(to_index(row.explanation.latent)));
  }
  outcome = run_gloss({"filter", run.string(), "--unigram", "1", "--previous-token", "1", "--check"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("positional: information of position, nats; told above 0.05"));
  const std::set<std::uint32_t> fewer = kept(run, "unigram");
  EXPECT_LT(fewer.size(), unigram.size());
  EXPECT_TRUE(std::includes(unigram.begin(), unigram.end(), fewer.begin(), fewer.end()));
  const std::set<std::uint32_t> checked = kept(run, "unigram-checked");
  EXPECT_GT(checked.size(), 0U) << outcome.out;
  EXPECT_LT(checked.size(), fewer.size()) << "some want more than the token";
  EXPECT_TRUE(std::includes(fewer.begin(), fewer.end(), checked.begin(), checked.end()));
  EXPECT_THAT(outcome.out, HasSubstr("previous-token-checked: share of scrambled texts"));
}

}  // namespace
}  // namespace gloss::testing
