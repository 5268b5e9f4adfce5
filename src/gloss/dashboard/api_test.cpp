#include "gloss/dashboard/api.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "gloss/dashboard/dashboard_testing.h"
#include "gloss/score/paired.h"

namespace gloss::dashboard {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Json = nlohmann::json;
using testing::get;
using testing::kLatents;
using testing::loopback;
using testing::post;

/// One run for all tests: they only read.
class ApiTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    made_ = std::make_unique<testing::MadeUpDashboard>();
    const std::filesystem::path circuit = made_->folder.path() / "circuit.json";
    write_file(circuit, R"({"nodes": [], "name": "</script>"})");
    made_->input.circuits["pronouns"] = circuit;
    std::vector<std::unique_ptr<dashboard::Run>> runs;
    runs.push_back(made_->run());
    api_ = std::make_unique<Api>(ApiOptions{"9.9", loopback()}, std::move(runs));
  }
  static void TearDownTestSuite() {
    api_.reset();
    made_.reset();
  }

  static Response ask(const std::string& path) { return api_->answer(get("/api/v1" + path)); }
  static Json json(const std::string& path) {
    const Response response = ask(path);
    EXPECT_EQ(response.status, 200) << path << " " << response.body;
    EXPECT_EQ(response.type, "application/json");
    return Json::parse(response.body);
  }
  static int status(const std::string& path) {
    const Response response = ask(path);
    if (response.status != 200) {
      EXPECT_TRUE(Json::parse(response.body).at("error").contains("found")) << path;
    }
    return response.status;
  }

  static std::unique_ptr<testing::MadeUpDashboard> made_;
  static std::unique_ptr<Api> api_;
};
std::unique_ptr<testing::MadeUpDashboard> ApiTest::made_;
std::unique_ptr<Api> ApiTest::api_;

TEST_F(ApiTest, TellsSessionAndRuns) {
  const Json session = json("/session");
  EXPECT_EQ(session["version"], "9.9");
  EXPECT_EQ(session["csrf"], testing::kSecret);
  EXPECT_EQ(session["read_only"], false);
  EXPECT_EQ(session["can"]["text"], false);
  const Json runs = json("/runs");
  ASSERT_EQ(runs.size(), 1U);
  EXPECT_EQ(runs[0]["id"], "0");
  EXPECT_EQ(runs[0]["name"], "runs/made-up <b>&");
  EXPECT_EQ(runs[0]["latents"], 2 * kLatents);
  EXPECT_THAT(runs[0]["explainers"], ::testing::UnorderedElementsAre("pattern", "human"));
  EXPECT_THAT(runs[0]["scorers"], ElementsAre("detection", "fuzz"));
  EXPECT_THAT(runs[0]["judges"], ElementsAre("pattern"));
  EXPECT_EQ(runs[0]["hookpoints"][1]["name"], "layers.10");
  EXPECT_EQ(runs[0]["hookpoints"][1]["latents"], kLatents);
  EXPECT_EQ(runs[0]["facts"][0], Json({"Model", "stories260k"}));
  EXPECT_EQ(runs[0]["tokens_hash"], made_->made.data.tokens.fingerprint());
}

