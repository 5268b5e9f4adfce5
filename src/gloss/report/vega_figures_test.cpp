#include "gloss/report/vega_figures.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "gloss/base/output_file.h"
#include "gloss/base/testing.h"
#include "gloss/report/figure_tables.h"
#include "gloss/report/filter_tables.h"
#include "gloss/report/report_testing.h"

namespace gloss::report {
namespace {

using gloss::testing::error_of;
using gloss::testing::TemporaryFolder;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

FigureOptions only(const char* name) {
  FigureOptions options;
  options.names = {name};
  return options;
}

class Figures : public ::testing::Test {
 protected:
  std::vector<Figure> make(FigureOptions options = {}) { return make_figures(run_.data, summary_, options); }
  static const Figure& named(const std::vector<Figure>& figures, const std::string& name) {
    return *std::find_if(figures.begin(), figures.end(), [&](const Figure& f) { return f.name == name; });
  }
  MadeUpRun run_{24};
  RunSummary summary_ = summarize_run(run_.data.explanations, run_.data.scores, 1, run_.data.latents);
};

TEST_F(Figures, AreThoseTheRunHasNumbersFor) {
  std::vector<std::string> names;
  for (const Figure& f : make()) names.push_back(f.name);
  EXPECT_THAT(names, ElementsAre("scores", "histograms", "deciles", "agreement-detection-fuzz", "density", "roc",
                                 "calibration"));
}

TEST_F(Figures, ScoresAreThoseOfTheSummaryBesideTheBaseline) {
  const FigureTable table = score_table(summary_);
  ASSERT_EQ(table.rows.size(), summary_.all.size());
  for (std::size_t i = 0; i < table.rows.size(); ++i) {
    EXPECT_EQ(table.rows[i][0], summary_.all[i].scorer);
    EXPECT_EQ(table.rows[i][3], summary_.all[i].explainer.starts_with("shuffled:"));
    EXPECT_EQ(table.rows[i][4], summary_.all[i].score.value);
    EXPECT_EQ(table.rows[i][8], summary_.all[i].latents);
  }
}

TEST_F(Figures, HistogramsCountEveryLatentOnce) {
  std::map<std::string, std::pair<std::uint64_t, double>> sums;
  for (const auto& row : histogram_table(run_.data, summary_).rows) {
    auto& [latents, shares] = sums[row[0].get<std::string>() + row[2].get<std::string>()];
    latents += row[6].get<std::uint64_t>();
    shares += row[7].get<double>();
  }
  ASSERT_THAT(sums, SizeIs(4));
  for (const auto& [series, sum] : sums) {
    EXPECT_EQ(sum.first, 23U) << series << ": one of 24 explanations failed";
    EXPECT_NEAR(sum.second, 1.0, 1e-12);
  }
}

/// The area under the drawn curve is the AUC of the judgements pooled, to the width of a part.
TEST_F(Figures, RocCurvesEncloseThePooledAuc) {
  std::map<std::string, std::vector<score::Judgement>> pooled;
  for (const store::ScoreRow& row : run_.data.scores) {
    for (score::Judgement& j : run_.data.judgements(row)) {
      if (j.verdict != score::Verdict::failed) pooled[row.scorer + row.explainer].push_back(std::move(j));
    }
  }
  std::map<std::string, std::vector<std::pair<double, double>>> curves;
  for (const auto& row : roc_table(run_.data, summary_).rows)
    curves[row[0].get<std::string>() + row[1].get<std::string>()].emplace_back(row[2], row[3]);
  ASSERT_THAT(curves, SizeIs(4));
  for (const auto& [series, curve] : curves) {
    double area = 0.0;
    for (std::size_t i = 1; i < curve.size(); ++i)
      area += (curve[i].first - curve[i - 1].first) * (curve[i].second + curve[i - 1].second) / 2.0;
    EXPECT_NEAR(area, score::auc(pooled.at(series)), 2e-3) << series;
    EXPECT_EQ(curve.back(), std::pair(1.0, 1.0));
  }
}

TEST_F(Figures, AgreementHasOnePointALatentAndSaysTheCorrelation) {
  const std::vector<Figure> figures = make(only("agreement"));
  ASSERT_THAT(figures, SizeIs(1));
  const Figure& f = figures[0];
  EXPECT_EQ(f.table.rows.size(), 23U);
  const ScorerCorrelation& c = summary_.correlations.at(0);
  EXPECT_THAT(f.spec["title"]["subtitle"].get<std::string>(),
              HasSubstr(fmt::format("Pearson {:.3f} [", c.pearson.value)));
  EXPECT_THAT(f.spec["title"]["subtitle"].get<std::string>(), HasSubstr("23 latents"));
}

TEST_F(Figures, DrawFewerPointsThanTheCsvHas) {
  const std::vector<Figure> figures = make({{"agreement"}, std::nullopt, 1, 10});
  EXPECT_EQ(figures.at(0).spec["data"]["values"].size(), 10U);
  EXPECT_EQ(figures.at(0).table.rows.size(), 23U);
  EXPECT_THAT(figures.at(0).spec["title"]["subtitle"].get<std::string>(), HasSubstr("10 of 23 points are drawn"));
  EXPECT_EQ(make({{"agreement"}, std::nullopt, 1, 10}).at(0).spec, figures.at(0).spec);
}

TEST_F(Figures, OutcomesOfALatentAddUpToTheWindowsThatBothJudged) {
  const std::vector<Figure> figures = make({{"outcomes"}, std::pair("layers.2", LatentId{3})});
  std::map<std::string, std::uint64_t> windows;
  for (const auto& row : figures.at(0).table.rows) windows[row[0]] += row[4].get<std::uint64_t>();
  std::map<std::string, std::map<std::uint32_t, int>> judged;
  for (const store::ScoreRow& row : run_.data.scores) {
    if (row.score.latent != LatentId{3}) continue;
    for (const score::Judgement& j : run_.data.judgements(row)) {
      if (j.truth && j.kind == examples::WindowKind::activating && j.verdict != score::Verdict::failed)
        ++judged[row.explainer][j.start];
    }
  }
  for (const auto& [explainer, starts] : judged) {
    const auto both = std::count_if(starts.begin(), starts.end(), [](const auto& entry) { return entry.second == 2; });
    EXPECT_EQ(windows[explainer], static_cast<std::uint64_t>(both)) << explainer;
    EXPECT_GT(both, 0);
  }
}

TEST_F(Figures, OfFiltersSayWhatIsMeasuredAndHaveTheirIntervals) {
  const std::string hookpoint = "layers.2";
  keep_filter_tally(*run_.store, {hookpoint, "dead", "firings", true, 0.0, 24, 4, {{0.0, 4}}});
  run_.store->put_kind(
      hookpoint, "dead",
      {"firings <= 0", {{LatentId{20}, 0.0}, {LatentId{21}, 0.0}, {LatentId{22}, 0.0}, {LatentId{23}, 0.0}}});
  keep_filter_tally(*run_.store, {hookpoint, "dense", "density", false, 0.1, 24, 1, {{0.1, 1}}});
  run_.store->put_kind(hookpoint, "dense", {"density > 0.1", {{LatentId{2}, 0.5}}});
  std::vector<std::string> names;
  for (const Figure& f : make()) {
    if (f.name.find("filter") == std::string::npos && f.name != "kind-scores") continue;
    names.push_back(f.name);
    EXPECT_THAT(f.spec["title"]["subtitle"].get<std::string>(), HasSubstr("95 %")) << f.name;
    const std::string drawn = f.spec.dump();
    for (const char* field : {R"("field":"low")", R"("field":"high")"}) EXPECT_THAT(drawn, HasSubstr(field)) << f.name;
  }
  EXPECT_THAT(names, ElementsAre("filters", "filters-by-layer", "filter-thresholds", "kind-scores"));
  const Figure layers = make(only("filters-by-layer")).at(0);
  ASSERT_THAT(layers.spec["data"]["values"], SizeIs(1));
  const nlohmann::json& dense = layers.spec["data"]["values"][0];
  EXPECT_EQ(dense["latents"], 1);
  EXPECT_EQ(dense["living"], 20);
  EXPECT_EQ(dense["share"], 0.05);  // Wilson: (0.0089, 0.2361)
  EXPECT_NEAR(dense["low"].get<double>(), 0.0089, 1e-4);
  EXPECT_NEAR(dense["high"].get<double>(), 0.2361, 1e-4);
  EXPECT_THAT(make(only("filter-thresholds")).at(0).table.csv(),
              HasSubstr("dense,density,layers.2,1,0.1,true,1,20,0.05,"));
}

TEST_F(Figures, SayWhatIsUnknownOrMissing) {
  EXPECT_THAT(error_of([&] { make(only("rok")); }), HasSubstr("did you mean 'roc'?"));
  EXPECT_THAT(error_of([&] { make(only("cost")); }), HasSubstr("it wants replies of a language model"));
  EXPECT_THAT(error_of([&] { make(only("filters-by-layer")); }), HasSubstr("it wants what gloss filter found"));
  EXPECT_THAT(error_of([&] { make(only("filter-thresholds")); }), HasSubstr("it wants latents of which gloss filter"));
  EXPECT_THAT(error_of([&] { make(only("outcomes")); }), HasSubstr("--latent HOOKPOINT/NUMBER"));
}

TEST_F(Figures, AreFilesAndAPageThatHoldThem) {
  for (store::ExplanationRow& row : run_.data.explanations) row.explanation.text = "</script><script>alert(1)</script>";
  const TemporaryFolder folder;
  const std::vector<Figure> figures = make();
  const auto paths = write_figures(folder.path() / "figures", figures);
  ASSERT_EQ(paths.size(), figures.size());
  for (std::size_t i = 0; i < paths.size(); ++i) {
    EXPECT_EQ(nlohmann::json::parse(read_file(paths[i])), figures[i].spec);
    const std::string csv = read_file(folder.path() / "figures" / (figures[i].name + ".csv"));
    EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), static_cast<std::ptrdiff_t>(figures[i].table.rows.size() + 1));
  }
  const std::string page = figures_page(run_.data, figures);
  EXPECT_THAT(page, HasSubstr("runs/made-up &lt;b&gt;&amp;"));
  EXPECT_THAT(page, HasSubstr("data-figure=\"agreement-detection-fuzz\""));
  EXPECT_THAT(page, HasSubstr("; script-src 'unsafe-inline'; ")) << "no code is made of expressions";
  // Explanations hold hostile tokens: none may end the script element that holds them.
  const std::size_t data = page.find("id=\"figure-agreement-detection-fuzz\">");
  const std::string_view inside = std::string_view(page).substr(data, page.find("</script>", data) - data);
  EXPECT_THAT(std::string(inside), HasSubstr("alert(1)"));
  EXPECT_EQ(inside.find("<script"), std::string_view::npos);
}

TEST(FigureCsv, QuotesWhatNeedsIt) {
  FigureTable table{{"a", "b"}, {{"x,\"y\"", 0.5}, {"=1+1", nullptr}, {true, 3}}};
  EXPECT_EQ(table.csv(), "a,b\r\n\"x,\"\"y\"\"\",0.5\r\n'=1+1,\r\ntrue,3\r\n");
}

}  // namespace
}  // namespace gloss::report
