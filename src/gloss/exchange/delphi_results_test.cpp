#include "gloss/exchange/delphi_results.h"

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

class Delphi : public ::testing::Test {
 protected:
  void put(const std::string& name, const std::string& text) {
    std::filesystem::create_directories((folder_.path() / name).parent_path());
    write_file(folder_.path() / name, text);
  }
  std::vector<GivenExplanation> read(const std::vector<std::string>& hookpoints = {}) {
    std::vector<GivenExplanation> given;
    reading_ =
        each_delphi_explanation(folder_.path(), hookpoints, [&](const GivenExplanation& e) { given.push_back(e); });
    return given;
  }
  TemporaryFolder folder_;
  DelphiReading reading_;
};

TEST_F(Delphi, ExplanationsComeByHookpointAndLatentWithTheirScores) {
  put("explanations/layers.2_latent10.txt", R"("dogs \"and\" cats")");
  put("explanations/layers.2_latent9.txt", R"(" ")");
  put("explanations/layers.10_latent3.txt", R"("the end")");
  put("scores/detection/layers.2_latent10.txt",
      R"([{"str_tokens":["a"],"activations":[1.0],"distance":0,"activating":true,"prediction":true,"correct":true,"probability":0.9},)"
      R"({"distance":9,"activating":true,"prediction":false,"correct":false,"probability":0.2},)"
      R"({"distance":-1,"activating":false,"prediction":false,"correct":true,"probability":0.1},)"
      R"({"distance":-1,"activating":false,"prediction":null,"correct":null,"probability":null}])");
  put("scores/simulation/layers.2_latent10.txt",
      R"([{"distance":0,"ev_correlation_score":"nan","scored_sequence_simulations":[{"distance":1,"true_activations":[0,10,5],)"
      R"("simulation":{"tokens":["a","b","c"],"expected_activations":[0,10,5],"uncalibrated_simulation":null}}]}])");
  put("scores/surprisal/layers.2_latent10.txt", "[]");
  const auto given = read({"layers.2"});
  ASSERT_EQ(given.size(), 1U);
  EXPECT_EQ(reading_.left_out.explanations, 1U);
  EXPECT_EQ(reading_.unread.at("surprisal"), 1U);
  EXPECT_EQ(given[0].row.hookpoint, "layers.2");
  EXPECT_EQ(given[0].row.explainer, "delphi");
  EXPECT_EQ(given[0].row.explanation.latent, LatentId{10});
  EXPECT_EQ(given[0].row.explanation.text, "dogs \"and\" cats");
  ASSERT_EQ(given[0].scores.size(), 2U);
  const score::LatentScore& s = given[0].scores[0].score;
  EXPECT_EQ(given[0].scores[0].scorer, "detection");
  EXPECT_EQ(s.tp, 1U);
  EXPECT_EQ(s.fn, 1U);
  EXPECT_EQ(s.tn, 1U);
  EXPECT_EQ(s.failed, 1U);
  EXPECT_EQ(s.auc, 1.0);  // the failed one has no probability and is no answer
  ASSERT_EQ(s.per_quantile.size(), 10U);
  EXPECT_EQ(s.per_quantile[0].value, 0.0);  // distance 9: the weakest
  EXPECT_EQ(s.per_quantile[9].value, 1.0);
  EXPECT_NEAR(score::headline("simulation", given[0].scores[1].score).value.value, 1.0, 1e-6);
  EXPECT_EQ(read().size(), 2U);
}

TEST_F(Delphi, TheArticlesFilesAreReadToo) {
  put("explanations/layers.2_latent1.txt", R"("dogs")");
  put("scores/fuzz/layers.2_latent1.txt",
      R"([{"text":"a","distance":1,"ground_truth":true,"prediction":1,"highlighted":true},)"
      R"({"text":"a","distance":10,"ground_truth":true,"prediction":-1,"highlighted":true},)"
      R"({"text":"a","distance":-1,"ground_truth":false,"prediction":1,"highlighted":true}])");
  const auto given = read();
  ASSERT_EQ(given.size(), 1U);
  const score::LatentScore& s = given[0].scores.at(0).score;
  EXPECT_EQ(s.tp, 1U);
  EXPECT_EQ(s.fp, 1U);
  EXPECT_EQ(s.failed, 1U);
  EXPECT_EQ(s.per_quantile.at(9).value, 1.0);
}

TEST_F(Delphi, FaultsSayWhere) {
  EXPECT_THAT(error_of([&] { read(); }), HasSubstr("has no folder 'explanations'"));
  put("explanations/other.md", "x");
  EXPECT_THAT(error_of([&] { read(); }), HasSubstr("holds no explanation"));
  put("explanations/h_latentx.txt", "x");
  EXPECT_THAT(error_of([&] { read(); }), HasSubstr("'x' is not a latent's number"));
  std::filesystem::remove(folder_.path() / "explanations/h_latentx.txt");
  put("explanations/h_latent1.txt", "{}");
  EXPECT_THAT(error_of([&] { read(); }), HasSubstr("is object, wanted a JSON string"));
  put("explanations/h_latent1.txt", R"("t")");
  for (const auto& [bad, message] : std::vector<std::pair<std::string, std::string>>{
           {"{}", "is object, wanted a list"},
           {"[{}]", "ground_truth"},
           {R"([{"activating":7,"prediction":true}])", "'activating' is 7"},
           {R"([{"activating":true,"prediction":"yes"}])", "'prediction' is \"yes\""}}) {
    put("scores/detection/h_latent1.txt", bad);
    EXPECT_THAT(error_of([&] { read(); }), HasSubstr(message)) << bad;
  }
}

}  // namespace
}  // namespace gloss::exchange