TEST_F(ApiTest, TellsPagesOfLatents) {
  const Json page = json("/runs/0/latents?where=detection%3E0.6&sort=detection&desc=1&explainer=pattern&limit=7");
  ASSERT_GT(page["total"], 7);
  ASSERT_EQ(page["rows"].size(), 7U);
  double before = 2.0;
  for (const Json& row : page["rows"]) {
    const Json& score = row["scores"]["detection"];
    EXPECT_LE(score["value"], before);
    before = score["value"];
    EXPECT_GT(score["value"], 0.6);
    EXPECT_EQ(score["measure"], "balanced accuracy");
    EXPECT_EQ(score["chance"], 0.5);
    EXPECT_NEAR(score["excess"].get<double>(), score["value"].get<double>() - score["shuffled"].get<double>(), 1e-9);
    const auto stored = made_->made.store->scores(row["hookpoint"].get<std::string>(), "pattern", "detection");
    const auto at = std::find_if(stored.begin(), stored.end(),
                                 [&](const store::ScoreRow& s) { return to_index(s.score.latent) == row["latent"]; });
    ASSERT_NE(at, stored.end());
    EXPECT_NEAR(at->score.balanced_accuracy.value, score["value"].get<double>(), 1e-6);
    EXPECT_EQ(at->score.tp + at->score.fp + at->score.tn + at->score.fn, score["n"]);
    EXPECT_EQ(at->score.failed, score["failed"]);
    EXPECT_EQ(row["explanation"],
              made_->made.store->explanation(at->hookpoint, at->score.latent, "pattern")->explanation.text);
  }
  const Json rest = json("/runs/0/latents?where=detection%3E0.6&sort=detection&desc=1&explainer=pattern&offset=7");
  EXPECT_EQ(rest["rows"].size(), page["total"].get<std::size_t>() - 7);
  EXPECT_EQ(json("/runs/0/latents?hookpoint=layers.10")["total"], kLatents);
  EXPECT_EQ(json("/runs/0/latents?text=alert")["total"], 0);
  EXPECT_EQ(json("/runs/0/latents?limit=500")["rows"].size(), 2 * kLatents);
}

TEST_F(ApiTest, TellsHistogramsAndARandomLatent) {
  const Json histograms = json("/runs/0/histograms?hookpoint=layers.2");
  EXPECT_EQ(histograms["total"], kLatents);
  ASSERT_EQ(histograms["histograms"].size(), 4U);
  EXPECT_EQ(histograms["histograms"][0]["name"], "density");
  EXPECT_EQ(histograms["histograms"][2]["edges"].front(), 0.0);
  const Json random = json("/runs/0/random?hookpoint=layers.10&seed=3");
  EXPECT_EQ(random["hookpoint"], "layers.10");
  EXPECT_LT(random["latent"], kLatents);
  EXPECT_EQ(json("/runs/0/random?hookpoint=layers.10&seed=3"), random);
  EXPECT_EQ(status("/runs/0/random?text=nothing-has-this"), 404);
}

TEST_F(ApiTest, TellsOneLatent) {
  const Json latent = json("/runs/0/latents/layers.2/3");
  EXPECT_EQ(latent["latent"], 3);
  EXPECT_EQ(latent["of"], kLatents);
  EXPECT_EQ(latent["previous"], 2);
  EXPECT_EQ(latent["next"], 4);
  EXPECT_EQ(json("/runs/0/latents/layers.2/0")["previous"], nullptr);
  EXPECT_EQ(json("/runs/0/latents/layers.2/19")["next"], nullptr);
  ASSERT_EQ(latent["explanations"].size(), 2U) << "baselines are no explanations";
  for (const Json& explanation : latent["explanations"]) {
    ASSERT_EQ(explanation["scores"].size(), 2U);
    for (const Json& score : explanation["scores"]) {
      ASSERT_EQ(score["per_decile"].size(), 10U);
      std::uint64_t answered = 0;
      for (const Json& decile : score["per_decile"]) answered += decile["n"].get<std::uint64_t>();
      EXPECT_EQ(answered, score["counts"]["tp"].get<std::uint64_t>() + score["counts"]["fn"].get<std::uint64_t>());
      EXPECT_TRUE(score["shuffled"].contains("value"));
    }
  }
  EXPECT_THAT(json("/runs/0/latents/layers.2/16")["explanations"][0]["failed"], "no rule is better than none");
  // It fires at one token alone, wherever that stands.
  const index::Reader index = index::Reader::open(made_->folder.path() / "layers.2" / "index.safetensors");
  const std::uint64_t firings = index.count(LatentId{3});
  ASSERT_EQ(latent["top_tokens"].size(), 1U);
  EXPECT_EQ(latent["top_tokens"][0]["token"], " and");
  EXPECT_EQ(latent["top_tokens"][0]["of"], firings);
  std::uint64_t strengths = 0;
  for (const Json& count : latent["activation_histogram"]["counts"]) strengths += count.get<std::uint64_t>();
  EXPECT_EQ(strengths, firings);
  std::uint64_t positions = 0;
  std::uint64_t tokens = 0;
  for (const Json& count : latent["position_histogram"]["counts"]) positions += count.get<std::uint64_t>();
  for (const Json& count : latent["position_histogram"]["tokens"]) tokens += count.get<std::uint64_t>();
  EXPECT_EQ(positions, firings);
  EXPECT_EQ(tokens, 200U * report::kCtxLen);
  EXPECT_EQ(latent["position_histogram"]["edges"].size(), latent["position_histogram"]["counts"].size() + 1);
}

