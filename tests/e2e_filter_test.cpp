/// gloss filter as a user runs it: tables, what is kept, and choosing latents by it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "gloss/base/output_file.h"
#include "gloss/formats/safetensors.h"
#include "gloss/store/store.h"
#include "shared_run.h"

namespace gloss::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

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

TEST(Filter, InputAndOutputScoresAreKeptForEveryLatentThatFires) {
  const TemporaryFolder folder("filter-input-output");
  const fs::path run = copy_of_run(folder);
  const fs::path file = run / "latents/layers.2/input-output.safetensors";
  Outcome outcome = run_gloss({"filter", run.string()});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, Not(HasSubstr("output-score")));
  outcome = run_gloss({"filter", run.string(), "--input-output"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("input-score: share of its strongest contexts whose strongest token it promotes"));
  const std::string bytes = content(file);
  const auto scores = formats::SafeTensors::parse(MappedFile::open(file));
  const auto output = scores.view<float>("output", formats::Dtype::f32);
  const auto measured = std::count_if(output.begin(), output.end(), [](float s) { return s >= 0.0F && s <= 1.0F; });
  EXPECT_GT(measured, 500);
  const std::set<std::uint32_t> told = kept(run, "output-score");
  EXPECT_GT(told.size(), 0U);
  for (std::uint32_t f = 0; f < output.size(); ++f) EXPECT_EQ(told.contains(f), output[f] > 0.01F) << f;

  // What is there is taken, by a command that would not find the model; another prompt makes it anew.
  outcome = run_gloss({"filter", run.string(), "--output-score", "0.5"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_LT(kept(run, "output-score").size(), told.size());
  outcome = run_gloss({"filter", run.string(), "--input-output", "--neutral", "Once upon a time"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(content(file), bytes);
  outcome = run_gloss({"filter", run.string(), "--input-output"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(content(file), bytes) << "the same again";

  outcome = run_gloss({"explain", run.string(), "--latents", "output-score and not input-score,random:5", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["explained"], 5);
}

TEST(Filter, OutputLatentsAreExplainedByWhatTheyWriteAndReportedApart) {
  const TemporaryFolder folder("filter-output");
  const fs::path run = copy_of_run(folder);
  ASSERT_EQ(run_gloss({"explain", run.string(), "--latents", "alive,random:30"}).code, 0);
  ASSERT_EQ(run_gloss({"score", run.string(), "--scorer", "detection"}).code, 0);
  {  // Explanations of this small model are good, so that none of its latents is one by itself.
    store::Store store(run / "results.db");
    store::KindRow kind{"of this test", {}};
    for (const store::ScoreRow& row : store.scores("layers.2", "pattern", "detection")) {
      if (kind.latents.size() < 6) kind.latents.emplace_back(row.score.latent, 20.0);
    }
    ASSERT_EQ(kind.latents.size(), 6U);
    store.put_kind("layers.2", "output", kind);
  }
  Outcome outcome = run_gloss({"explain", run.string(), "--preset", "output", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["explainer"], "promoted-tokens");
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["explained"], 6);
  {
    const store::Store store(run / "results.db");
    const auto rows = store.explanations("layers.2", "promoted-tokens");
    ASSERT_EQ(rows.size(), 6U);
    EXPECT_THAT(rows.front().explanation.text, ::testing::StartsWith("writes \""));
  }
  const std::string prompts = folder.path() / "prompts";  // short ones: the model's context has 128 tokens
  fs::create_directories(prompts);
  write_file(prompts + "/intervention.txt", "--- user\n{{prompt}}{{continuation}}\n");
  outcome = run_gloss({"score", run.string(), "--explainer", "promoted-tokens", "--scorer", "intervention", "--llm",
                       "native:" + kModel, "--prompts", prompts, "--steer-prompts", "2", "--steer-prompt-tokens", "6",
                       "--steer-tokens", "4", "--shuffled", "none", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto json = nlohmann::json::parse(outcome.out);
  std::map<std::string, std::uint64_t> latents;  // of a group and scorer
  for (const auto& row : json["by_group"]) {
    if (!row["baseline"])
      latents[row["group"].get<std::string>() + " " + row["scorer"].get<std::string>()] = row["latents"];
  }
  EXPECT_EQ(latents["output latents detection"], 6U);
  EXPECT_EQ(latents["other latents detection"], 24U);
  EXPECT_EQ(latents["output latents intervention"], 6U);
  EXPECT_EQ(latents.count("other latents intervention"), 0U);
  ASSERT_EQ(run_gloss({"report", run.string()}).code, 0);
  EXPECT_THAT(content(run / "report/index.html"), HasSubstr("Output latents and the others apart"));
}

}  // namespace
}  // namespace gloss::testing
