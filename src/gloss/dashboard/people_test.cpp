// Quizzes, explanations and agreement: what people add to a run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "gloss/dashboard/dashboard_testing.h"

namespace gloss::dashboard {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;
using testing::get;
using testing::loopback;
using testing::post;

/// A run of its own for each test: they write.
struct People {
  testing::MadeUpDashboard made;
  std::unique_ptr<Api> api;

  explicit People(bool read_only = false) {
    std::vector<std::unique_ptr<dashboard::Run>> runs;
    runs.push_back(made.run());
    Access access = loopback();
    access.read_only = read_only;
    api = std::make_unique<Api>(ApiOptions{"1", access}, std::move(runs));
  }
  Json ask(const std::string& path, int status = 200) const {
    return checked(api->answer(get("/api/v1" + path)), status);
  }
  Json tell(const std::string& path, const Json& body, int status = 200) const {
    return checked(api->answer(post("/api/v1" + path, body.dump())), status);
  }
  static Json checked(const Response& response, int status) {
    EXPECT_EQ(response.status, status) << response.body;
    return Json::parse(response.body);
  }
};

const std::string kQuiz = "/runs/0/quiz/layers.2/3";

/// What the store holds is what a quiz is marked by.
std::vector<bool> truths(const People& people, const Json& quiz, const std::string& scorer) {
  const Json body = {{"person", "x"},
                     {"scorer", scorer},
                     {"explainer", "pattern"},
                     {"id", quiz["id"]},
                     {"answers", std::vector<bool>(quiz["windows"].size(), true)}};
  return people.tell(kQuiz, body)["truth"].get<std::vector<bool>>();
}

TEST(Quiz, IsBlindAndTheSameForTheSameSeed) {
  const People people;
  const Json quiz = people.ask(kQuiz + "?scorer=detection&count=12&seed=5");
  ASSERT_EQ(quiz["windows"].size(), 12U);
  EXPECT_FALSE(quiz.contains("explanation"));
  EXPECT_THAT(quiz.dump(), ::testing::Not(HasSubstr("\"a\":"))) << "activations would tell";
  EXPECT_THAT(quiz.dump(), ::testing::Not(HasSubstr("\"m\":")));
  EXPECT_EQ(people.ask(kQuiz + "?scorer=detection&count=12&seed=5"), quiz);
  EXPECT_NE(people.ask(kQuiz + "?scorer=detection&count=12&seed=6")["windows"], quiz["windows"]);
  EXPECT_THAT(people.ask(kQuiz + "?explainer=pattern")["explanation"].get<std::string>(), HasSubstr(" and"));
  EXPECT_THAT(people.ask(kQuiz + "?scorer=fuzz").dump(), HasSubstr("\"m\":true"));
  // Half of them fire: latent 3 fires at " and" alone.
  std::size_t fire = 0;
  for (const Json& w : quiz["windows"]) fire += w.dump().find("\" and\"") != std::string::npos ? 1U : 0U;
  EXPECT_EQ(fire, 6U);
}

TEST(Quiz, AnswersBecomeJudgementsOfThePerson) {
  const People people;
  const Json quiz = people.ask(kQuiz + "?scorer=detection&count=10&seed=7");
  Json answers = Json::array();
  for (const bool truth : truths(people, quiz, "detection")) answers.push_back(truth);
  ASSERT_EQ(answers.size(), 10U);
  answers[0] = !answers[0].get<bool>();
  answers[1] = nullptr;
  const Json told = people.tell(
      kQuiz,
      {{"person", "Ada"}, {"scorer", "detection"}, {"explainer", "pattern"}, {"id", quiz["id"]}, {"answers", answers}});
  EXPECT_EQ(told["judge"], "person:Ada");
  EXPECT_EQ(told["answered"], 9);
  EXPECT_EQ(told["right"], 8);
  EXPECT_EQ(told["truth"].size(), 10U);
  const auto kept = people.made.made.store->judgements("layers.2", LatentId{3}, "pattern", "detection", "person:Ada");
  ASSERT_EQ(kept.size(), 9U);
  EXPECT_EQ(std::count_if(kept.begin(), kept.end(),
                          [](const auto& j) { return (j.verdict == score::Verdict::yes) == j.truth; }),
            8);
  // Another quiz adds to them.
  const Json more = people.ask(kQuiz + "?scorer=detection&count=40&seed=8");
  people.tell(kQuiz, {{"person", "Ada"},
                      {"explainer", "pattern"},
                      {"id", more["id"]},
                      {"answers", std::vector<bool>(more["windows"].size(), true)}});
  EXPECT_GT(people.made.made.store->judgements("layers.2", LatentId{3}, "pattern", "detection", "person:Ada").size(),
            35U);
  // The page of the latent shows the score; the table has no column for it.
  EXPECT_THAT(people.ask("/runs/0/latents/layers.2/3").dump(), HasSubstr("person:Ada"));
  const Json runs = people.ask("/runs");
  for (const Json& column : runs.at(0).at("columns")) EXPECT_NE(column["judge"], "person:Ada");
}

TEST(Quiz, WhatIsNoAnswerIsRefused) {
  const People people;
  const Json quiz = people.ask(kQuiz + "?count=4");
  const Json good = {
      {"person", "Ada"}, {"explainer", "pattern"}, {"id", quiz["id"]}, {"answers", {true, false, true, true}}};
  const auto with = [&](const char* field, const Json& value) {
    Json body = good;
    body[field] = value;
    return body;
  };
  for (const Json& bad :
       {with("person", ""), with("person", "  "), with("person", 3), with("person", "a:b"), with("person", "a\nb"),
        with("person", std::string(41, 'a')), with("id", "detection.4"), with("id", "detection.0.1"),
        with("id", "detection.4.1x"), with("id", "intruder.4.1"), with("id", "detection.9999.1"), with("id", ""),
        with("answers", {true}), with("answers", {1, 2, 3, 4}), with("answers", {nullptr, nullptr, nullptr, nullptr}),
        with("answers", "yes"), with("scorer", "fuzz"), with("explainer", nullptr)})
    people.tell(kQuiz, bad, 400);
  people.tell(kQuiz, with("explainer", "nobody"), 404);
  people.tell(kQuiz, Json::array(), 400);
  EXPECT_EQ(people.api->answer(post("/api/v1" + kQuiz, "{\"person\"")).status, 400);
  EXPECT_EQ(people.api->answer(post("/api/v1" + kQuiz, std::string(60'000, '['))).status, 400);
  EXPECT_EQ(people.ask(kQuiz + "?scorer=intruder", 400)["error"]["where"], "scorer");
  people.ask(kQuiz + "?count=101", 400);
  people.ask("/runs/0/quiz/layers.2/99", 404);
}

TEST(PeoplesExplanations, AreKeptAndFound) {
  const People people;
  const std::string place = "/runs/0/explanations/layers.2/3";
  EXPECT_EQ(people.tell(place, {{"person", "Ada"}, {"text", "<script>zebra</script>"}})["explainer"], "person:Ada");
  const Json found = people.ask("/runs/0/latents?explainer=person:Ada&text=zebra");
  ASSERT_EQ(found["total"], 1);
  EXPECT_EQ(found["rows"][0]["explanation"], "<script>zebra</script>");
  EXPECT_EQ(people.made.made.store->explanation("layers.2", LatentId{3}, "person:Ada")->explanation.text,
            "<script>zebra</script>");
  people.tell(place, {{"person", "Ada"}, {"text", ""}}, 400);
  people.tell(place, {{"person", "Ada"}, {"text", std::string(2001, 'a')}}, 400);
  people.tell("/runs/0/explanations/layers.2/99", {{"person", "Ada"}, {"text", "a"}}, 404);
}

TEST(Agreement, IsThatOfTheJudgementsBothGave) {
  const People people;
  EXPECT_TRUE(people.ask("/runs/0/agreement").empty());
  std::uint64_t same = 0;
  std::uint64_t windows = 0;
  for (const char* latent : {"3", "5"}) {
    const std::string path = "/runs/0/quiz/layers.2/" + std::string(latent);
    const Json quiz = people.ask(path + "?count=20");
    Json answers = Json::array();
    for (std::size_t i = 0; i < quiz["windows"].size(); ++i) answers.push_back(i % 3 != 0);
    people.tell(path, {{"person", "Ada"}, {"explainer", "pattern"}, {"id", quiz["id"]}, {"answers", answers}});
    const LatentId id{static_cast<std::uint32_t>(std::stoul(latent))};
    const auto mine = people.made.made.store->judgements("layers.2", id, "pattern", "detection", "person:Ada");
    const auto others = people.made.made.store->judgements("layers.2", id, "pattern", "detection", "pattern");
    for (const auto& a : mine) {
      for (const auto& b : others) {
        if (a.start != b.start || a.kind != b.kind || b.verdict == score::Verdict::failed) continue;
        ++windows;
        same += a.verdict == b.verdict ? 1U : 0U;
      }
    }
  }
  const Json all = people.ask("/runs/0/agreement");
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0]["person"], "person:Ada");
  EXPECT_EQ(all[0]["judge"], "pattern");
  EXPECT_EQ(all[0]["latents"], 2);
  EXPECT_EQ(all[0]["n"], windows);
  EXPECT_EQ(all[0]["agree"], same);
  EXPECT_GT(windows, 20U);
  EXPECT_TRUE(all[0]["kappa"].is_number());
}

TEST(ReadOnly, RefusesEveryChange) {
  const People people(true);
  EXPECT_EQ(people.ask("/session")["can"]["judge"], false);
  const Json quiz = people.ask(kQuiz + "?count=4");
  people.tell(kQuiz,
              {{"person", "Ada"}, {"explainer", "pattern"}, {"id", quiz["id"]}, {"answers", {true, false, true, true}}},
              403);
  people.tell("/runs/0/explanations/layers.2/3", {{"person", "Ada"}, {"text", "a"}}, 403);
  EXPECT_TRUE(people.ask("/runs/0/agreement").empty());
}

}  // namespace
}  // namespace gloss::dashboard
