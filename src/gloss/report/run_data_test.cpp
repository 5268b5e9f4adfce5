#include "gloss/report/run_data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>

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

}  // namespace
}  // namespace gloss::report
