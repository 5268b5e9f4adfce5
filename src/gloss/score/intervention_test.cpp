#include "gloss/score/intervention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "gloss/score/scripted_model.h"

namespace gloss::score {
namespace {

using testing::HasSubstr;

TEST(Gains, GoThroughProbabilitiesAndBack) {
  for (const double gain : {-100.0, -2.0, -1e-3, 0.0, 0.5, 8.0, 100.0})
    EXPECT_NEAR(gain_of_probability(static_cast<double>(static_cast<float>(probability_of_gain(gain)))), gain,
                1e-6 * (1.0 + gain * gain));
  EXPECT_LT(probability_of_gain(1.0), probability_of_gain(2.0));
  EXPECT_EQ(probability_of_gain(1.0), 0.75);
}

constexpr std::uint32_t kPrompts = 3;

SteeredTexts steer(LatentId latent) {
  if (latent == LatentId{9}) return {{}, {}, {}, {}, "no multiple of its direction does anything"};
  return {{"p0", "p1", "p2"}, {"clean", "clean", "clean"}, {"snow", "snow", "rain"}, {"stone", "stone", "stone"}, ""};
}

/// An explanation about snow is e^2 as probable, a token, after snow, and half as probable after stones.
llm::Reply likelihood(const llm::Request& request, std::size_t) {
  EXPECT_TRUE(request.per_token);
  EXPECT_EQ(request.choices, std::vector<std::string>{"cold weather"});
  const std::string& asked = request.messages.back().content;
  const double p = 0.1 * (asked.find("snow") != std::string::npos    ? std::exp(2.0)
                          : asked.find("stone") != std::string::npos ? 0.5
                                                                     : 1.0);
  llm::Reply reply;
  reply.hash = asked;
  reply.probabilities = {p};
  return reply;
}

std::vector<Judgement> judged(const ScriptedModel::Script& script, LatentId latent, std::size_t requests) {
  ScriptedModel model(script);
  InterventionJudge judge(model, steer, kPrompts);
  explain::Explanation explanation;
  explanation.latent = latent;
  explanation.text = "cold weather";
  std::vector<Judgement> got;
  judge.submit(Scorer::intervention, explanation, {}, [&](std::vector<Judgement> j) { got = std::move(j); });
  judge.run();
  EXPECT_EQ(model.requests().size(), requests);
  return got;
}

TEST(Intervention, IsWhatSteeringAddsToTheExplanationsLikelihood) {
  const std::vector<Judgement> all = judged(likelihood, LatentId{3}, 3 * kPrompts);
  ASSERT_EQ(all.size(), 2 * kPrompts);
  EXPECT_NEAR(gain_of_probability(double{all[0].probability}), 2.0, 1e-5);
  EXPECT_NEAR(gain_of_probability(double{all[2].probability}), 0.0, 1e-5);
  EXPECT_NEAR(gain_of_probability(double{all[4].probability}), -std::log(2.0), 1e-5);
  EXPECT_THAT(all[0].call_hash, HasSubstr("Beginning: \"p0\"\nContinuation: \"snow\""));
  LatentScore score = summarize(LatentId{3}, all, 10);
  EXPECT_EQ(score.tp, 2U);
  EXPECT_EQ(score.fn, 1U);
  EXPECT_EQ(score.tn, 3U);
  EXPECT_TRUE(std::isnan(headline("intervention", score).value.value)) << "no gain was added yet";
  add_gains(score, all, 1);
  const Headline shown = headline("intervention", score);
  EXPECT_NEAR(shown.value.value, 4.0 / 3.0, 1e-5);
  EXPECT_LE(shown.value.low, shown.value.value);
  EXPECT_GE(shown.value.high, shown.value.value);
  EXPECT_EQ(shown.chance, 0.0);
  ASSERT_EQ(score.measures.size(), 2U);
  EXPECT_EQ(score.measures[1].name, "control_gain");
  EXPECT_NEAR(score.measures[1].value.value, -std::log(2.0), 1e-5);
}

TEST(Intervention, FailsWhereSteeringOrTheModelDoes) {
  const std::vector<Judgement> none = judged(likelihood, LatentId{9}, 0);
  ASSERT_EQ(none.size(), 2 * kPrompts);
  for (const Judgement& j : none) EXPECT_EQ(j.verdict, Verdict::failed);
  const auto silent = [](const llm::Request&, std::size_t) { return llm::Reply{}; };
  for (const Judgement& j : judged(silent, LatentId{3}, 3 * kPrompts)) EXPECT_EQ(j.verdict, Verdict::failed);
}

}  // namespace
}  // namespace gloss::score
