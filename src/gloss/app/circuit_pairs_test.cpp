#include "gloss/app/circuit_pairs.h"

#include <gtest/gtest.h>

#include "gloss/base/error.h"
#include "gloss/base/output_file.h"
#include "gloss/base/testing.h"

namespace gloss::app {
namespace {

using testing::error_of;
using testing::TemporaryFolder;

const std::filesystem::path kData = std::filesystem::path(GLOSS_SOURCE_DIR) / "../shared/data";

TEST(CircuitPairs, JsonLinesAndTablesGiveTheSamePairs) {
  const TemporaryFolder folder;
  write_file(folder.path() / "a.jsonl",
             "{\"clean\": \"a, b\", \"patch\": \"c\", \"clean_answer\": \" x\", \"patch_answer\": \" y\"}\n\n");
  write_file(folder.path() / "a.csv", "patch_prefix,clean_prefix,clean_answer,patch_answer\nc,\"a, b\", x, y\n");
  for (const char* name : {"a.jsonl", "a.csv"}) {
    const std::vector<WrittenPair> pairs = read_pairs(folder.path() / name);
    ASSERT_EQ(pairs.size(), 1U);
    EXPECT_EQ(pairs[0].clean, "a, b");
    EXPECT_EQ(pairs[0].patch, "c");
    EXPECT_EQ(pairs[0].clean_answer, " x");
    EXPECT_EQ(pairs[0].patch_answer, " y");
  }
}

TEST(CircuitPairs, FaultsNameFileAndLine) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "a.jsonl";
  write_file(file, "{\"clean\": \"a\", \"patch\": \"b\"}\n{\"clean\": \"a\"}\n");
  EXPECT_EQ(error_of([&] { read_pairs(file); }).substr(0, file.string().size() + 25),
            file.string() + ": line 2: has no 'patch'\n");
  write_file(file, "\n");
  EXPECT_EQ(error_of([&] { read_pairs(file); }), file.string() + ": holds no pair of prompts");
  write_file(folder.path() / "a.csv", "clean,patch\na,b,c\n");
  EXPECT_EQ(error_of([&] { read_pairs(folder.path() / "a.csv"); }),
            (folder.path() / "a.csv").string() + ": line 2: has 3 fields, wanted 2 as in the first line");
}

TEST(CircuitPairs, TheMetricIsTwoTexts) {
  EXPECT_EQ(parse_metric(" she/ he"), std::pair(std::string(" she"), std::string(" he")));
  for (const char* bad : {"she", "/he", "she/", "a/b/c"}) EXPECT_THROW(parse_metric(bad), Error);
}

TEST(CircuitPairs, AgreementDataOfSparseFeatureCircuitsIsRead) {
  const auto folder = kData / "fixtures/feature-circuits";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << folder << " is not there";
  EXPECT_EQ(read_pairs(folder / "simple_train.json").size(), 480U);
  EXPECT_EQ(read_pairs(folder / "nounpp_test.json").size(), 480U);
  const std::vector<WrittenPair> packed = read_pairs(folder / "within_rc_test.json.gz");
  EXPECT_EQ(packed[0].clean, "The athlete that the chefs");
  EXPECT_EQ(packed[0].patch_answer, " has");
}

TEST(CircuitPairs, AnswersAreTheTokenThatFollowsAndOtherPairsAreLeftOut) {
  if (!std::filesystem::exists(kData / "stories260k")) GTEST_SKIP() << "no stories260k";
  const auto tokenizer = text::Tokenizer::load(kData / "stories260k");
  const std::vector<WrittenPair> written = {{"Lily was happy.", "Tim was happy.", " She", " He", 1},
                                            {"Lily was happy.", "Benny was happy.", " She", " He", 2}};
  const TokenPairs found = to_tokens(written, "f", tokenizer, TokenId{1}, {});
  ASSERT_EQ(found.pairs.size(), 1U);
  EXPECT_EQ(found.skipped, 1U);
  EXPECT_TRUE(found.first_reason.starts_with("f: line 2: its prompts have "));
  EXPECT_EQ(found.pairs[0].clean.front(), TokenId{1});
  EXPECT_EQ(tokenizer.token_bytes(found.pairs[0].clean_answer), " She");
  EXPECT_EQ(tokenizer.token_bytes(found.pairs[0].patch_answer), " He");
  EXPECT_EQ(
      error_of([&] { to_tokens(written, "f", tokenizer, {}, std::pair<std::string, std::string>("xyzzy", " He")); }),
      "f: none of its 2 pairs can be used: f: line 1: 'xyzzy' is not one token after the clean prompt");
}

}  // namespace
}  // namespace gloss::app
