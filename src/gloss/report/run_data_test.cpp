#include "gloss/report/run_data.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "gloss/report/calibration.h"
#include "gloss/report/report_testing.h"

namespace gloss::report {
namespace {

bool wrong(const JudgedWindow& w) {
  return w.judgement.verdict != score::Verdict::failed &&
         (w.judgement.verdict == score::Verdict::yes) != w.judgement.truth;
}

TEST(JudgedWindows, PutWrongOnesFirstThenFailedThenRight) {
  const MadeUpRun run(3, {"layers.2"}, {"pattern"}, 0.1);
  for (const store::ScoreRow& row : run.data.scores) {
    const std::vector<JudgedWindow> windows =
        judged_windows(run.data, row, run.data.examples(row.hookpoint, row.score.latent));
    ASSERT_EQ(windows.size(), row.score.tp + row.score.fp + row.score.tn + row.score.fn + row.score.failed);
    int place = 0;
    std::size_t wrongs = 0;
    for (const JudgedWindow& w : windows) {
      const int next = wrong(w) ? 0 : w.judgement.verdict == score::Verdict::failed ? 1 : 2;
      EXPECT_GE(next, place);
      place = next;
      wrongs += wrong(w) ? 1 : 0;
      EXPECT_EQ(w.window.start, w.judgement.start);
      EXPECT_EQ(w.marked.size(), kWindow);
    }
    EXPECT_EQ(wrongs, row.score.fp + row.score.fn);
  }
}

TEST(JudgedWindows, ShowTheMarksThatTheJudgeSaw) {
  const MadeUpRun run(1);
  for (const store::ScoreRow& row : run.data.scores) {
    if (row.scorer != "fuzz") continue;
    for (const JudgedWindow& w : judged_windows(run.data, row, run.data.examples(row.hookpoint, row.score.latent))) {
      std::size_t on_firing = 0;
      std::size_t marks = 0;
      for (std::size_t i = 0; i < kWindow; ++i) {
        marks += w.marked[i] ? 1 : 0;
        on_firing += w.marked[i] && w.window.activation[i] > 0 ? 1 : 0;
      }
      EXPECT_GT(marks, 0U);
      EXPECT_EQ(on_firing, w.judgement.truth ? marks : 0U);
    }
  }
}

TEST(ExampleWindows, SpreadOverTheQuantilesStrongestFirst) {
  const examples::LatentExamples e = made_up_examples(made_up_tokens(200), LatentId{0});
  const std::vector<examples::Window> windows = example_windows(e, 12);
  ASSERT_EQ(windows.size(), 12U);
  EXPECT_EQ(windows.front().max, e.max_activation);
  std::multiset<int> quantiles;
  for (std::size_t i = 0; i < windows.size(); ++i) {
    quantiles.insert(windows[i].quantile);
    if (i > 0) {
      EXPECT_LE(windows[i].max, windows[i - 1].max);
    }
  }
  for (int q = 1; q <= 10; ++q) EXPECT_EQ(quantiles.count(q), q >= 9 ? 2U : 1U);
}

TEST(ExampleWindows, AreAllThereAreWhenThereAreFew) {
  examples::LatentExamples e;
  EXPECT_TRUE(example_windows(e, 5).empty());
  e.test.resize(2);
  EXPECT_EQ(example_windows(e, 5).size(), 2U);
}

TEST(RunDataOfSomeLatents, HasTheirRowsAndNobodyElses) {
  const MadeUpRun run(30, {"layers.2", "layers.10"}, {"pattern", "human"});
  LatentSet only;
  for (const std::uint32_t latent : {3U, 7U, 16U}) only.emplace("layers.10", LatentId{latent});
  only.emplace("layers.2", LatentId{7});
  only.emplace("layers.2", LatentId{999});  // of which the store knows nothing
  const RunData some = from_store(*run.store, only);
  EXPECT_EQ(some.latents.size(), 4U);
  std::set<std::string> wanted, found;
  for (const store::ExplanationRow& row : run.data.explanations) {
    if (only.contains({row.hookpoint, row.explanation.latent}))
      wanted.insert(fmt::format("{} {} {}", row.hookpoint, to_index(row.explanation.latent), row.explainer));
  }
  for (const store::ExplanationRow& row : some.explanations)
    found.insert(fmt::format("{} {} {}", row.hookpoint, to_index(row.explanation.latent), row.explainer));
  EXPECT_EQ(found, wanted);
  EXPECT_EQ(wanted.size(), 16U) << "two explainers and their baselines";
  std::size_t scores = 0;
  for (const store::ScoreRow& row : run.data.scores) scores += only.contains({row.hookpoint, row.score.latent}) ? 1 : 0;
  EXPECT_EQ(some.scores.size(), scores);
  for (const store::ScoreRow& row : some.scores) EXPECT_TRUE(only.contains({row.hookpoint, row.score.latent}));
  EXPECT_FALSE(some.costs || some.filters || some.negatives || some.calibration);
}

TEST(RunDataOfSomeLatents, CalibrationOfAllIsThatOfTheRun) {
  const MadeUpRun run(30);
  const nlohmann::json whole = run.data.calibration();
  ASSERT_FALSE(whole.empty());
  const nlohmann::json made = calibration_json(calibration_tallies(run.data.scores, run.data.judgements));
  ASSERT_EQ(made.size(), whole.size());
  for (std::size_t i = 0; i < made.size(); ++i) {
    for (const char* key : {"scorer", "explainer", "judge", "judgements"}) EXPECT_EQ(made[i][key], whole[i][key]);
    EXPECT_NEAR(made[i]["brier"].get<double>(), whole[i]["brier"].get<double>(), 1e-6);
    EXPECT_NEAR(made[i]["expected_error"].get<double>(), whole[i]["expected_error"].get<double>(), 1e-6);
    for (std::size_t b = 0; b < 10; ++b) EXPECT_EQ(made[i]["bins"][b]["judgements"], whole[i]["bins"][b]["judgements"]);
  }
}

}  // namespace
}  // namespace gloss::report