TEST_F(ApiTest, TellsWindows) {
  for (const char* choose : {"decile", "top", "random"}) {
    for (const auto& [context, length] :
         std::vector<std::pair<std::string, std::size_t>>{{"narrow", 32}, {"wide", 128}, {"whole", 128}}) {
      const Json windows =
          json("/runs/0/latents/layers.2/3/windows?limit=15&choose=" + std::string(choose) + "&context=" + context);
      ASSERT_EQ(windows["windows"].size(), 15U);
      double before = 1e9;
      for (const Json& w : windows["windows"]) {
        ASSERT_EQ(w["tokens"].size(), length);
        for (const Json& token : w["tokens"]) {
          EXPECT_EQ(token.contains("a"), token["t"] == " and") << "it fires at this token alone";
        }
        const double peak = w["tokens"][w["peak"].get<std::size_t>()]["a"];
        EXPECT_LE(peak, before);
        before = peak;
        EXPECT_TRUE(std::string(choose) != "top" || w["decile"] == 10);
      }
    }
  }
  const Json a = json("/runs/0/latents/layers.2/3/windows?choose=random&seed=1");
  EXPECT_EQ(a, json("/runs/0/latents/layers.2/3/windows?choose=random&seed=1"));
  EXPECT_NE(a, json("/runs/0/latents/layers.2/3/windows?choose=random&seed=2"));
  // Half an emoji is no character.
  bool partial = false;
  const Json whole = json("/runs/0/latents/layers.2/0/windows?limit=200&context=whole");
  for (const Json& w : whole["windows"]) {
    for (const Json& token : w["tokens"]) {
      if (!token.contains("partial")) continue;
      partial = true;
      EXPECT_THAT(token["t"].get<std::string>(), HasSubstr("\xEF\xBF\xBD"));
    }
  }
  EXPECT_TRUE(partial);
}

TEST_F(ApiTest, TellsJudgementsWrongOnesFirst) {
  const Json all = json("/runs/0/latents/layers.2/3/judgements?explainer=pattern&scorer=fuzz&limit=500");
  const auto stored = made_->made.store->judgements("layers.2", LatentId{3}, "pattern", "fuzz", "pattern");
  ASSERT_GT(stored.size(), 10U);
  EXPECT_EQ(all["total"], stored.size());
  int place = 0;
  for (const Json& j : all["judgements"]) {
    const int now = j["verdict"] == "failed" ? 1 : j["right"] == true ? 2 : 0;
    EXPECT_GE(now, place);
    place = now;
    ASSERT_TRUE(j["window"].is_object());
    EXPECT_EQ(j["window"]["tokens"].size(), report::kWindow);
    const auto marked = std::count_if(j["window"]["tokens"].begin(), j["window"]["tokens"].end(),
                                      [](const Json& t) { return t.contains("m"); });
    EXPECT_GT(marked, 0) << "fuzz shows marks";
  }
  const Json page = json("/runs/0/latents/layers.2/3/judgements?explainer=pattern&scorer=fuzz&offset=3&limit=2");
  EXPECT_EQ(page["judgements"][0], all["judgements"][3]);
  EXPECT_EQ(page["judgements"].size(), 2U);
}

