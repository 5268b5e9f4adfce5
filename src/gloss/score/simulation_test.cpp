#include "gloss/score/simulation.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "gloss/base/random.h"
#include "gloss/explain/text_fixture.h"
#include "gloss/score/scripted_model.h"

namespace gloss::score {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Optional;
using Json = nlohmann::json;

const Measure* find(const LatentScore& score, std::string_view name) {
  for (const Measure& m : score.measures) {
    if (m.name == name) return &m;
  }
  return nullptr;
}
double value(const LatentScore& score, std::string_view name) {
  const Measure* m = find(score, name);
  return m == nullptr ? std::nan("") : m->value.value;
}

examples::Window window_of(std::uint32_t start, std::vector<float> activation) {
  examples::Window w;
  w.start = start;
  w.activation = std::move(activation);
  for (const float a : w.activation) w.max = std::max(w.max, a);
  w.kind = w.max > 0.0F ? examples::WindowKind::activating : examples::WindowKind::silent_random;
  return w;
}

LatentScore scored(const std::vector<examples::Window>& windows, const std::vector<std::vector<float>>& levels) {
  std::vector<Judgement> judgements;
  for (std::size_t i = 0; i < windows.size(); ++i)
    judgements.push_back(simulated({windows[i], {}, windows[i].max > 0.0F}, levels[i]));
  LatentScore score = summarize(LatentId{1}, judgements, 10);
  add_simulation(score, judgements, windows, 1);
  return score;
}

TEST(Simulation, CorrelationIsOfAllTokensOneAfterTheOther) {
  // The worked example of docs/methods.md.
  EXPECT_NEAR(value(scored({window_of(0, {0, 0, 8, 2, 0})}, {{0, 1, 6, 3, 0}}), "correlation"), 0.9624, 5e-5);
  // Cut in two it is the same; each window's own is another.
  const LatentScore two = scored({window_of(0, {0, 0, 8}), window_of(3, {2, 0})}, {{0, 1, 6}, {3, 0}});
  EXPECT_NEAR(value(two, "correlation"), 0.9624, 5e-5);
  EXPECT_NEAR(value(two, "window_correlation"), (0.98783 + 1.0) / 2, 1e-4);
  EXPECT_EQ(headline("simulation", two).value.value, value(two, "correlation"));
  EXPECT_EQ(headline("simulation", two).name, "correlation");
}

TEST(Simulation, ConstantSidesHaveNoCorrelationAndFailedWindowsDoNotCount) {
  EXPECT_EQ(find(scored({window_of(0, {0, 0, 8})}, {{3, 3, 3}}), "correlation"), nullptr);
  EXPECT_EQ(find(scored({window_of(0, {0, 0, 0})}, {{1, 2, 3}}), "correlation"), nullptr);
  EXPECT_TRUE(std::isnan(headline("simulation", scored({window_of(0, {0, 0, 8})}, {{3, 3, 3}})).value.value));
  const LatentScore failed =
      scored({window_of(0, {0, 0, 8, 2, 0}), window_of(5, {9, 0, 0, 0, 0})}, {{0, 1, 6, 3, 0}, {}});
  EXPECT_EQ(failed.failed, 1U);
  EXPECT_NEAR(value(failed, "correlation"), 0.9624, 5e-5);
}

/// Levels that are right up to scale, offset and noise; `noise` alone decides how good they are.
LatentScore noisy(double noise, bool shuffled) {
  Random random = Random::for_purpose(3, "simulation-test");
  std::vector<examples::Window> windows;
  std::vector<std::vector<float>> levels;
  for (std::uint32_t w = 0; w < 60; ++w) {
    std::vector<float> activation, level;
    for (int t = 0; t < 32; ++t) {
      activation.push_back(random.uniform() < 0.2 ? static_cast<float>(5.0 * random.uniform()) : 0.0F);
      level.push_back(static_cast<float>(2.0 + activation.back() + noise * random.normal()));
    }
    windows.push_back(window_of(32 * w, activation));
    levels.push_back(level);
  }
  if (shuffled) std::rotate(levels.begin(), levels.begin() + 1, levels.end());
  return scored(windows, levels);
}

TEST(Simulation, APerfectSimulationScoresOneAndAShuffledOneNothing) {
  const LatentScore perfect = noisy(0.0, false);
  EXPECT_NEAR(value(perfect, "correlation"), 1.0, 1e-6);
  EXPECT_NEAR(value(perfect, "r2"), 1.0, 1e-6) << "a line takes scale and offset away";
  const LatentScore shuffled = noisy(0.0, true);
  const Measure* none = find(shuffled, "correlation");
  ASSERT_NE(none, nullptr);
  EXPECT_LE(none->value.low, 0.0);
  EXPECT_GE(none->value.high, 0.0);
  EXPECT_LT(value(shuffled, "r2"), 0.01);
  // With noise the share explained is the square of the correlation, but for what fitting costs.
  const LatentScore some = noisy(1.0, false);
  EXPECT_NEAR(value(some, "r2"), value(some, "correlation") * value(some, "correlation"), 0.01);
  EXPECT_LT(find(some, "correlation")->value.low, value(some, "correlation"));
}

TEST(ParseLevels, WantsEveryTokenWithItsTextAndALevelInRange) {
  const std::vector<std::string> tokens = {"a", " b"};
  EXPECT_THAT(parse_levels(R"(Sure: [{"token":"a","activation":0},{"token":" b","activation":10}])", tokens),
              Optional(ElementsAre(0.0F, 10.0F)));
  for (const char* bad :
       {R"([{"token":"a","activation":0}])", R"([{"token":"a","activation":0},{"token":"b","activation":1}])",
        R"([{"token":"a","activation":0},{"token":" b","activation":11}])",
        R"([{"token":"a","activation":-1},{"token":" b","activation":1}])",
        R"([{"token":"a","activation":"0"},{"token":" b","activation":1}])", "[0, 10]", ""})
    EXPECT_EQ(parse_levels(bad, tokens), std::nullopt) << bad;
}

const std::vector<std::string> kTexts{"a cat", "stone", "cats!"};

std::vector<Question> questions() {
  std::vector<Question> asked;
  for (std::size_t i = 0; i < kTexts.size(); ++i) {
    const bool there = kTexts[i].find("cat") != std::string::npos;
    asked.push_back({explain::byte_window(kTexts, i, there ? "cat" : ""), {}, there});
  }
  return asked;
}

std::vector<Judgement> judged(const ScriptedModel::Script& script, bool at_once, std::size_t requests) {
  ScriptedModel model(script);
  SimulationOptions options;
  options.at_once = at_once;
  SimulationJudge judge(model, explain::byte_tokenizer(), explain::byte_tokens(kTexts, testing::TempDir()), options);
  explain::Explanation explanation;
  explanation.text = "cats";
  std::vector<Judgement> got;
  judge.submit(Scorer::simulation, explanation, questions(), [&](std::vector<Judgement> j) { got = std::move(j); });
  judge.run();
  EXPECT_EQ(model.requests().size(), requests);
  return got;
}

/// Knows where cats are.
llm::Reply as_json(const llm::Request& request, std::size_t n) {
  const std::string& asked = request.messages.back().content;
  EXPECT_THAT(asked, HasSubstr("Description: \"cats\"\n64 tokens: ["));
  const std::size_t at = asked.find("tokens: ") + 8;
  const Json tokens = Json::parse(asked.substr(at, asked.find(']', at) + 1 - at));
  std::string text;
  for (const Json& token : tokens) text += token.get<std::string>();
  const std::size_t cat = text.find("cat");
  Json reply = Json::array();
  for (std::size_t i = 0; i < tokens.size(); ++i)
    reply.push_back(
        {{"token", tokens[i]}, {"activation", cat != std::string::npos && i >= cat && i < cat + 3 ? 9 : 0}});
  llm::Reply r;
  r.text = n == 0 ? "I cannot." : reply.dump();
  r.hash = std::to_string(n);
  return r;
}

TEST(SimulationJudge, ReadsJsonAndAsksOnceMore) {
  const std::vector<Judgement> all = judged(as_json, false, 4);
  ASSERT_EQ(all.size(), 3U);
  const auto beginning = [&](std::size_t i) { return std::vector(all[i].levels.begin(), all[i].levels.begin() + 5); };
  EXPECT_THAT(beginning(0), ElementsAre(0, 0, 9, 9, 9));
  EXPECT_THAT(beginning(1), ElementsAre(0, 0, 0, 0, 0));
  EXPECT_THAT(beginning(2), ElementsAre(9, 9, 9, 0, 0));
  EXPECT_EQ(all[0].verdict, Verdict::yes);
  EXPECT_EQ(all[1].verdict, Verdict::no);
  EXPECT_FLOAT_EQ(all[0].probability, 0.9F);
  std::vector<examples::Window> windows;
  for (const Question& q : questions()) windows.push_back(q.window);
  LatentScore score = summarize(LatentId{0}, all, 10);
  add_simulation(score, all, windows, 1);
  EXPECT_NEAR(value(score, "correlation"), 1.0, 1e-6);
}

TEST(SimulationJudge, IsTheMeanByProbabilityAtEachTokenAtOnce) {
  const auto script = [](const llm::Request& request, std::size_t) {
    EXPECT_EQ(request.values.size(), 11U);
    EXPECT_EQ(request.choices.size(), 1U);
    EXPECT_EQ(request.choices[0].substr(request.places[1], 8), "unknown\n");
    EXPECT_EQ(request.choices[0][request.places[0] - 1], '\t');
    llm::Reply reply;
    for (std::size_t p = 0; p < request.places.size(); ++p) {
      // The worked example of docs/methods.md: 0, 5 and 10 are likely.
      for (int v = 0; v <= 10; ++v) reply.probabilities.push_back(v == 0 ? 0.5 : v == 5 ? 0.3 : v == 10 ? 0.1 : 0.0);
    }
    if (request.choices[0].find("s\tunknown\nt\t") != std::string::npos) reply.probabilities.back() = 0.0;
    return reply;
  };
  const std::vector<Judgement> all = judged(script, true, 3);
  ASSERT_EQ(all[0].levels.size(), 64U);
  EXPECT_NEAR(all[0].levels[0], 2.5 / 0.9, 1e-5);
  EXPECT_NEAR(all[1].levels.back(), 1.5 / 0.8, 1e-5);
}

TEST(SimulationJudge, FailsWhereTheModelCannotSay) {
  for (const bool at_once : {false, true}) {
    const auto silent = [](const llm::Request&, std::size_t) { return llm::Reply{}; };
    for (const Judgement& j : judged(silent, at_once, at_once ? 3 : 6)) EXPECT_EQ(j.verdict, Verdict::failed);
  }
}

}  // namespace
}  // namespace gloss::score
