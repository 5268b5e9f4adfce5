#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <limits>
#include <nlohmann/json.hpp>
#include <thread>

#include "gloss/base/error.h"
#include "gloss/dashboard/dashboard_testing.h"

namespace gloss::dashboard {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using Json = nlohmann::json;

/// A run that another store of the same file changes meanwhile.
class Events : public ::testing::Test {
 protected:
  Events() {
    made_.input.jobs = [this] { return jobs_; };
    const RunInput* first = &made_.input;
    ApiOptions options{"9.9", testing::loopback()};
    options.reopen = [this](std::size_t number) {
      EXPECT_EQ(number, 0U);
      ++opened_;
      if (fails_) fail_input("index.safetensors", "is damaged");
      return std::make_unique<dashboard::Run>(copy_of(facts_), silent_);
    };
    facts_ = copy_of(*first);
    std::vector<std::unique_ptr<dashboard::Run>> runs;
    runs.push_back(made_.run());
    api_ = std::make_unique<Api>(std::move(options), std::move(runs));
  }
  /// The same, but for a store of its own.
  RunInput copy_of(const RunInput& input) const {
    RunInput copy;
    copy.name = input.name;
    copy.hookpoints = input.hookpoints;
    copy.store = std::make_unique<store::Store>(made_.made.file);
    copy.tokenizer = input.tokenizer;
    copy.tokens = input.tokens;
    copy.window = input.window;
    copy.questions = input.questions;
    copy.examples = input.examples;
    copy.report = input.report;
    copy.jobs = [this] { return jobs_; };
    return copy;
  }
  Response ask(const std::string& path) const { return api_->answer(testing::get("/api/v1" + path)); }
  Json event() const {
    const Response response = ask("/events?run=0");
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.type, "text/event-stream");
    const std::size_t data = response.body.find("data: ");
    EXPECT_TRUE(response.body.ends_with("\n\n"));
    return Json::parse(response.body.substr(data + 6));
  }
  Response reload() const { return api_->answer(testing::post("/api/v1/runs/0/reload", "{}")); }
  void another_explains(std::uint32_t latent, const std::string& explainer) {
    store::Store other(made_.made.file);
    other.put_explanation({"layers.2", explainer, {LatentId{latent}, "told meanwhile", "", "", ""}});
  }
  std::uint64_t total(const std::string& filter) const {
    return Json::parse(ask("/runs/0/latents?" + filter).body)["total"];
  }

  SilentReporter silent_;
  testing::MadeUpDashboard made_;
  RunInput facts_;
  std::vector<Job> jobs_;
  std::atomic<int> opened_{0};
  bool fails_ = false;
  std::unique_ptr<Api> api_;
};

TEST_F(Events, TellJobsAndWhenToAskAgain) {
  EXPECT_THAT(ask("/events").body, StartsWith("retry: 10000\n"));
  EXPECT_EQ(event()["jobs"], Json::array());
  EXPECT_EQ(event()["changed"], false);
  jobs_ = {{"explain", "layers.2", "latents", "</script>\n\ndata: x", 25, 100, 5.0},
           {"score", "s", "latents", "", 3, 0, 0.0}};
  EXPECT_THAT(ask("/events?run=0").body, StartsWith("retry: 2000\n"));
  const Json jobs = event()["jobs"];
  ASSERT_EQ(jobs.size(), 2U);
  EXPECT_EQ(jobs[0]["command"], "explain");
  EXPECT_EQ(jobs[0]["done"], 25);
  EXPECT_EQ(jobs[0]["total"], 100);
  EXPECT_EQ(jobs[0]["left_s"], 15.0);
  EXPECT_EQ(jobs[0]["detail"], "</script>\n\ndata: x") << "no line of its own in the event";
  EXPECT_EQ(jobs[1]["total"], nullptr);
  EXPECT_EQ(jobs[1]["rate"], nullptr);
  EXPECT_EQ(jobs[1]["left_s"], nullptr);
  EXPECT_EQ(ask("/events?run=1").status, 404);
  EXPECT_EQ(ask("/events?run=../..").status, 404);
}

TEST_F(Events, TellWhatCameInAndAReloadShowsIt) {
  EXPECT_EQ(reload().status, 200);
  EXPECT_EQ(opened_, 0) << "nothing came in";
  another_explains(3, "other");
  another_explains(4, "other");
  const Json told = event();
  EXPECT_EQ(told["changed"], true);
  EXPECT_EQ(told["explanations"], 2);
  EXPECT_EQ(told["scores"], 0);
  EXPECT_EQ(ask("/runs/0/latents?explainer=other").status, 400) << "shown before it was asked for";
  const Json before = Json::parse(ask("/runs/0/figures").body);
  const Response reloaded = reload();
  ASSERT_EQ(reloaded.status, 200) << reloaded.body;
  EXPECT_THAT(Json::parse(reloaded.body)["explainers"], ::testing::Contains("other"));
  EXPECT_EQ(opened_, 1);
  EXPECT_EQ(total("explainer=other&text=meanwhile"), 2U);
  EXPECT_EQ(event()["changed"], false);
  EXPECT_EQ(Json::parse(ask("/runs/0/figures").body).size(), before.size());
}

TEST_F(Events, OwnChangesAreNoNews) {
  const Response kept = api_->answer(
      testing::post("/api/v1/runs/0/explanations/layers.2/3", R"({"person": "Ada", "text": "a word of mine"})"));
  ASSERT_EQ(kept.status, 200) << kept.body;
  EXPECT_EQ(event()["changed"], false);
}

TEST_F(Events, ARunThatCannotBeOpenedStaysAsItIs) {
  another_explains(3, "other");
  fails_ = true;
  EXPECT_EQ(reload().status, 422);
  EXPECT_EQ(event()["changed"], true);
  EXPECT_EQ(total("limit=1"), 2 * testing::kLatents);
  fails_ = false;
  EXPECT_EQ(reload().status, 200);
  EXPECT_EQ(total("explainer=other&text=meanwhile"), 1U);
}

TEST_F(Events, AReloadWantsThePagesSecret) {
  Request request = testing::post("/api/v1/runs/0/reload", "{}");
  request.headers.erase("x-gloss-token");
  EXPECT_EQ(api_->answer(request).status, 403);
  EXPECT_EQ(ask("/runs/0/reload").status, 405);
}

TEST_F(Events, ReadersGoOnWhileARunIsOpenedAnew) {
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0}, asked{0};
  std::vector<std::thread> readers;
  for (int t = 0; t < 4; ++t) {
    readers.emplace_back([&] {
      while (!stop) {
        if (ask("/runs/0/latents?sort=detection&limit=5").status != 200) ++wrong;
        if (ask("/runs/0/latents/layers.2/3").status != 200) ++wrong;
        if (ask("/events").status != 200) ++wrong;
        ++asked;
      }
    });
  }
  for (std::uint32_t i = 0; i < 5; ++i) {
    another_explains(i, "other");
    if (reload().status != 200) ++wrong;
    while (asked < static_cast<int>(4 * i)) std::this_thread::yield();
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(opened_, 5);
  EXPECT_EQ(total("explainer=other&text=meanwhile"), 5U);
}

}  // namespace
}  // namespace gloss::dashboard