TEST_F(ApiTest, TellsCallsFiguresAndCircuits) {
  EXPECT_EQ(json("/runs/0/calls?hookpoint=layers.2&latent=3")["calls"].size(), 0U) << "a pattern asks nobody";
  store::Store& store = *made_->made.store;
  store.set_stage("score", "layers.2");
  store.keep_prompts(true);
  for (const char c : {'a', 'b'}) {
    llm::Request request;
    request.messages = {{"system", "<script>"}, {"user", std::string("about ") + c}};
    llm::Reply reply;
    reply.hash = std::string(32, c);
    reply.text = "1";
    reply.provider = "here";
    reply.latent = 5;
    store.put_prompt(reply.hash, request);
    store.put(reply);
  }
  const Json asked = json("/runs/0/calls?hookpoint=layers.2&latent=5");
  ASSERT_EQ(asked["calls"].size(), 2U);
  EXPECT_EQ(asked["calls"][0]["messages"], Json({0, 1}));
  EXPECT_EQ(asked["calls"][1]["messages"], Json({0, 2})) << "what calls have in common is sent once";
  EXPECT_EQ(asked["messages"][0], Json({{"role", "system"}, {"text", "<script>"}}));
  EXPECT_EQ(asked["messages"][2]["text"], "about b");
  const Json figures = json("/runs/0/figures");
  ASSERT_GT(figures.size(), 2U);
  for (const Json& figure : figures)
    EXPECT_TRUE(json("/runs/0/figures/" + figure["name"].get<std::string>()).contains("$schema"));
  EXPECT_TRUE(json("/runs/0/figures/outcomes?latent=layers.2%2F3").contains("$schema"));
  EXPECT_EQ(status("/runs/0/figures/outcomes"), 400);
  EXPECT_EQ(status("/runs/0/figures/..%2F..%2Fetc%2Fpasswd"), 404);
  EXPECT_THAT(json("/runs/0/circuits"), ElementsAre("pronouns"));
  EXPECT_EQ(json("/runs/0/circuits/pronouns")["name"], "</script>");
}

TEST_F(ApiTest, FiguresAreOfTheLatentsThatAFilterLetsThrough) {
  const auto values = [&](const std::string& path) { return json(path)["data"]["values"]; };
  const auto latents_of = [](const Json& rows, const std::string& hookpoint) {
    std::set<std::uint32_t> latents;
    for (const Json& row : rows) {
      EXPECT_TRUE(hookpoint.empty() || row["hookpoint"] == hookpoint);
      latents.insert(row["latent"].get<std::uint32_t>());
    }
    return latents;
  };
  const Json all = values("/runs/0/figures/density");
  const Json some = values("/runs/0/figures/density?hookpoint=layers.10&where=detection%3E0.6&explainer=pattern");
  ASSERT_FALSE(some.empty());
  EXPECT_LT(some.size(), all.size());
  const Json page = json("/runs/0/latents?hookpoint=layers.10&where=detection%3E0.6&explainer=pattern&limit=500");
  EXPECT_EQ(latents_of(some, "layers.10"), latents_of(page["rows"], "layers.10"));
  EXPECT_EQ(values("/runs/0/figures/density?explainer=pattern"), all) << "an explainer alone leaves nobody out";
  EXPECT_EQ(values("/runs/0/figures/density"), all) << "kept from a filter";
  std::set<std::string> names;
  for (const Json& figure : json("/runs/0/figures?where=detection%3E0.6")) names.insert(figure["name"]);
  EXPECT_TRUE(names.contains("scores") && names.contains("calibration"));
  EXPECT_EQ(json("/runs/0/figures?text=nothing-has-this"), Json::array());
  EXPECT_EQ(status("/runs/0/figures?where=nonsense"), 400);
  // More filters than are kept.
  for (int i = 0; i < 12; ++i) json(fmt::format("/runs/0/figures?where=detection%3E0.{:02}", i));
  EXPECT_EQ(values("/runs/0/figures/density"), all);
}

