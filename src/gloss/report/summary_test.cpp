#include "gloss/report/summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace gloss::report {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

store::ScoreRow row(std::string hookpoint, std::uint32_t latent, std::string explainer, std::string scorer,
                    std::uint32_t tp, std::uint32_t fn, std::uint32_t tn, std::uint32_t fp, std::uint32_t failed = 0) {
  std::vector<score::Judgement> judgements;
  const auto add = [&](std::uint32_t count, bool truth, score::Verdict verdict) {
    for (std::uint32_t i = 0; i < count; ++i) {
      score::Judgement j;
      j.start = static_cast<std::uint32_t>(judgements.size());
      j.truth = truth;
      j.verdict = verdict;
      j.quantile = truth ? static_cast<std::uint8_t>(1 + i % 2) : std::uint8_t{0};
      judgements.push_back(j);
    }
  };
  add(tp, true, score::Verdict::yes);
  add(fn, true, score::Verdict::no);
  add(tn, false, score::Verdict::no);
  add(fp, false, score::Verdict::yes);
  add(failed, false, score::Verdict::failed);
  return {std::move(hookpoint), std::move(explainer), std::move(scorer), "judge",
          score::summarize(LatentId{latent}, judgements, 2)};
}

store::ExplanationRow explanation(std::uint32_t latent, std::string failure = "") {
  store::ExplanationRow r{"layers.2", "pattern", {}};
  r.explanation.latent = LatentId{latent};
  r.explanation.text = failure.empty() ? "text" : "";
  r.explanation.failure = std::move(failure);
  return r;
}

TEST(RunSummary, AveragesOverLatentsAndCountsEverything) {
  const std::vector<store::ExplanationRow> explanations{explanation(1), explanation(2), explanation(3, "too rare")};
  const std::vector<store::ScoreRow> scores{row("layers.2", 1, "pattern", "detection", 9, 1, 8, 2),
                                            row("layers.2", 2, "pattern", "detection", 5, 5, 10, 0, 7)};
  const RunSummary summary = summarize_run(explanations, scores, 1);
  ASSERT_EQ(summary.all.size(), 1U);
  const ScorerSummary& s = summary.all[0];
  EXPECT_EQ(s.latents, 2U);
  EXPECT_EQ(s.explained, 2U);
  EXPECT_EQ(s.failed_explanations, 1U);
  EXPECT_EQ(s.judgements, 47U);
  EXPECT_EQ(s.failed, 7U);
  EXPECT_EQ(s.undefined, 0U);
  EXPECT_DOUBLE_EQ(s.balanced_accuracy.value, (0.85 + 0.75) / 2);
  EXPECT_DOUBLE_EQ(s.recall.value, 0.7);
  EXPECT_DOUBLE_EQ(s.precision.value, (9.0 / 11 + 1.0) / 2);
  EXPECT_LE(s.balanced_accuracy.low, 0.8);
  EXPECT_GE(s.balanced_accuracy.high, 0.8);
  ASSERT_EQ(s.per_decile.size(), 2U);
  EXPECT_TRUE(summary.by_hookpoint.empty());
}

TEST(RunSummary, LeavesUndefinedLatentsOutOfTheMeanAndCountsThem) {
  const std::vector<store::ScoreRow> scores{row("h", 1, "pattern", "fuzz", 9, 1, 8, 2),
                                            row("h", 2, "pattern", "fuzz", 9, 1, 0, 0)};
  const RunSummary summary = summarize_run({}, scores, 1);
  EXPECT_EQ(summary.all[0].undefined, 1U);
  EXPECT_DOUBLE_EQ(summary.all[0].balanced_accuracy.value, 0.85);
}

TEST(RunSummary, PutsEachBaselineBehindItsExplainer) {
  std::vector<store::ScoreRow> scores;
  for (const char* scorer : {"fuzz", "detection"}) {
    for (const char* explainer : {"shuffled:pattern", "shuffled:default", "pattern", "default"})
      scores.push_back(row("h", 1, explainer, scorer, 1, 1, 1, 1));
  }
  std::vector<std::string> order;
  for (const ScorerSummary& s : summarize_run({}, scores, 1).all) order.push_back(s.scorer + " " + s.explainer);
  EXPECT_THAT(order, ElementsAre("detection default", "detection shuffled:default", "detection pattern",
                                 "detection shuffled:pattern", "fuzz default", "fuzz shuffled:default", "fuzz pattern",
                                 "fuzz shuffled:pattern"));
}

