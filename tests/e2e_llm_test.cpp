// The main job with a language model: an endpoint on this machine that answers as a script says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <charconv>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "gloss/base/output_file.h"
#include "gloss/llm/scripted_server.h"
#include "shared_run.h"

namespace {

namespace fs = std::filesystem;
using gloss::llm::Answer;
using gloss::llm::Received;
using gloss::llm::ScriptedServer;
using gloss::testing::copy_cached_run;
using gloss::testing::kSmall;
using gloss::testing::Outcome;
using gloss::testing::run_gloss;
using gloss::testing::RunOptions;
using gloss::testing::TemporaryFolder;
using ::testing::HasSubstr;

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

TEST(LlmJob, AJudgeThatAlwaysSaysYesScoresHalf) {
  YesModel model;
  const ScriptedServer server([&](const Received& request, std::size_t) { return model(request); });
  const TemporaryFolder folder("llm");
  const std::string run = (folder.path() / "run").string();
  copy_cached_run(run);
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
  copy_cached_run(run);
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
  copy_cached_run(run);
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

TEST(LlmJob, ThePresetOfCircuitsIsItsFlags) {
  const ScriptedServer server(
      [](const Received&, std::size_t) { return gloss::llm::completion("[EXPLANATION]: a word of the story"); });
  const TemporaryFolder folder("preset");
  const std::string run = (folder.path() / "run").string();
  copy_cached_run(run);
  const std::vector<std::string> explain = {"explain", run, "--llm", server.url(), "--latents", "random:2"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), explain.begin(), explain.end());
    return run_gloss(more);
  };
  Outcome outcome = with({"--preset", "circuits"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("did you mean 'circuit'?"));
  ASSERT_EQ(with({"--preset", "circuit"}).code, 0);
  ASSERT_EQ(server.count(), 2U);
  ASSERT_EQ(with({"--explainer", "cot+logits", "--tau", "0.7"}).code, 0);
  EXPECT_EQ(server.count(), 2U) << "the same requests";
  EXPECT_EQ(with({"--explainer", "cot+logits"}).code, 3) << "the run's marks are at 0.7";
}

TEST(LlmJob, EveryExplainerThatAsksExplainsAndItsExplanationsAreScoredApart) {
  const ScriptedServer server([](const Received& request, std::size_t) {
    if (windows_asked(request) > 0) return gloss::llm::completion("[1, 1, 1, 1, 1]");
    return gloss::llm::completion("[INPUT]: a word\n[OUTPUT]: more words\n[EXPLANATION]: a word of the story");
  });
  const TemporaryFolder folder("llm-explainers");
  const std::string run = (folder.path() / "run").string();
  copy_cached_run(run);
  const std::vector<std::string> names = {"default",      "cot+logits+activations", "contrastive",
                                          "single-token", "max-act-logits",         "vocab-proj"};
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

  outcome = run_gloss({"explain", run, "--explainer", "refine", "--of", "cot", "--llm", server.url(), "--latents",
                       "density:0.02..1,random:2", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["explainer"], "refine:cot");
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["explained"], 2);
  EXPECT_THAT(outcome.err, HasSubstr("balanced accuracy on the refine windows 0.500")) << "the judge says yes to all";

  outcome = run_gloss({"explain", run, "--explainer", "cot+logit", "--llm", server.url()});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("did you mean 'logits'?"));
  outcome = run_gloss({"explain", run, "--explainer", "cot"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("explainer 'cot' asks a language model, and --llm names none"));
}

/// small-model as a language model: it is told that it may read long prompts, and talks nonsense.
fs::path make_native(const fs::path& folder) {
  fs::create_directories(folder);
  for (const char* file : {"model.safetensors", "tokenizer.json"})
    fs::create_symlink(fs::path(kSmall) / "model" / file, folder / file);
  std::ifstream in(fs::path(kSmall) / "model/config.json");
  nlohmann::json config = nlohmann::json::parse(in);
  config["max_position_embeddings"] = 4096;
  std::ofstream(folder / "config.json") << config;
  return folder;
}

TEST(NativeJob, JudgesByProbabilityGoesOnAfterAnInterruptAndComputesNothingTwice) {
  const TemporaryFolder folder("native");
  const std::string run = (folder.path() / "run").string(), cut_run = (folder.path() / "cut").string();
  const std::string native = "native:" + make_native(folder.path() / "chat").string();
  copy_cached_run(run);
  Outcome outcome = run_gloss({"explain", run, "--explainer", "pattern", "--latents", "random:6"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  fs::copy(run, cut_run, fs::copy_options::recursive);
  const auto score = [&](const std::string& where) {
    return std::vector<std::string>{"score",      where,  "--judge",     "llm", "--llm", native,
                                    "--shuffled", "none", "--in-flight", "2",   "--json"};
  };
  outcome = run_gloss(score(run));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr(" of them computed"));
  const auto summary = nlohmann::json::parse(outcome.out);
  ASSERT_EQ(summary["scores"].size(), 2U);
  for (const auto& row : summary["scores"]) {
    EXPECT_EQ(row["failed"], 0);
    EXPECT_GE(row["judgements"], 200);
    EXPECT_GT(row["auc"]["mean"], 0.0) << "every judgement has a probability";
    EXPECT_LT(row["auc"]["mean"], 1.0);
  }

  outcome = run_gloss(score(run));
  EXPECT_EQ(nlohmann::json::parse(outcome.out), summary);
  std::vector<std::string> redo = score(run);
  redo.emplace_back("--redo");
  outcome = run_gloss(redo);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(nlohmann::json::parse(outcome.out), summary) << "the replies are kept with their probabilities";
  EXPECT_THAT(outcome.err, ::testing::Not(HasSubstr("computed")));

  RunOptions stop;
  stop.signal = SIGINT;
  stop.signal_after = "scores";
  stop.progress_as_terminal = true;
  outcome = run_gloss(score(cut_run), stop);
  EXPECT_EQ(outcome.code, 130) << outcome.err;
  outcome = run_gloss(score(cut_run));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto resumed = nlohmann::json::parse(outcome.out);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(resumed["scores"][i]["judgements"], summary["scores"][i]["judgements"]);
    EXPECT_NEAR(resumed["scores"][i]["auc"]["mean"], summary["scores"][i]["auc"]["mean"].get<double>(), 1e-3);
  }
}

TEST(NativeJob, RepliesWithoutAnExplanationAreCountedAndBadOptionsNamed) {
  const TemporaryFolder folder("native-explain");
  const std::string run = (folder.path() / "run").string();
  const fs::path chat = make_native(folder.path() / "chat");
  Outcome outcome = run_gloss({"doctor", "--llm", "native:" + chat.string()});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("chat@"));
  EXPECT_THAT(outcome.out, HasSubstr("none: System, User and Assistant with a colon"));
  copy_cached_run(run);
  outcome = run_gloss({"explain", run, "--llm", "native:" + chat.string(), "--latents", "random:3", "--json"});
  EXPECT_EQ(outcome.code, 4) << outcome.err;
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["failed"], 3);
  EXPECT_THAT(outcome.err, HasSubstr("3 requests (0 from the store, 0 retried, 0 failed)"));
  outcome = run_gloss({"explain", run, "--llm", "native:/no/such/model"});
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.err, HasSubstr("/no/such/model: is no folder, wanted a Hugging Face model folder"));
  outcome = run_gloss({"explain", run, "--llm", "native:" + chat.string(), "--llm-model", "x"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("the folder says which model it is: leave --llm-model out"));
}

}  // namespace