TEST_F(ApiTest, ComparesTwoExplanationsOnTheirCommonWindows) {
  const Json told = json("/runs/0/compare?hookpoint=layers.2&latent=3&a=pattern&b=human");
  EXPECT_EQ(told["a"]["explainer"], "pattern");
  EXPECT_EQ(told["b"]["text"], made_->made.store->explanation("layers.2", LatentId{3}, "human")->explanation.text);
  ASSERT_EQ(told["scores"].size(), 2U);
  for (const Json& score : told["scores"]) {
    const std::string scorer = score["scorer"];
    const auto a = made_->made.store->judgements("layers.2", LatentId{3}, "pattern", scorer, "pattern");
    const auto b = made_->made.store->judgements("layers.2", LatentId{3}, "human", scorer, "pattern");
    const score::Agreement wanted = score::match(a, b);
    EXPECT_GT(wanted.windows(), 10U);
    EXPECT_EQ(score["windows"], wanted.windows());
    EXPECT_EQ(score["only_a"], wanted.only_a);
    EXPECT_EQ(score["both_wrong"], wanted.both_wrong);
    EXPECT_NEAR(score["p"].get<double>(), score::mcnemar(wanted.only_a, wanted.only_b), 1e-12);
    EXPECT_TRUE(score["a"]["value"].is_number());
  }
  const Json same = json("/runs/0/compare?hookpoint=layers.2&latent=3&a=pattern&b=pattern&other=0");
  EXPECT_EQ(same["scores"][0]["only_a"], 0);
  EXPECT_EQ(status("/runs/0/compare?hookpoint=layers.2&latent=3&a=pattern&b=nobody"), 404);
  EXPECT_EQ(status("/runs/0/compare?hookpoint=layers.2&latent=3&a=pattern&b=human&other=7"), 404);
  EXPECT_EQ(status("/runs/0/compare?hookpoint=layers.2&latent=3"), 404);
}

TEST_F(ApiTest, ListsTheLatentsInWhichTwoExplainersDifferMost) {
  const std::string question = "/runs/0/differences?a=pattern&b=human&score=detection";
  const Json told = json(question + "&limit=500");
  ASSERT_EQ(told["rows"].size(), told["total"]);
  EXPECT_GT(told["total"], 30);
  double before = 2;
  double sum = 0;
  for (const Json& row : told["rows"]) {
    const double difference = row["difference"];
    EXPECT_LE(std::abs(difference), before);
    before = std::abs(difference);
    sum += row["a"]["value"].get<double>();
    const auto value = [&](const char* explainer) {
      for (const store::ScoreRow& s : made_->made.data.scores) {
        if (s.hookpoint == row["hookpoint"] && to_index(s.score.latent) == row["latent"] && s.explainer == explainer &&
            s.scorer == "detection")
          return s.score.balanced_accuracy.value;
      }
      return std::nan("");
    };
    EXPECT_NEAR(difference, value("human") - value("pattern"), 1e-6);
    EXPECT_NEAR(row["b"]["value"].get<double>(), value("human"), 1e-6);
  }
  EXPECT_NEAR(told["mean_a"].get<double>(), sum / told["rows"].size(), 1e-6);
  EXPECT_EQ(json(question + "&limit=1&offset=2")["rows"][0], told["rows"][2]);
  EXPECT_EQ(json("/runs/0/differences?a=human&b=human&score=fuzz&other=0")["rows"][0]["difference"], 0);
  EXPECT_EQ(status("/runs/0/differences?a=pattern&b=nobody&score=detection"), 404);
  EXPECT_EQ(status("/runs/0/differences?a=pattern&b=human&score=nothing"), 404);
  EXPECT_EQ(status("/runs/0/differences?a=pattern&b=human&score=fuzz&other=7"), 404);
}

