// gloss serve as a user and a browser have it: started, asked over HTTP, stopped by Ctrl-C.
#include <curl/curl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "run_gloss.h"
#include "shared_run.h"

namespace gloss::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::StartsWith;
using Json = nlohmann::json;

struct Fetched {
  long status = 0;
  std::string head, body;
  Json json() const { return Json::parse(body); }
};

Fetched fetch(const std::string& url, const std::vector<std::string>& headers = {}, const std::string& body = "") {
  const std::unique_ptr<CURL, void (*)(CURL*)> curl(curl_easy_init(), curl_easy_cleanup);
  curl_slist* list = nullptr;
  for (const std::string& header : headers) list = curl_slist_append(list, header.c_str());
  const std::unique_ptr<curl_slist, void (*)(curl_slist*)> owned(list, curl_slist_free_all);
  const auto append = +[](char* data, std::size_t size, std::size_t count, void* to) {
    static_cast<std::string*>(to)->append(data, size * count);
    return size * count;
  };
  Fetched fetched;
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, list);
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT, 60L);
  curl_easy_setopt(curl.get(), CURLOPT_NOPROXY, "*");
  curl_easy_setopt(curl.get(), CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, append);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &fetched.body);
  curl_easy_setopt(curl.get(), CURLOPT_HEADERFUNCTION, append);
  curl_easy_setopt(curl.get(), CURLOPT_HEADERDATA, &fetched.head);
  if (!body.empty()) curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDS, body.c_str());
  EXPECT_EQ(curl_easy_perform(curl.get()), CURLE_OK) << url;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &fetched.status);
  return fetched;
}

/// A run with explanations and scores, made once.
const std::filesystem::path& scored_run() {
  static const TemporaryFolder folder("serve");
  static const std::filesystem::path run = [] {
    const std::filesystem::path copy = copy_of_run(folder);
    EXPECT_EQ(run_gloss({"explain", copy, "--latents", "alive,random:20"}).code, 0);
    EXPECT_EQ(run_gloss({"score", copy}).code, 0);
    return copy;
  }();
  return run;
}

