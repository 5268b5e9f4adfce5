#include "gloss/exchange/explanation_csv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "gloss/base/output_file.h"
#include "gloss/base/testing.h"
#include "gloss/score/judge.h"

namespace gloss::exchange {
namespace {

using gloss::testing::error_of;
using gloss::testing::TemporaryFolder;
using ::testing::HasSubstr;

class Csv : public ::testing::Test {
 protected:
  std::vector<GivenExplanation> read(const std::string& text, const TableDefaults& defaults = {},
                                     const std::string& name = "x.csv") {
    write_file(folder_.path() / name, text);
    std::vector<GivenExplanation> lines;
    left_out_ = each_csv_explanation(folder_.path() / name, defaults,
                                     [&](const GivenExplanation& line) { lines.push_back(line); });
    return lines;
  }
  TemporaryFolder folder_;
  LeftOut left_out_;
};

TEST_F(Csv, ExplanationsOfAStoreComeBackAsTheyWere) {
  const std::vector<std::string> texts = {"plain",    "=1+2", "'=1+2", "''@x",     "'quoted'", "a \"b\", c\r\nd",
                                          " spaces ", "-",    "'",     "tab\tand", "\u00e9"};
  store::Store store(folder_.path() / "results.db");
  for (std::uint32_t f = 0; f < texts.size(); ++f) {
    store::ExplanationRow row{"layers.2", "pattern", {}};
    row.explanation.latent = LatentId{f};
    row.explanation.text = texts[f];
    row.explanation.program = R"([{"a":"b, c"}])";
    store.put_explanation(row);
    for (const char* scorer : {"detection", "fuzz"}) {
      store::ScoreRow score{"layers.2", "pattern", scorer, "pattern", {}};
      score.score.latent = LatentId{f};
      if (f > 0) store.put_score(score, {});
    }
    row.explainer = "shuffled:pattern";
    store.put_explanation(row);
  }
  store::ExplanationRow failed{"layers.2", "zero", {}};
  failed.explanation.latent = LatentId{3};
  failed.explanation.failure = "no answer";
  store.put_explanation(failed);
  std::string text;
  EXPECT_EQ(write_explanation_csv(store, {"layers.2"}, [&](std::string_view part) { text += part; }), texts.size() + 1);
  const std::vector<GivenExplanation> lines = read(text);
  ASSERT_EQ(lines.size(), texts.size());  // although most have two scores, and so two rows
  EXPECT_EQ(left_out_.explanations, 1U);
  for (std::uint32_t f = 0; f < texts.size(); ++f) {
    EXPECT_EQ(lines[f].row.explanation.latent, LatentId{f});
    EXPECT_EQ(lines[f].row.explanation.text, texts[f]);
    EXPECT_EQ(lines[f].row.explanation.program, R"([{"a":"b, c"}])");
    EXPECT_EQ(lines[f].row.explainer, "pattern");
  }
}

TEST_F(Csv, ColumnsGoByTheirNamesAndWhatAllShareMayBeSaidBeside) {
  const auto lines = read("note\texplanation\tlatent\nx\tdogs\t7\n\t \t8\n", {"layers.5", "mine"}, "x.tsv");
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(left_out_.explanations, 1U);
  EXPECT_EQ(lines[0].row.hookpoint, "layers.5");
  EXPECT_EQ(lines[0].row.explainer, "mine");
  EXPECT_EQ(lines[0].row.explanation.text, "dogs");
}

TEST_F(Csv, FaultsNameFileAndLine) {
  const std::string heading = "hookpoint,latent,explainer,explanation\n";
  for (const auto& [bad, message] : std::vector<std::pair<std::string, std::string>>{
           {"", "x.csv: is empty"},
           {"hookpoint,latent,explainer,text\nh,1,e,t\n", "line 1: has no column 'explanation', but hookpoint, latent"},
           {"latent,explainer,explanation\n", "--hookpoint NAME"},
           {"hookpoint,latent,explanation\n", "--explainer NAME"},
           {"latent,latent,hookpoint,explainer,explanation\n", "names the column 'latent' 2 times"},
           {heading + "h,-1,e,t\n", "line 2: '-1' is not a latent's number"},
           {heading + "h,4294967296,e,t\n", "'4294967296' is not a latent's number"},
           {heading + "h,1,e,t\nh,,e,t\n", "line 3: '' is not a latent's number"},
           {heading + "h,1,e,t,u\n", "line 2: has 5 fields, and the first row names 4"},
           {heading + "h,1,e,\"t\n", "x.csv:2"}})
    EXPECT_THAT(error_of([&, text = bad] { read(text); }), HasSubstr(message)) << bad;
}

TEST_F(Csv, ScoresComeBackUnderTheirScorerAndJudge) {
  store::Store store(folder_.path() / "results.db");
  store::ExplanationRow row{"h", "e", {}};
  row.explanation.latent = LatentId{3};
  row.explanation.text = "dogs";
  store.put_explanation(row);
  score::LatentScore detection;
  detection.latent = LatentId{3};
  detection.tp = 40;
  detection.fn = 10;
  detection.tn = 45;
  detection.fp = 4;
  detection.failed = 1;
  score::add_rates(detection);
  detection.auc = 0.9;
  store.put_score({"h", "e", "detection", "llm:a", detection}, {});
  score::LatentScore simulation;
  simulation.latent = LatentId{3};
  score::add_rates(simulation);
  simulation.auc = std::nan("");
  simulation.measures.push_back({"correlation", {-0.25, -0.5, 0.1}});
  store.put_score({"h", "e", "simulation", "llm:a", simulation}, {});
  std::string text;
  write_explanation_csv(store, {"h"}, [&](std::string_view part) { text += part; });
  const std::vector<GivenExplanation> lines = read(text);
  ASSERT_EQ(lines.size(), 1U);
  ASSERT_EQ(lines[0].scores.size(), 2U);
  const GivenScore &first = lines[0].scores[0], &second = lines[0].scores[1];
  EXPECT_EQ(first.scorer, "detection");
  EXPECT_EQ(first.judge, "llm:a");
  EXPECT_EQ(first.score.latent, LatentId{3});
  EXPECT_EQ(first.score.tp, 40U);
  EXPECT_EQ(first.score.failed, 1U);
  EXPECT_NEAR(first.score.balanced_accuracy.value, (0.8 + 45.0 / 49) / 2, 1e-6);
  EXPECT_NEAR(first.score.balanced_accuracy.low, detection.balanced_accuracy.low, 1e-6);
  EXPECT_NEAR(first.score.auc, 0.9, 1e-6);
  EXPECT_EQ(score::headline("simulation", second.score).value.value, -0.25);
  EXPECT_EQ(score::headline("simulation", second.score).value.high, 0.1);
  // A table of somebody else may hold scorers that gloss does not know, and numbers that cannot be.
  const std::string heading = "hookpoint,latent,explainer,explanation,scorer,judge,tp,fp,tn,fn,score\n";
  EXPECT_EQ(read(heading + "h,1,e,t,simulatoin,j,1,1,1,1,0.5\n").at(0).scores.size(), 0U);
  EXPECT_EQ(left_out_.scores, 1U);
  EXPECT_THAT(error_of([&] { read(heading + "h,1,e,t,fuzz,j,1,1,1,1,1.5\n"); }),
              HasSubstr("line 2: balanced accuracy 1.5"));
  EXPECT_THAT(error_of([&] { read(heading + "h,1,e,t,fuzz,j,1,1,1,-1,1\n"); }), HasSubstr("fn '-1' is no number"));
  EXPECT_THAT(error_of([&] { read(heading + "h,1,e,t,fuzz,j,1,1,1,1,1\nh,1,e,t,fuzz,j,1,1,1,1,1\n"); }),
              HasSubstr("line 3: two scores by fuzz and j"));
}

}  // namespace
}  // namespace gloss::exchange
