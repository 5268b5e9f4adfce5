// Scorers that run the subject model again: on texts that an endpoint writes, and steered.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "gloss/base/output_file.h"
#include "gloss/llm/scripted_server.h"
#include "gloss/store/store.h"
#include "shared_run.h"

namespace {

using gloss::llm::Received;
using gloss::llm::ScriptedServer;
using gloss::testing::copy_of_run;

using gloss::testing::kModel;
using gloss::testing::Outcome;
using gloss::testing::run_gloss;
using gloss::testing::TemporaryFolder;
using ::testing::HasSubstr;
using Json = nlohmann::json;

/// What stands in quotes in the description that a request is about, in their order: the tokens of a pattern.
std::vector<std::string> quoted(const Received& request) {
  const std::string message = gloss::llm::last_message(request);
  const std::string tag = "Description: ";
  const std::size_t at = message.find(tag) + tag.size();
  const std::string description = Json::parse(message.substr(at, message.find('\n', at) - at)).get<std::string>();
  std::vector<std::string> found;
  for (std::size_t open = description.find('"'); open != std::string::npos;) {
    const std::size_t end = description.find('"', open + 1);
    if (end == std::string::npos) break;
    found.push_back(description.substr(open + 1, end - open - 1));
    open = description.find('"', end + 1);
  }
  return found;
}

/// Writes ten beginnings of stories with what the description quotes.
gloss::llm::Answer write_texts(const Received& request) {
  const std::vector<std::string> beginnings = {"One day the", "She had a", "There was a little", "They went to the",
                                               "He saw the"};
  const std::vector<std::string> words = quoted(request);
  Json texts = Json::array();
  for (std::size_t i = 0; i < 10; ++i) {
    const std::string word = words.empty() ? "" : words[i % words.size()];
    texts.push_back(beginnings[i % beginnings.size()] + word + (i < 5 ? " and" : " but") + word + ".");
  }
  return gloss::llm::completion("Here they are: " + texts.dump());
}

Json row_of(const Json& summary, const std::string& scorer, const std::string& explainer) {
  for (const Json& row : summary["scores"]) {
    if (row["scorer"] == scorer && row["explainer"] == explainer) return row;
  }
  ADD_FAILURE() << "no row of " << scorer << " and " << explainer;
  return {};
}

class Experiments : public ::testing::Test {
 protected:
  void SetUp() override {
    run_ = copy_of_run(folder_).string();
    const Outcome outcome = run_gloss({"explain", run_, "--latents", "random:30"});
    ASSERT_EQ(outcome.code, 0) << outcome.err;
  }
  TemporaryFolder folder_{"experiments"};
  std::string run_;
};

TEST_F(Experiments, TextsWrittenFromThePatternFireAndThoseOfOtherPatternsDoNot) {
  const ScriptedServer server([](const Received& request, std::size_t) { return write_texts(request); });
  const std::vector<std::string> score = {"score", run_, "--scorer", "generation", "--llm", server.url(), "--json"};
  const Outcome outcome = run_gloss(score);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const Json summary = Json::parse(outcome.out);
  const Json own = row_of(summary, "generation", "pattern"), other = row_of(summary, "generation", "shuffled:pattern");
  EXPECT_EQ(own["score_name"], "texts that fire");
  EXPECT_EQ(own["latents"], 30);
  EXPECT_EQ(own["failed"], 0);
  EXPECT_GT(own["score"]["low"], other["score"]["high"]);
  EXPECT_GT(own["score"]["mean"], own["chance"].get<double>() + 0.2);
  EXPECT_LE(own["measures"]["strong_texts"]["mean"], own["score"]["mean"]);
  EXPECT_EQ(server.count(), 30U) << "another latent's explanation has been asked for already";

  const gloss::store::Store store(run_ + "/results.db");
  for (const auto& row : store.scores("", "pattern", "generation")) {
    const auto& s = row.score;
    EXPECT_EQ(s.fp + s.tn, 10 * (s.tp + s.fn)) << "the same texts through ten other latents";
  }
  EXPECT_EQ(run_gloss({"check", run_}).code, 0);
  const Outcome again = run_gloss(score);
  EXPECT_EQ(Json::parse(again.out), summary);
}

TEST_F(Experiments, InterventionComparesSteeredWithCleanTexts) {
  const std::string prompts = folder_.path() / "prompts";
  std::filesystem::create_directories(prompts);
  gloss::write_file(prompts + "/intervention.txt", "--- user\n{{prompt}}{{continuation}}\n");
  const std::vector<std::string> score = {
      "score",          run_,        "--scorer", "intervention",    "--llm", "native:" + kModel,      "--prompts",
      prompts,          "--latents", "0-400",    "--steer-prompts", "4",     "--steer-prompt-tokens", "6",
      "--steer-tokens", "5",         "--json"};
  const Outcome outcome = run_gloss(score);
  ASSERT_TRUE(outcome.code == 0 || outcome.code == 4) << outcome.err;
  const Json row = row_of(Json::parse(outcome.out), "intervention", "pattern");
  EXPECT_EQ(row["score_name"], "gain in nats a token");
  EXPECT_EQ(row["chance"], 0.0);
  EXPECT_GT(row["latents"], 3);
  EXPECT_EQ(row["judgements"].get<int>(), 8 * row["latents"].get<int>()) << "four prompts, with the control's";
  EXPECT_TRUE(row["score"]["mean"].is_number());
  EXPECT_TRUE(row["measures"]["control_gain"]["mean"].is_number());
}

TEST_F(Experiments, PatternsSimulateTheActivationsAndShuffledOnesDoNot) {
  const Outcome outcome = run_gloss({"score", run_, "--scorer", "simulation", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const Json summary = Json::parse(outcome.out);
  const Json own = row_of(summary, "simulation", "pattern"), other = row_of(summary, "simulation", "shuffled:pattern");
  EXPECT_EQ(own["score_name"], "correlation");
  EXPECT_GT(own["score"]["low"], other["score"]["high"]);
  EXPECT_GT(own["measures"]["r2"]["mean"], 0.0);
  EXPECT_EQ(own["judgements"], 10 * own["latents"].get<int>()) << "five of the strongest windows and five silent ones";
  EXPECT_EQ(run_gloss({"score", run_, "--scorer", "simulation", "--simulate", "random"}).code, 3)
      << "of other windows: another method";
  EXPECT_EQ(run_gloss({"score", run_, "--scorer", "detection", "--simulate", "random"}).code, 0) << "not detection's";
}

TEST_F(Experiments, SayWhatTheyWant) {
  const ScriptedServer server([](const Received& request, std::size_t) { return write_texts(request); });
  Outcome outcome = run_gloss({"score", run_, "--scorer", "generation"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("wants a language model that writes texts"));
  outcome = run_gloss({"score", run_, "--scorer", "intervention", "--llm", server.url()});
  EXPECT_THAT(outcome.err, HasSubstr("how probable a given text is"));
  outcome = run_gloss({"score", run_, "--scorer", "generation", "--llm", server.url(), "--model", "nowhere"});
  EXPECT_THAT(outcome.err, HasSubstr("'nowhere' is not there"));
  std::filesystem::copy(kModel, folder_.path() / "other", std::filesystem::copy_options::recursive);
  const std::string other = folder_.path() / "other";
  Json config = Json::parse(gloss::read_file(other + "/config.json"));
  config["rms_norm_eps"] = 1e-4;
  gloss::write_file(other + "/config.json", config.dump());
  outcome = run_gloss({"score", run_, "--scorer", "generation", "--llm", server.url(), "--model", other});
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.err, HasSubstr("is not the model that layers.2 was cached with"));
}

}  // namespace
