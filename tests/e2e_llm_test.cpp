// The main job with a language model: an endpoint on this machine that answers as a script says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <charconv>
#include <csignal>
#include <filesystem>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "gloss/base/output_file.h"
#include "gloss/llm/scripted_server.h"
#include "run_gloss.h"

namespace {

namespace fs = std::filesystem;
using gloss::llm::Answer;
using gloss::llm::Received;
using gloss::llm::ScriptedServer;
using gloss::testing::Outcome;
using gloss::testing::run_gloss;
using gloss::testing::RunOptions;
using gloss::testing::TemporaryFolder;
using ::testing::HasSubstr;

const std::string kSmall = std::string(GLOSS_SOURCE_DIR) + "/small-model";

/// How many windows a judge's prompt asks about; 0 for an explainer's prompt.
int windows_asked(const Received& request) {
  const std::string message = gloss::llm::last_message(request);
  const std::string tag = "Answer for ";
  const std::size_t at = message.rfind(tag);
  int count = 0;
  if (at != std::string::npos)
    std::from_chars(message.data() + at + tag.size(), message.data() + message.size(), count);
  return count;
}

/// Explains everything alike and says yes to every window. Remembers every body it has answered.
class YesModel {
 public:
  Answer operator()(const Received& request) {
    {
      const std::lock_guard lock(mutex_);
      if (!bodies_.insert(request.body).second) ++repeated_;
    }
    const int windows = windows_asked(request);
    if (windows == 0) return gloss::llm::completion("They share a word.\n[EXPLANATION]: a word of the story");
    std::string verdicts = "[1";
    for (int i = 1; i < windows; ++i) verdicts += ", 1";
    return gloss::llm::completion(verdicts + "]");
  }
  int repeated() const { return repeated_; }

 private:
  std::mutex mutex_;
  std::set<std::string> bodies_;
  std::atomic<int> repeated_{0};
};

void make_run(const fs::path& run) {
  const Outcome outcome = run_gloss({"cache", run.string(), "--model", kSmall + "/model", "--sae", kSmall + "/coder",
                                     "--text", kSmall + "/text.jsonl.zst", "--tokens", "60k", "--ctx-len", "128"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
}

TEST(LlmJob, AJudgeThatAlwaysSaysYesScoresHalf) {
  YesModel model;
  const ScriptedServer server([&](const Received& request, std::size_t) { return model(request); });
  const TemporaryFolder folder("llm");
  const std::string run = (folder.path() / "run").string();
  make_run(run);
  Outcome outcome = run_gloss({"explain", run, "--llm", server.url(), "--latents", "random:12", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["explained"], 12);
  EXPECT_EQ(server.count(), 12U);

  const std::vector<std::string> score = {"score", run, "--llm", server.url(), "--shuffled", "none", "--json"};
  outcome = run_gloss(score);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto summary = nlohmann::json::parse(outcome.out);
  EXPECT_THAT(summary.dump(), HasSubstr("\"mean\":0.5"));
  const std::size_t asked = server.count();

  outcome = run_gloss(score);
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(nlohmann::json::parse(outcome.out), summary);
  EXPECT_EQ(server.count(), asked) << "a second run pays for nothing";
  EXPECT_EQ(model.repeated(), 0);
}

TEST(LlmJob, InterruptedInEachStageNothingIsPaidTwice) {
  YesModel model;
  const ScriptedServer server([&](const Received& request, std::size_t) {
    Answer answer = model(request);
    answer.delay = std::chrono::milliseconds(20);
    return answer;
  });
  const TemporaryFolder folder("llm-stop");
  const std::string run = (folder.path() / "run").string();
  make_run(run);
  const std::vector<std::vector<std::string>> stages = {
      {"explain", run, "--llm", server.url(), "--latents", "random:40", "--in-flight", "4"},
      {"score", run, "--llm", server.url(), "--shuffled", "none", "--in-flight", "4"}};
  for (const auto& stage : stages) {
    RunOptions stop;
    stop.signal = SIGINT;
    stop.signal_after = "latents";
    if (stage.front() == "score") stop.signal_after = "scores";
    stop.progress_as_terminal = true;
    const Outcome cut = run_gloss(stage, stop);
    EXPECT_EQ(cut.code, 130) << cut.err;
    const Outcome outcome = run_gloss(stage);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
  }
  EXPECT_EQ(model.repeated(), 0) << "no body is sent twice after it was answered";
}

TEST(LlmJob, WhatTheModelRefusesIsCountedAndTheRestGoesOn) {
  const ScriptedServer server([](const Received& request, std::size_t nth) {
    if (windows_asked(request) > 0) return gloss::llm::completion("I would rather not say.");
    if (nth % 2 == 0) return gloss::llm::completion("no tag in this answer");
    return gloss::llm::completion("[EXPLANATION]: a word");
  });
  const TemporaryFolder folder("llm-refuse");
  const std::string run = (folder.path() / "run").string();
  make_run(run);
  Outcome outcome =
      run_gloss({"explain", run, "--llm", server.url(), "--latents", "random:10", "--in-flight", "1", "--json"});
  EXPECT_EQ(outcome.code, 4) << outcome.err;
  const auto explained = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(explained["explained"], 5);
  EXPECT_EQ(explained["failed"], 5);
  outcome = run_gloss({"score", run, "--llm", server.url(), "--scorer", "detection", "--shuffled", "none"});
  EXPECT_EQ(outcome.code, 4) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("%"));
}

TEST(LlmJob, EveryExplainerThatAsksExplainsAndItsExplanationsAreScoredApart) {
  const ScriptedServer server([](const Received& request, std::size_t) {
    if (windows_asked(request) > 0) return gloss::llm::completion("[1, 1, 1, 1, 1]");
    return gloss::llm::completion("[INPUT]: a word\n[OUTPUT]: more words\n[EXPLANATION]: a word of the story");
  });
  const TemporaryFolder folder("llm-explainers");
  const std::string run = (folder.path() / "run").string();
  make_run(run);
  const std::vector<std::string> names = {"default", "cot+logits+activations", "contrastive", "single-token",
                                          "max-act-logits"};
  for (const std::string& name : names) {
    const Outcome outcome =
        run_gloss({"explain", run, "--llm", server.url(), "--explainer", name, "--latents", "random:3", "--json"});
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(nlohmann::json::parse(outcome.out)["explained"], 3) << name;
  }
  Outcome outcome = run_gloss({"explain", run, "--explainer", "random", "--of", "max-act-logits", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["explained"], 3);
  outcome = run_gloss({"score", run, "--explainer", "activations+cot+logits", "--llm", server.url(), "--scorer",
                       "detection", "--shuffled", "none", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("activations+cot+logits"));

  const std::string hookpoint = fs::directory_iterator(run + "/latents")->path().filename().string();
  const std::string written = (folder.path() / "human.csv").string();
  gloss::write_file(written, "hookpoint,latent,text\n" + hookpoint + ",3,\"a word, or two\"\n");
  outcome = run_gloss({"explain", run, "--explainer", "human", "--explanations", written, "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["explained"], 1);
  outcome = run_gloss({"show", run, hookpoint, "3"});
  EXPECT_THAT(outcome.out, HasSubstr("a word, or two"));

  outcome = run_gloss({"explain", run, "--explainer", "cot+logit", "--llm", server.url()});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("did you mean 'logits'?"));
  outcome = run_gloss({"explain", run, "--explainer", "cot"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("explainer 'cot' asks a language model, and --llm names none"));
}

}  // namespace