TEST(Serve, AnswersUntilCtrlC) {
  Background gloss({"serve", scored_run(), "--port", "0"});
  ASSERT_THAT(gloss.first_line(), MatchesRegex("http://127\\.0\\.0\\.1:[0-9]+/"));
  const std::string url = gloss.first_line();
  const Fetched page = fetch(url);
  EXPECT_EQ(page.status, 200);
  EXPECT_THAT(page.body, HasSubstr("<title>gloss"));
  EXPECT_THAT(page.head, HasSubstr("Content-Security-Policy: default-src 'none'"));
  const std::string api = url + "api/v1";
  const Json latents = fetch(api + "/runs/0/latents?where=detection%3E0&sort=detection&desc=1&limit=5").json();
  ASSERT_GT(latents["total"], 5);
  const Json& best = latents["rows"][0];
  const std::string place = api + "/runs/0/latents/layers.2/" + std::to_string(best["latent"].get<int>());
  const Json latent = fetch(place).json();
  EXPECT_EQ(latent["firings"], best["firings"]);
  EXPECT_EQ(latent["explanations"][0]["text"], best["explanation"]);
  EXPECT_FALSE(latent["promoted"].empty());
  EXPECT_FALSE(latent["top_tokens"].empty());
  const Json shown = Json::parse(
      run_gloss({"show", scored_run(), "layers.2", std::to_string(best["latent"].get<int>()), "--json"}).out);
  EXPECT_THAT(shown.dump(), HasSubstr(Json(best["explanation"]).dump())) << "the terminal tells the same";
  EXPECT_GT(fetch(place + "/windows").json()["windows"].size(), 5U);
  const Json judged = fetch(place + "/judgements?scorer=detection").json();
  ASSERT_GT(judged["total"], 20);
  EXPECT_TRUE(judged["judgements"][0]["window"].is_object());
  EXPECT_GT(fetch(api + "/runs/0/figures").json().size(), 1U);
  EXPECT_EQ(fetch(api + "/../../etc/passwd").status, 404);
  EXPECT_EQ(fetch(api + "/runs", {"Host: rebound.example"}).status, 403);
  EXPECT_EQ(fetch(api + "/runs", {"Origin: http://evil.example"}).status, 403);
  EXPECT_EQ(fetch(api + "/runs", {"Content-Type: application/json"}, "{}").status, 403);
  EXPECT_EQ(fetch(api + "/runs", {"Content-Type: application/json"}, std::string(70'000, 'x')).status, 413);
  EXPECT_EQ(gloss.stop(SIGINT), 0);
}

TEST(Serve, ARunWithoutExplanationsIsShownAndReadOnlyLeavesIt) {
  const TemporaryFolder folder("serve-bare");
  const std::filesystem::path run = copy_of_run(folder);
  std::filesystem::remove(run / "results.db");
  Background gloss({"serve", run, "--port", "0", "--read-only"});
  const std::string api = gloss.first_line() + "api/v1";
  EXPECT_EQ(fetch(api + "/session").json()["read_only"], true);
  const Json latents = fetch(api + "/runs/0/latents?where=alive&sort=firings&desc=1").json();
  ASSERT_GT(latents["total"], 10);
  const std::string place = api + "/runs/0/latents/layers.2/" + std::to_string(latents["rows"][0]["latent"].get<int>());
  EXPECT_EQ(fetch(place + "/windows").json()["windows"].size(), 20U);
  EXPECT_TRUE(fetch(place).json()["explanations"].empty());
  EXPECT_EQ(fetch(api + "/runs/0/figures").json().size(), 0U);
  EXPECT_EQ(gloss.stop(SIGTERM), 0);
  EXPECT_FALSE(std::filesystem::exists(run / "results.db"));
}

TEST(Serve, ReadsAndSteersWithTheModel) {
  Background gloss({"serve", scored_run(), "--port", "0", "--read-only", "--model", kModel, "--sae", kCoder});
  const std::string api = gloss.first_line() + "api/v1";
  const Json session = fetch(api + "/session").json();
  ASSERT_EQ(session["can"]["text"], true);
  ASSERT_EQ(session["can"]["steer"], true);
  const auto post = [&](const std::string& path, const Json& body) {
    return fetch(api + path, {"Content-Type: application/json", "X-Gloss-Token: " + session["csrf"].get<std::string>()},
                 body.dump());
  };
  // A whole context read again fires as it did when it was cached.
  const Json strongest = fetch(api + "/runs/0/latents?sort=max&desc=1&limit=1").json()["rows"][0];
  const int latent = strongest["latent"];
  const Json windows =
      fetch(api + "/runs/0/latents/layers.2/" + std::to_string(latent) + "/windows?choose=top&context=whole&limit=5")
          .json();
  int compared = 0;
  for (const Json& window : windows["windows"]) {
    std::string text;
    for (const Json& token : window["tokens"]) text += token["t"].get<std::string>();
    const Json told = post("/text", {{"text", text}, {"page", "one"}}).json();
    ASSERT_EQ(told["tokens"].size(), window["tokens"].size());
    for (std::size_t i = 0; i < told["tokens"].size(); ++i) {
      ASSERT_EQ(told["tokens"][i]["t"], window["tokens"][i]["t"]);
      double value = 0.0;
      for (const Json& fired : told["tokens"][i]["latents"]) {
        if (fired["latent"] == latent) value = fired["a"];
      }
      const double cached = window["tokens"][i].value("a", 0.0);
      EXPECT_NEAR(value, cached, 1e-3 + 2e-3 * cached);
      compared += cached > 0.0 ? 1 : 0;
    }
  }
  EXPECT_GE(compared, 5);
  const auto steered = [&](double strength) {
    return post("/steer", {{"prompt", "Once upon a time"}, {"latent", latent}, {"strength", strength}, {"tokens", 12}})
        .json();
  };
  const Json none = steered(0.0);
  EXPECT_FALSE(none["without"].get<std::string>().empty());
  EXPECT_EQ(none["with"], none["without"]);
  EXPECT_NE(steered(5.0)["with"], none["without"]);
  EXPECT_EQ(post("/steer", {{"prompt", std::string(4000, 'x')}, {"latent", latent}, {"strength", 1}}).status, 400)
      << "longer than the model's context";
  EXPECT_EQ(gloss.stop(SIGINT), 0);
}

TEST(Serve, OtherMachinesNeedTheToken) {
  Background gloss({"serve", scored_run(), "--port", "0", "--host", "0.0.0.0"});
  const std::string url = gloss.first_line();
  ASSERT_THAT(url, MatchesRegex("http://127\\.0\\.0\\.1:[0-9]+/\\?token=[0-9a-f]{64}"));
  const std::string base = url.substr(0, url.find('?'));
  EXPECT_EQ(fetch(base + "api/v1/runs").status, 401);
  EXPECT_EQ(fetch(base).status, 401);
  const Fetched first = fetch(url);
  EXPECT_EQ(first.status, 303);
  EXPECT_THAT(first.head, HasSubstr("HttpOnly; SameSite=Strict"));
  const std::size_t cookie = first.head.find("gloss_");
  const std::string kept = first.head.substr(cookie, first.head.find(';', cookie) - cookie);
  EXPECT_EQ(fetch(base + "api/v1/runs", {"Cookie: " + kept}).status, 200);
  EXPECT_EQ(gloss.stop(SIGINT), 0);
}

TEST(Serve, AWeakTokenFileIsRefused) {
  const TemporaryFolder folder("serve-token");
  std::ofstream(folder.path() / "token") << "short\n";
  const Outcome outcome = run_gloss({"serve", scored_run(), "--port", "0", "--token-file", folder.path() / "token"});
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.err, HasSubstr("holds no token: wanted 16 or more"));
}

}  // namespace
}  // namespace gloss::testing