TEST(RunSummary, DoesNotDependOnTheOrderOfTheRows) {
  std::vector<store::ScoreRow> scores;
  for (std::uint32_t l = 0; l < 50; ++l) scores.push_back(row("h", l, "pattern", "fuzz", l % 9, 3, 5, l % 4));
  const std::string first = summarize_run({}, scores, 1).to_json().dump();
  std::reverse(scores.begin(), scores.end());
  EXPECT_EQ(summarize_run({}, scores, 1).to_json().dump(), first);
}

TEST(RunSummary, SplitsByHookpointInNaturalOrder) {
  std::vector<store::ScoreRow> scores;
  for (const char* hookpoint : {"layers.10", "layers.2"})
    scores.push_back(row(hookpoint, 1, "pattern", "fuzz", 1, 1, 1, 1));
  const RunSummary summary = summarize_run({}, scores, 1);
  ASSERT_EQ(summary.by_hookpoint.size(), 2U);
  EXPECT_EQ(summary.by_hookpoint[0].hookpoint, "layers.2");
  EXPECT_EQ(summary.by_hookpoint[1].hookpoint, "layers.10");
  EXPECT_EQ(summary.all[0].latents, 2U);
}

TEST(RunSummary, SaysFirstWhenMoreThanOneInTwentyFailed) {
  const auto with_failed = [](std::uint32_t failed) {
    return summarize_run({}, {row("h", 1, "pattern", "fuzz", 50, 0, 100 - 50 - failed, 0, failed)}, 1).warnings();
  };
  EXPECT_THAT(with_failed(5), IsEmpty());
  EXPECT_THAT(
      with_failed(6),
      ElementsAre("6.0 % of the judgements failed (6 of 100): fuzz of explanations by pattern, judged by judge"));
}

TEST(RunSummary, AsJsonHasTheFieldsOfTheFormat) {
  const nlohmann::json json =
      summarize_run({explanation(1)}, {row("layers.2", 1, "shuffled:pattern", "fuzz", 9, 1, 0, 0)}, 1).to_json();
  const nlohmann::json& s = json.at("scores").at(0);
  EXPECT_EQ(s.at("explainer"), "shuffled:pattern");
  EXPECT_EQ(s.at("scorer"), "fuzz");
  EXPECT_EQ(s.at("judge"), "judge");
  EXPECT_EQ(s.at("baseline"), true);
  EXPECT_EQ(s.at("latents"), 1);
  EXPECT_EQ(s.at("judgements"), 10);
  EXPECT_EQ(s.at("failed"), 0);
  EXPECT_TRUE(s.at("balanced_accuracy").at("mean").is_null());
  EXPECT_DOUBLE_EQ(s.at("recall").at("mean"), 0.9);
  EXPECT_TRUE(s.at("recall").at("low").is_null()) << "one latent has no interval";
  for (const char* field : {"precision", "f1", "auc", "specificity"}) EXPECT_TRUE(s.contains(field)) << field;
  EXPECT_EQ(s.at("per_decile").size(), 2U);
  EXPECT_FALSE(s.contains("hookpoint"));
}

TEST(RunSummary, OutputLatentsAndTheOthersApart) {
  const std::vector<store::ExplanationRow> explanations{explanation(1), explanation(2), explanation(3, "no reply")};
  const std::vector<store::ScoreRow> scores{row("layers.2", 1, "pattern", "detection", 9, 1, 8, 2),
                                            row("layers.2", 2, "pattern", "detection", 5, 5, 10, 0),
                                            row("layers.3", 1, "pattern", "detection", 1, 9, 1, 9)};
  EXPECT_THAT(summarize_run(explanations, scores, 1).by_group, IsEmpty());
  const RunSummary summary =
      summarize_run(explanations, scores, 1, {}, {{"layers.2", LatentId{1}}, {"layers.2", LatentId{3}}});
  ASSERT_EQ(summary.by_group.size(), 2U);
  const ScorerSummary& output = summary.by_group[0];
  const ScorerSummary& other = summary.by_group[1];
  EXPECT_EQ(output.group, kOutputLatents);
  EXPECT_EQ(output.latents, 1U);
  EXPECT_EQ(output.explained, 1U);
  EXPECT_EQ(output.failed_explanations, 1U);
  EXPECT_DOUBLE_EQ(output.balanced_accuracy.value, 0.85);
  EXPECT_EQ(other.group, kOtherLatents);
  EXPECT_EQ(other.latents, 2U);
  EXPECT_EQ(other.explained, 1U);
  EXPECT_DOUBLE_EQ(other.balanced_accuracy.value, (0.75 + 0.1) / 2);
  EXPECT_EQ(summary.to_json()["by_group"][0]["group"], "output latents");
}

TEST(RunSummary, OfNothingIsEmpty) { EXPECT_EQ(summarize_run({}, {}, 1).to_json().at("scores").size(), 0U); }

}  // namespace
}  // namespace gloss::report
