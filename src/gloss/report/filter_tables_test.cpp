#include "gloss/report/filter_tables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "gloss/base/testing.h"
#include "gloss/report/report_testing.h"

namespace gloss::report {
namespace {

using gloss::testing::error_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

TEST(FilterTables, AreKeptByHookpointAndKindInTheirNaturalOrder) {
  MadeUpRun run(4);
  EXPECT_TRUE(filter_table(run.data).rows.empty());
  for (const char* hookpoint : {"layers.10", "layers.2"})
    keep_filter_tally(*run.store, {hookpoint, "dense", "density", false, 0.1, 40, 1, {{0.01, 20}, {0.1, 10}}});
  keep_filter_tally(*run.store, {"layers.2", "dense", "density", false, 0.2, 40, 4, {{0.01, 20}, {0.1, 10}}});
  const FigureTable table = filter_table(run.data);
  ASSERT_THAT(table.rows, SizeIs(5));  // a threshold of its own has a row of its own
  EXPECT_THAT(table.columns, ElementsAre("kind", "measure", "hookpoint", "place", "threshold", "told_by", "latents",
                                         "measured", "share", "low", "high"));
  const auto& first = table.rows[0];
  EXPECT_EQ(first[2], "layers.2");
  EXPECT_EQ(first[3], 1);
  EXPECT_EQ(first[8], 0.5);  // 20 of 40; Wilson: (0.3520, 0.6480)
  EXPECT_NEAR(first[9].get<double>(), 0.3520, 1e-4);
  EXPECT_NEAR(first[10].get<double>(), 0.6480, 1e-4);
  EXPECT_EQ(first[5], false);
  EXPECT_EQ(table.rows[2][4], 0.2);
  EXPECT_EQ(table.rows[2][5], true);
  EXPECT_EQ(table.rows[2][6], 4);
  EXPECT_EQ(table.rows[3][2], "layers.10");
  EXPECT_EQ(table.rows[4][5], true);
  run.store->put_setting("filter-table:dense:layers.3", "[]");
  EXPECT_THAT(error_of([&] { filter_table(run.data); }), HasSubstr("filter-table:dense:layers.3"));
}

TEST(KindScores, AreMeansOverTheLatentsOfAKindAndOverTheOthersThere) {
  MadeUpRun run(24);
  const RunSummary summary = summarize_run(run.data.explanations, run.data.scores, 1, run.data.latents);
  EXPECT_TRUE(kind_score_table(run.data, summary, 1).rows.empty());
  const std::string hookpoint = run.data.scores.front().hookpoint;
  std::vector<double> of_kind, of_none;
  const LatentId chosen = run.data.scores.front().score.latent;
  for (const store::ScoreRow& row : run.data.scores) {
    if (row.scorer != "detection" || score::is_shuffled_name(row.explainer)) continue;
    const double value = row.score.balanced_accuracy.value;
    if (std::isnan(value) || row.hookpoint != hookpoint) continue;  // elsewhere nobody looked
    (row.score.latent == chosen ? of_kind : of_none).push_back(value);
  }
  ASSERT_THAT(of_kind, SizeIs(1));
  run.store->put_kind(hookpoint, "dense", {"rule", {{chosen, 0.5}}});
  run.store->put_kind(hookpoint, "special", {"rule", {}});  // of which nothing is
  std::map<std::string, std::vector<nlohmann::json>> rows;
  for (const auto& row : kind_score_table(run.data, summary, 1).rows) {
    EXPECT_EQ(row[0], "dense");
    if (row[2] == "detection" && row[5] == false) rows[row[1].get<std::string>()] = row;
  }
  ASSERT_THAT(rows, SizeIs(2));
  EXPECT_DOUBLE_EQ(rows["of the kind"][6].get<double>(), of_kind[0]);
  EXPECT_TRUE(rows["of the kind"][7].is_null());  // one latent has no interval
  EXPECT_EQ(rows["of the kind"][10], 1);
  EXPECT_EQ(rows["others"][10], of_none.size());
  const score::Interval mean = score::mean_over_latents(of_none, 1);
  EXPECT_DOUBLE_EQ(rows["others"][6].get<double>(), mean.value);
  EXPECT_DOUBLE_EQ(rows["others"][7].get<double>(), mean.low);
}

}  // namespace
}  // namespace gloss::report