TEST_F(ApiTest, WhatIsNotThereIs404AndWhatCannotBeReadIs400) {
  for (const char* path : {"/", "/nothing", "/runs/1/latents", "/runs/-1/latents", "/runs/00x/latents",
                           "/runs//latents", "/runs/0/latents/layers.3/1", "/runs/0/latents/layers.2/20",
                           "/runs/0/latents/layers.2/x", "/runs/0/latents/layers.2/99999999999", "/runs/0/latents/../1",
                           "/runs/0/latents/%2e%2e/1", "/runs/0/circuits/..%2fcircuit", "/runs/0/circuits/%2e%2e",
                           "/runs/0/calls?hookpoint=x&latent=1", "/runs/0/latents/layers.2/1/nothing"})
    EXPECT_EQ(status(path), 404) << path;
  for (const char* path :
       {"/runs/0/latents?limit=0", "/runs/0/latents?limit=501", "/runs/0/latents?limit=x", "/runs/0/latents?offset=-1",
        "/runs/0/latents?where=nonsense", "/runs/0/latents?where=density%3C", "/runs/0/latents?sort=nonsense",
        "/runs/0/latents?desc=2", "/runs/0/latents?explainer=nobody", "/runs/0/latents?hookpoint=layers.3",
        "/runs/0/latents/layers.2/1/windows?choose=worst", "/runs/0/latents/layers.2/1/windows?context=huge",
        "/runs/0/latents/layers.2/1/windows?seed=x", "/runs/0/latents?where=%zz", "/runs/0/latents?text=%ff",
        "/runs/0/latents?sort=max&sort=max"})
    EXPECT_EQ(status(path), 400) << path;
}

TEST_F(ApiTest, FilesAreThoseCompiledIn) {
  const Response page = api_->answer(get("/"));
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.type, "text/html; charset=utf-8");
  EXPECT_EQ(api_->answer(get("/assets/figures.js")).status, 200);
  for (const char* path : {"/assets/", "/assets/x.js", "/assets/../index.html", "/assets/..%2Findex.html",
                           "/assets/%2e%2e/%2e%2e/etc/passwd", "/..", "/../../etc/passwd", "/etc/passwd",
                           "/assets//etc/passwd", "/assets/figures.html", "/index.html", "//", "/assets/report.js"})
    EXPECT_EQ(api_->answer(get(path)).status, 404) << path;
}

TEST_F(ApiTest, HostileTextsStayJson) {
  // The texts hold <script>, </script>, <img onerror>, escape codes and U+202E.
  bool script = false;
  for (const std::string path : {"/runs/0/latents?limit=500", "/runs", "/runs/0/latents/layers.2/1",
                                 "/runs/0/latents/layers.2/1/windows?limit=200&context=whole",
                                 "/runs/0/circuits/pronouns", "/runs/0/latents?where=%3Cscript%3E"}) {
    const Response response = ask(path);
    EXPECT_EQ(response.type, "application/json");
    EXPECT_FALSE(Json::parse(response.body).is_discarded());
    const std::map<std::string, std::string> headers(response.headers.begin(), response.headers.end());
    EXPECT_EQ(headers.at("X-Content-Type-Options"), "nosniff");
    EXPECT_THAT(headers.at("Content-Security-Policy"), HasSubstr("default-src 'none'"));
    script = script || response.body.find("<script>") != std::string::npos;
  }
  EXPECT_TRUE(script) << "the test means something";
}

TEST_F(ApiTest, RefusalsHaveTheSafetyHeadersToo) {
  Request request = get("/api/v1/runs");
  request.headers.clear();
  request.headers.emplace("host", "rebound.example:8080");
  const Response response = api_->answer(request);
  EXPECT_EQ(response.status, 403);
  EXPECT_EQ(response.headers.size(), 7U);
  EXPECT_EQ(api_->answer(post("/api/v1/runs", "{}")).status, 405);
  EXPECT_EQ(api_->answer(post("/api/v1/nothing", "{}")).status, 404);
}

}  // namespace
}  // namespace gloss::dashboard
