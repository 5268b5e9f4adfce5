#include "gloss/report/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "gloss/base/testing.h"

namespace gloss::report {
namespace {

/// A score of `right` of 10 activating and all of 10 silent windows.
void put(store::Store& store, const std::string& explainer, std::uint32_t latent, std::uint32_t right,
         const std::string& judge = "pattern") {
  std::vector<score::Judgement> judgements;
  for (std::uint32_t i = 0; i < 20; ++i) {
    score::Judgement j;
    j.start = 32 * i;
    j.truth = i < 10;
    j.kind = j.truth ? examples::WindowKind::activating : examples::WindowKind::silent_random;
    j.quantile = j.truth ? 1 : 0;
    j.verdict = i < right ? score::Verdict::yes : score::Verdict::no;
    judgements.push_back(j);
  }
  store.put_score({"layers.0", explainer, "detection", judge, score::summarize(LatentId{latent}, judgements, 1)},
                  judgements);
}

TEST(Compare, PairsLatentsAndWindows) {
  const gloss::testing::TemporaryFolder folder;
  store::Store store(folder.path() / "results.db");
  for (std::uint32_t f = 0; f < 4; ++f) {
    put(store, "a", f, 2);
    put(store, "b", f, 10);
  }
  put(store, "a", 7, 5);
  put(store, "b", 8, 5);
  put(store, "b", 9, 5);
  const auto rows = compare({store, "a"}, {store, "b"}, true, 1);
  ASSERT_EQ(rows.size(), 1U);
  const Comparison& row = rows[0];
  EXPECT_EQ(row.scorer, "detection");
  EXPECT_EQ(row.latents, 4U);
  EXPECT_EQ(row.only_a, 1U);
  EXPECT_EQ(row.only_b, 2U);
  EXPECT_NEAR(row.a.value, 0.6, 1e-12);
  EXPECT_NEAR(row.difference.value, 0.4, 1e-12);
  EXPECT_EQ(row.windows.both_right, 4U * 12);
  EXPECT_EQ(row.windows.only_b, 4U * 8);
  EXPECT_EQ(row.windows.only_a + row.windows.both_wrong, 0U);
  EXPECT_EQ(row.b_better, 4U) << "8 to 0: p = 2 / 256";
  EXPECT_EQ(row.a_better, 0U);
  EXPECT_THAT(to_text(row), ::testing::HasSubstr("B - A  +0.400 [+0.400, +0.400]"));
  EXPECT_EQ(to_json(row)["windows"]["only_b_right"], 32);
  EXPECT_EQ(compare({store, "a"}, {store, "b"}, false, 1)[0].windows.windows(), 0U);
}

TEST(Compare, JudgesThatDifferArePairedOnlyWhenThereIsNoChoice) {
  const gloss::testing::TemporaryFolder folder;
  store::Store store(folder.path() / "results.db");
  put(store, "a", 0, 4, "pattern");
  put(store, "b", 0, 5, "llm:x");
  auto rows = compare({store, "a"}, {store, "b"}, true, 1);
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].judge_a, "pattern");
  EXPECT_EQ(rows[0].judge_b, "llm:x");
  put(store, "b", 0, 5, "pattern");
  rows = compare({store, "a"}, {store, "b"}, true, 1);
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].judge_b, "pattern");
  EXPECT_TRUE(compare({store, "a"}, {store, "nobody"}, true, 1).empty());
}

}  // namespace
}  // namespace gloss::report
