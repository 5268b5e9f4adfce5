/// gloss circuit as a user runs it: found, labelled, listed, and ablated.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "gloss/base/output_file.h"
#include "shared_run.h"

namespace gloss::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

TEST(CircuitCommand, FindsACircuitWhoseListCanBeExplainedAndAblated) {
  const TemporaryFolder folder("circuit");
  const fs::path out = folder.path() / "out";
  write_file(folder.path() / "pairs.csv",
             "clean,patch,clean_answer,patch_answer\nThe cat sat,The dog sat, on, in\nA cat ran,A dog ran, to, and\n");
  const std::vector<std::string> shared = {"circuit", out.string(), "--model", kModel,
                                           "--sae",   kCoder,       "--pairs", (folder.path() / "pairs.csv").string()};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), shared.begin(), shared.end());
    return run_gloss(more);
  };
  Outcome outcome = with({"--node-threshold", "0.001", "--max-nodes", "5", "--json"});
  ASSERT_TRUE(outcome.code == 0 || outcome.code == 4) << outcome.err;
  const auto found = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(found, nlohmann::json::parse(content(out / "circuit.json")));
  ASSERT_GT(found["nodes"].size(), 1U);
  EXPECT_LE(found["nodes"].size(), 5U);
  const auto& place = found["hookpoints"][0];
  const double whole = place["patched"];
  EXPECT_NEAR(place["latents_effect"].get<double>() + place["error_effect"].get<double>(), whole,
              0.02 + 0.05 * std::abs(whole));
  EXPECT_THAT(content(out / "circuit.svg"), HasSubstr("</svg>"));

  // The list is one of the run's: explained, its explanations become labels.
  const fs::path run = copy_of_run(folder);
  outcome = run_gloss({"explain", run.string(), "--latents", "file:" + (out / "latents.csv").string()});
  ASSERT_TRUE(outcome.code == 0 || outcome.code == 4) << outcome.err;
  outcome = with({"--node-threshold", "0.001", "--max-nodes", "5", "--run", run.string(), "--json"});
  ASSERT_TRUE(outcome.code == 0 || outcome.code == 4) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("\"explanation\": "));

  outcome = with({"--ablate", (out / "latents.csv").string(), "--controls", "2", "--json"});
  ASSERT_TRUE(outcome.code == 0 || outcome.code == 4) << outcome.err;
  const auto ablated = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(ablated["controls"].size(), 2U);
  EXPECT_GT(ablated["latents"], 0);
  EXPECT_NE(ablated["without"], ablated["full"]);
  EXPECT_NEAR(ablated["full"].get<double>(), found["clean_metric"].get<double>(), 1e-4);

  outcome = with({"--metric", "on"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("--metric: 'on' is not two texts with a / between them"));
}

}  // namespace
}  // namespace gloss::testing
