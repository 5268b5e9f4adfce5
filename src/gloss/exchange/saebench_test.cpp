#include "gloss/exchange/saebench.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "gloss/base/output_file.h"
#include "gloss/base/testing.h"

namespace gloss::exchange {
namespace {

using gloss::testing::error_of;
using gloss::testing::TemporaryFolder;
using ::testing::HasSubstr;
using Json = nlohmann::json;

class Saebench : public ::testing::Test {
 protected:
  std::vector<GivenExplanation> read(const std::string& text) {
    write_file(folder_.path() / "r.json", text);
    std::vector<GivenExplanation> given;
    left_out_ = each_saebench_explanation(folder_.path() / "r.json", "h",
                                          [&](const GivenExplanation& e) { given.push_back(e); });
    return given;
  }
  static std::string result(const std::string& latents) {
    return R"({"eval_type_id":"autointerp","eval_config":{},"eval_result_unstructured":)" + latents + "}";
  }
  TemporaryFolder folder_;
  LeftOut left_out_;
};

TEST_F(Saebench, PredictionsBecomeCountsOverAllWindows) {
  const auto given = read(result(
      R"({"12":{"latent":12,"explanation":"dogs","predictions":[1,3,9,77],"correct seqs":[1,2,3,4],"score":0.786},)"
      R"("7":{"latent":7,"explanation":"cats"},"8":{"latent":8,"explanation":""}})"));
  ASSERT_EQ(given.size(), 2U);
  EXPECT_EQ(left_out_.explanations, 1U);
  EXPECT_EQ(given[0].row.explanation.latent, LatentId{7});
  EXPECT_TRUE(given[0].scores.empty());
  EXPECT_EQ(given[1].row.explainer, "saebench");
  ASSERT_EQ(given[1].scores.size(), 1U);
  EXPECT_EQ(given[1].scores[0].judge, "saebench");
  const score::LatentScore& s = given[1].scores[0].score;  // of 14 windows; there is no 77th
  EXPECT_EQ(s.tp, 2U);
  EXPECT_EQ(s.fp, 1U);
  EXPECT_EQ(s.fn, 2U);
  EXPECT_EQ(s.tn, 9U);
  EXPECT_NEAR(s.balanced_accuracy.value, (0.5 + 0.9) / 2, 1e-12);  // plain accuracy would be 11/14
}

TEST_F(Saebench, FaultsSayWhere) {
  for (const auto& [bad, message] : std::vector<std::pair<std::string, std::string>>{
           {R"({"eval_type_id":"absorption"})", "is the evaluation 'absorption'"},
           {result("[]"), "eval_result_unstructured"},
           {result(R"({"x":{}})"), "'x' is not a latent's number"},
           {result(R"({"1":{"explanation":"e","predictions":[0],"correct seqs":[]}})"), "wanted 1 to"},
           {result(R"({"1":{"explanation":"e","predictions":[],"correct seqs":[15]}})"), "holds 15, wanted 1 to 14"},
           {result(R"({"1":{"explanation":"e","predictions":[-1],"correct seqs":[]}})"), "holds -1"},
           {result(R"({"1":{"explanation":"e","predictions":7,"correct seqs":[]}})"), "wanted a list"}})
    EXPECT_THAT(error_of([&, text = bad] { read(text); }), HasSubstr(message)) << bad;
}

TEST_F(Saebench, AResultHoldsPlainAccuracyBesideItsFloor) {
  store::Store store(folder_.path() / "results.db");
  const auto put = [&](std::uint32_t latent, const std::vector<std::pair<bool, score::Verdict>>& judged) {
    store::ExplanationRow row{"h", "e", {}};
    row.explanation.latent = LatentId{latent};
    row.explanation.text = "t";
    store.put_explanation(row);
    std::vector<score::Judgement> judgements;
    for (const auto& [truth, verdict] : judged) {
      score::Judgement& j = judgements.emplace_back();
      j.start = static_cast<std::uint32_t>(judgements.size() * 32);
      j.truth = truth;
      j.verdict = verdict;
    }
    store.put_score({"h", "e", "detection", "j", score::summarize(LatentId{latent}, judgements, 0)}, judgements);
  };
  using enum score::Verdict;
  put(3, {{true, yes}, {true, failed}, {false, no}, {true, no}, {false, yes}, {false, no}});
  SaebenchOrigin origin{"h", "m", "d", "r", "gloss"};
  origin.window = 32;
  EXPECT_THAT(error_of([&] { saebench_result(store, origin, "e", "j"); }), HasSubstr("1 latents"));
  put(5, {{true, yes}, {false, no}});
  const SaebenchWritten written = saebench_result(store, origin, "e", "j");
  EXPECT_EQ(written.latents, 2U);
  const Json json = Json::parse(written.text);
  const Json& one = json["eval_result_unstructured"]["3"];
  EXPECT_EQ(one["predictions"], Json({1, 4}));  // windows that were answered, counted from 1
  EXPECT_EQ(one["correct seqs"], Json({1, 3}));
  EXPECT_EQ(one["windows"], 5);
  EXPECT_EQ(one["failed"], 1);
  EXPECT_DOUBLE_EQ(one["score"].get<double>(), 0.6);
  EXPECT_DOUBLE_EQ(one["score_of_always_none"].get<double>(), 0.6);
  EXPECT_DOUBLE_EQ(one["balanced_accuracy"]["value"].get<double>(), (0.5 + 2.0 / 3) / 2);
  EXPECT_DOUBLE_EQ(json["eval_result_metrics"]["autointerp"]["autointerp_score"].get<double>(), 0.8);
  EXPECT_DOUBLE_EQ(json["eval_result_metrics"]["autointerp"]["autointerp_std_dev"].get<double>(), std::sqrt(0.08));
  EXPECT_EQ(json["eval_config"]["override_latents"], Json({3, 5}));
  const auto given = read(written.text);
  ASSERT_EQ(given.size(), 2U);
  EXPECT_EQ(given[0].scores.at(0).judge, "j");
  EXPECT_EQ(given[0].scores[0].score.tp, 1U);
  EXPECT_EQ(given[0].scores[0].score.tn, 2U);
  EXPECT_EQ(given[0].scores[0].score.failed, 1U);
}

}  // namespace
}  // namespace gloss::exchange
