// Texts of one's own, with a model that is made up.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <nlohmann/json.hpp>
#include <thread>

#include "gloss/base/error.h"
#include "gloss/dashboard/dashboard_testing.h"
#include "gloss/dashboard/routes.h"

namespace gloss::dashboard {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;
using testing::get;
using testing::loopback;
using testing::post;

/// Fires latent 3 at every " and" and latent 5, half as strongly, at every token.
TextReading read_text(const std::string& text) {
  TextReading reading;
  for (const char c : text) {
    const bool fires = c == '&';
    reading.tokens.push_back(TokenId{fires ? 10U : 7U});
    reading.latents.emplace_back();
    if (fires) reading.latents.back().emplace_back(LatentId{3}, 2.0F);
    reading.latents.back().emplace_back(LatentId{5}, 1.0F);
  }
  return reading;
}

struct WithModel {
  testing::MadeUpDashboard made;
  std::unique_ptr<Api> api;

  explicit WithModel(LiveModel model) {
    std::vector<std::unique_ptr<dashboard::Run>> runs;
    runs.push_back(made.run());
    api = std::make_unique<Api>(ApiOptions{"1", loopback(), std::move(model)}, std::move(runs));
  }
  Json tell(const std::string& path, const Json& body, int status = 200) const {
    const Response response = api->answer(post("/api/v1" + path, body.dump()));
    EXPECT_EQ(response.status, status) << response.body;
    return Json::parse(response.body);
  }
};

LiveModel made_up_model() {
  LiveModel model;
  model.read = [](std::size_t, const std::string&, const std::string& text) { return read_text(text); };
  model.steer = [](std::size_t run, const SteerQuestion& q) -> SteeredText {
    if (q.prompt == "long") throw Error(ErrorKind::usage, "steering", "does not fit");
    return {q.prompt, q.hookpoint + "/" + std::to_string(to_index(q.latent)) + " " + std::to_string(run) + " " +
                          std::to_string(q.tokens) + (q.strength < 0 ? " down" : " up")};
  };
  return model;
}

TEST(OwnText, TellsWhatFiresWithExplanations) {
  const WithModel with(made_up_model());
  const Json told = with.tell("/text", {{"text", "a&b&"}, {"hookpoint", "layers.10"}});
  ASSERT_EQ(told["tokens"].size(), 4U);
  EXPECT_EQ(told["tokens"][1]["t"], " and");
  EXPECT_EQ(told["tokens"][1]["latents"][0]["latent"], 3);
  EXPECT_EQ(told["tokens"][1]["latents"][0]["a"], 2.0);
  EXPECT_THAT(told["tokens"][1]["latents"][0]["explanation"].get<std::string>(), HasSubstr(" and"));
  ASSERT_EQ(told["latents"].size(), 2U);
  EXPECT_EQ(told["latents"][0]["latent"], 3);
  EXPECT_EQ(told["latents"][0]["sum"], 4.0);
  EXPECT_EQ(told["latents"][1]["sum"], 4.0);
  EXPECT_EQ(told["cut"], false);
  EXPECT_EQ(told["hookpoint"], "layers.10");
}

TEST(OwnText, SteersAsAsked) {
  const WithModel with(made_up_model());
  const Json told = with.tell(
      "/steer", {{"prompt", "Once"}, {"hookpoint", "layers.2"}, {"latent", 4}, {"strength", -2.5}, {"tokens", 8}});
  EXPECT_EQ(told["without"], "Once");
  EXPECT_EQ(told["with"], "layers.2/4 0 8 down");
  with.tell("/steer", {{"prompt", "long"}, {"latent", 4}, {"strength", 1}}, 400);
}

TEST(OwnText, WhatIsMissingOrTooLongIsRefused) {
  const WithModel with(made_up_model());
  for (const Json& bad :
       {Json::object(), Json{{"text", ""}}, Json{{"text", 3}}, Json{{"text", std::string(20'000, 'a')}},
        Json{{"text", "a"}, {"page", ""}}, Json{{"text", "a"}, {"hookpoint", 1}}})
    with.tell("/text", bad, 400);
  with.tell("/text", {{"text", "a"}, {"hookpoint", "layers.3"}}, 404);
  with.tell("/text", {{"text", "a"}, {"run", 1}}, 404);
  const Json good = {{"prompt", "a"}, {"latent", 4}, {"strength", 1}};
  const auto changed = [&](const char* name, const Json& value) {
    Json body = good;
    body[name] = value;
    return body;
  };
  for (const Json& bad : {changed("strength", 101), changed("strength", "1"), changed("tokens", 0),
                          changed("tokens", 65), changed("prompt", "")})
    with.tell("/steer", bad, 400);
  for (const Json& bad :
       {changed("latent", 20), changed("latent", -1), changed("latent", 1.5), changed("latent", 1e300)})
    with.tell("/steer", bad, 404);
  const WithModel without(LiveModel{});
  EXPECT_THAT(without.tell("/text", {{"text", "a"}}, 404).dump(), HasSubstr("--model"));
  EXPECT_THAT(without.tell("/steer", good, 404).dump(), HasSubstr("--model"));
}

TEST(OwnText, ALaterTextOfThePageOvertakesThoseThatWait) {
  std::mutex mutex;
  std::condition_variable changed;
  bool may_end = false;
  int begun = 0;
  LiveModel model;
  model.read = [&](std::size_t, const std::string&, const std::string& text) {
    std::unique_lock lock(mutex);
    ++begun;
    changed.notify_all();
    changed.wait(lock, [&] { return may_end; });
    return read_text(text);
  };
  const WithModel with(model);
  std::vector<int> status(3);
  const auto ask = [&](std::size_t i, const char* page) {
    status[i] = with.api->answer(post("/api/v1/text", Json{{"text", "a"}, {"page", page}}.dump())).status;
  };
  std::thread first(ask, 0, "one");
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return begun == 1; });
  }
  std::thread second(ask, 1, "two");
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  std::thread third(ask, 2, "two");
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  {
    const std::lock_guard lock(mutex);
    may_end = true;
    changed.notify_all();
  }
  for (std::thread* thread : {&first, &second, &third}) thread->join();
  EXPECT_EQ(status[0], 200);
  EXPECT_EQ(status[1], 409);
  EXPECT_EQ(status[2], 200);
  EXPECT_EQ(begun, 2) << "the second was never read";
}

}  // namespace
}  // namespace gloss::dashboard
