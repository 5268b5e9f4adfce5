#include "gloss/report/filter_tables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <tuple>

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

/// Ten latents of layers.2, of which 3 and 9 are dead and 7 fires at special tokens alone; nobody looked for dead ones
/// elsewhere.
void keep_findings(store::Store& store) {
  const auto keep = [&](const char* hookpoint, const char* kind, bool few, double threshold,
                        std::vector<std::pair<LatentId, double>> found) {
    keep_filter_tally(store,
                      {hookpoint, kind, "number", few, threshold, 10, found.size(), {{threshold, found.size()}}});
    store.put_kind(hookpoint, kind, {"number told", std::move(found)});
  };
  keep("layers.2", "dead", true, 0.0, {{LatentId{3}, 0.0}, {LatentId{7}, 0.0}, {LatentId{9}, 0.0}});
  keep("layers.2", "special", false, 0.5, {{LatentId{7}, 1.0}});
  keep("layers.2", "unigram", true, 20.0, {{LatentId{4}, 9.0}, {LatentId{5}, 5.0}, {LatentId{6}, 5.0}});
  keep("layers.2", "writes-few", false, 10.0,
       {{LatentId{0}, 15.0}, {LatentId{1}, 12.0}, {LatentId{2}, 15.0}, {LatentId{3}, 30.0}});
  keep("layers.2", "dense", false, 0.1, {});
  keep("layers.1", "dense", false, 0.1, {{LatentId{0}, 0.5}});
}

TEST(FilterTables, GiveKindsAsSharesOfTheLatentsThatFire) {
  MadeUpRun run(4);
  EXPECT_TRUE(filter_layer_table(run.data).rows.empty());
  keep_findings(*run.store);
  const FigureTable table = filter_layer_table(run.data);
  EXPECT_THAT(table.columns,
              ElementsAre("kind", "rule", "hookpoint", "place", "latents", "living", "share", "low", "high"));
  ASSERT_THAT(table.rows, SizeIs(4));
  EXPECT_EQ(table.rows[0][0], "dense");
  EXPECT_EQ(table.rows[0][4], 0);
  EXPECT_NEAR(table.rows[0][8].get<double>(), 0.3244, 1e-4);  // 0 of 8
  EXPECT_EQ(table.rows[1][0], "special");
  EXPECT_EQ(table.rows[1][4], 1) << "it fires, though at no token that is counted";
  const auto& writes_few = table.rows[3];
  EXPECT_EQ(writes_few[0], "writes-few");
  EXPECT_EQ(writes_few[1], "number told");
  EXPECT_EQ(writes_few[2], "layers.2");
  EXPECT_EQ(writes_few[3], 2);
  EXPECT_EQ(writes_few[4], 3) << "latent 3 is dead";
  EXPECT_EQ(writes_few[5], 8);
  EXPECT_EQ(writes_few[6], 0.375);  // Wilson: (0.1368, 0.6943)
  EXPECT_NEAR(writes_few[7].get<double>(), 0.1368, 1e-4);
  EXPECT_NEAR(writes_few[8].get<double>(), 0.6943, 1e-4);
}

TEST(FilterTables, GiveTheShareThatEachThresholdFromTheOneOfTheFilterOnTells) {
  MadeUpRun run(4);
  keep_findings(*run.store);
  using Point = std::tuple<double, std::uint64_t, bool>;  // threshold, latents, whether it told
  std::map<std::string, std::vector<Point>> curves;
  for (const auto& row : filter_curve_table(run.data).rows) {
    curves[row[0]].emplace_back(row[4], row[6], row[5]);
    EXPECT_EQ(row[7], 8);
    EXPECT_DOUBLE_EQ(row[8].get<double>(), row[6].get<double>() / 8.0);
    EXPECT_LE(row[9].get<double>(), row[8].get<double>());
    EXPECT_GT(row[10].get<double>(), row[8].get<double>());
  }
  ASSERT_THAT(curves, SizeIs(3)) << "no latent is dense where the dead are known";
  EXPECT_THAT(curves["writes-few"], ElementsAre(Point{10.0, 3, true}, Point{12.0, 2, false}, Point{15.0, 0, false}));
  EXPECT_THAT(curves["unigram"], ElementsAre(Point{5.0, 2, false}, Point{9.0, 3, false}, Point{20.0, 3, true}));
}

TEST(FilterTables, KeepCurvesOfManyLatentsShort) {
  MadeUpRun run(4);
  keep_filter_tally(*run.store, {"layers.2", "dead", "firings", true, 0.0, 5000, 0, {}});
  run.store->put_kind("layers.2", "dead", {"firings <= 0", {}});
  keep_filter_tally(*run.store, {"layers.2", "dense", "density", false, 0.25, 5000, 1501, {}});
  store::KindRow dense{"density > 0.25", {}};
  for (std::uint32_t f = 0; f < 1501; ++f) dense.latents.emplace_back(LatentId{f}, 0.5 + f / 8192.0);
  run.store->put_kind("layers.2", "dense", dense);
  const FigureTable table = filter_curve_table(run.data);
  EXPECT_THAT(table.rows, SizeIs(::testing::AllOf(::testing::Ge(180U), ::testing::Le(202U))));
  EXPECT_EQ(table.rows.front()[4], 0.25);
  EXPECT_EQ(table.rows.front()[6], 1501);
  EXPECT_EQ(table.rows.back()[4], 0.5 + 1500 / 8192.0);
  EXPECT_EQ(table.rows.back()[6], 0);
  for (std::size_t i = 1; i < table.rows.size(); ++i) {
    const double beyond = (table.rows[i][4].get<double>() - 0.5) * 8192.0;
    EXPECT_EQ(table.rows[i][6].get<double>(), 1500.0 - beyond);
  }
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
    EXPECT_EQ(row[0], row[1] == "of no kind" ? "none" : "dense");
    if (row[2] == "detection" && row[5] == false) rows[row[1].get<std::string>()] = row;
  }
  ASSERT_THAT(rows, SizeIs(3));
  EXPECT_DOUBLE_EQ(rows["of the kind"][6].get<double>(), of_kind[0]);
  EXPECT_TRUE(rows["of the kind"][7].is_null());  // one latent has no interval
  EXPECT_EQ(rows["of the kind"][10], 1);
  EXPECT_EQ(rows["others"][10], of_none.size());
  const score::Interval mean = score::mean_over_latents(of_none, 1);
  EXPECT_DOUBLE_EQ(rows["others"][6].get<double>(), mean.value);
  EXPECT_DOUBLE_EQ(rows["others"][7].get<double>(), mean.low);
  EXPECT_EQ(rows["of no kind"][10], of_none.size()) << "of one kind alone, the others are of none";

  const auto other = std::find_if(run.data.scores.begin(), run.data.scores.end(), [&](const store::ScoreRow& row) {
    return row.hookpoint == hookpoint && row.score.latent != chosen;
  });
  run.store->put_kind(hookpoint, "special", {"rule", {{other->score.latent, 0.75}}});
  for (const auto& row : kind_score_table(run.data, summary, 1).rows) {
    if (row[2] != "detection" || row[5] == true) continue;
    EXPECT_EQ(row[10], row[1] == "of the kind" ? 1 : of_none.size() - (row[1] == "others" ? 0 : 1)) << row;
  }
}

}  // namespace
}  // namespace gloss::report
