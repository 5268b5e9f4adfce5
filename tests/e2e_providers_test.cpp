// What a run with a language model costs: planned before, stopped by a budget, paid through a batch file, killed.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <thread>

#include "gloss/base/output_file.h"
#include "gloss/base/random.h"
#include "gloss/llm/client_testing.h"
#include "gloss/llm/protocol.h"
#include "gloss/llm/scripted_server.h"
#include "gloss/store/store.h"
#include "gloss/text/tokenizer.h"
#include "run_gloss.h"
#include "shared_run.h"

namespace {

namespace fs = std::filesystem;
using gloss::llm::Answer;
using gloss::llm::Received;
using gloss::llm::ScriptedServer;
using gloss::testing::Outcome;
using gloss::testing::run_for;
using gloss::testing::run_gloss;
using gloss::testing::TemporaryFolder;
using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kSmall = std::string(GLOSS_SOURCE_DIR) + "/small-model";
constexpr int kWindowsAsked = 5;

/// Counts tokens as the run's tokenizer does, keeps the books, and answers yes to everything.
class CountingModel {
 public:
  CountingModel() : tokenizer_(gloss::text::Tokenizer::load(kSmall + "/model")) {}

  Answer operator()(const Received& request, std::size_t) {
    const json body = json::parse(request.body);
    const std::string last = body["messages"].back()["content"];
    std::size_t tokens = 0;
    for (const json& m : body["messages"])
      tokens += 4 + tokenizer_.encode(m["content"].get<std::string>() + "\n").size();
    const std::size_t at = last.rfind("Answer for ");
    std::string text =
        "[EXPLANATION]: a word of the story of kind " + gloss::llm::hash_of_body(request.body).substr(0, 6);
    if (body.contains("logprobs")) text = "1";
    if (at != std::string::npos) text = answers(std::atoi(last.c_str() + at + 11));
    const std::size_t output = at != std::string::npos ? 2 * kWindowsAsked + 2 : body.contains("logprobs") ? 1 : 30;
    json reply = {{"choices", {{{"message", {{"content", text}}}}}},
                  {"usage", {{"prompt_tokens", tokens}, {"completion_tokens", output}}}};
    if (body.contains("logprobs") && tells_probabilities)
      reply["choices"][0]["logprobs"]["content"] = {
          {{"top_logprobs", {{{"token", "1"}, {"logprob", -0.1}}, {{"token", "0"}, {"logprob", -2.4}}}}}};
    Answer answer;
    answer.body = reply.dump();
    const std::lock_guard lock(mutex_);
    seen_.push_back(gloss::llm::hash_of_body(request.body));
    prompt_tokens += tokens;
    output_tokens += output;
    return answer;
  }
  std::vector<std::string> seen() const {
    const std::lock_guard lock(mutex_);
    return seen_;
  }
  std::size_t repeated() const {
    const std::vector<std::string> all = seen();
    return all.size() - std::set<std::string>(all.begin(), all.end()).size();
  }

  std::size_t prompt_tokens = 0, output_tokens = 0;
  bool tells_probabilities = false;

 private:
  static std::string answers(int windows) {
    std::string text = "[1";
    for (int i = 1; i < windows; ++i) text += ", 1";
    return text + "]";
  }
  gloss::text::Tokenizer tokenizer_;
  mutable std::mutex mutex_;
  std::vector<std::string> seen_;
};

std::string make_run(const TemporaryFolder& folder) {
  const std::string run = (folder.path() / "run").string();
  const Outcome outcome =
      run_gloss({"cache", run, "--model", kSmall + "/model", "--sae", kSmall + "/coder", "--text",
                 kSmall + "/text.jsonl.zst", "--tokens", "30k", "--ctx-len", "128", "--no-weights"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  return run;
}

json row_of(const json& plan, const std::string& stage, const std::string& way) {
  for (const json& row : plan["rows"]) {
    if (row["stage"] == stage && row["way"].get<std::string>().starts_with(way)) return row;
  }
  ADD_FAILURE() << "no row " << stage << " " << way;
  return {};
}

double prompts_of(const json& row) { return row["shared_tokens"].get<double>() + row["own_tokens"].get<double>(); }

/// GLOSS_PLAN_LATENTS: how many latents, for larger comparisons.
TEST(Providers, ThePlanIsWhatIsUsedAndWhatIsPaidIsNotPlannedAgain) {
  const char* wanted = std::getenv("GLOSS_PLAN_LATENTS");
  const std::string latents = fmt::format("random:{}", wanted == nullptr ? "8" : wanted);
  const TemporaryFolder folder("plan");
  const std::string cached = make_run(folder);
  for (const bool by_probability : {false, true}) {
    CountingModel model;
    model.tells_probabilities = by_probability;
    const ScriptedServer server(std::ref(model));
    const std::string way = by_probability ? "probabilities" : "text";
    const std::string run = (folder.path() / way).string();
    fs::copy(cached, run, fs::copy_options::recursive);
    const std::vector<std::string> ask = {"--llm", server.url(), "--llm-model", "test-model"};
    const auto with = [&](std::vector<std::string> command) {
      command.insert(command.end(), ask.begin(), ask.end());
      return run_gloss(command);
    };
    const std::vector<std::string> plan = {"plan",     run,     "--latents", latents, "--shuffled", "0",
                                           "--prices", "1,1,4", "--sample",  "50",    "--json"};
    Outcome outcome = with(plan);
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    const json planned = json::parse(outcome.out);
    EXPECT_EQ(server.count(), 0U) << "nothing is sent";

    outcome = with({"explain", run, "--latents", latents});
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    const json explain = row_of(planned, "explain", "");
    const auto compare = [&](const char* stage, const json& row, std::size_t calls, std::size_t prompts,
                             std::size_t output) {
      std::cout << fmt::format("{} by {}: planned {:.0f} requests, {:.0f} + {:.0f} tokens; used {}, {} + {}\n", stage,
                               way, row["calls"].get<double>(), prompts_of(row), row["output_tokens"].get<double>(),
                               calls, prompts, output);
      EXPECT_NEAR(row["calls"].get<double>() / static_cast<double>(calls), 1.0, wanted == nullptr ? 0.05 : 0.1);
      EXPECT_NEAR(prompts_of(row) / static_cast<double>(prompts), 1.0, wanted == nullptr ? 0.05 : 0.1);
      EXPECT_NEAR(row["output_tokens"].get<double>() / static_cast<double>(output), 1.0,
                  wanted == nullptr ? 0.05 : 0.1);
    };
    compare("explain", explain, server.count(), model.prompt_tokens, model.output_tokens);
    const std::size_t calls = server.count(), prompts = model.prompt_tokens, output = model.output_tokens;

    outcome = with({"score", run, "--shuffled", "none"});
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(by_probability ? "log-probabilities yes" : "log-probabilities no"));
    EXPECT_THAT(outcome.err, HasSubstr("paid so far: score by " + server.url()));
    json scoring = row_of(planned, "detection", way);
    const json fuzz = row_of(planned, "fuzz", way);
    for (const char* key : {"calls", "shared_tokens", "own_tokens", "output_tokens"})
      scoring[key] = scoring[key].get<double>() + fuzz[key].get<double>();
    compare("score", scoring, server.count() - calls, model.prompt_tokens - prompts, model.output_tokens - output);

    outcome = with(plan);
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(row_of(json::parse(outcome.out), "total", "judged by " + way)["calls"], 0.0);
    EXPECT_EQ(model.repeated(), 0U);
  }
}

TEST(Providers, EveryScorerIsPlannedAsItAsks) {
  const ScriptedServer server([](const Received& r, std::size_t) {
    if (r.path == "/v1/embeddings")
      return gloss::llm::raw(R"({"data":[{"embedding":[1,2]}],"usage":{"prompt_tokens":3}})");
    const json body = json::parse(r.body);
    if (r.path == "/v1/chat/completions") {
      const bool writes = body.dump().find("texts") != std::string::npos && body["max_tokens"] == 2048;
      return gloss::llm::completion(writes ? R"(["a dog", "a cat"])" : "[1]");
    }
    const std::string prompt = body["prompt"];
    const json read{{"tokens", {prompt.substr(0, 9), prompt.substr(9), "."}}, {"token_logprobs", {nullptr, -1, -1}}};
    return gloss::llm::raw(json{{"choices", {{{"text", prompt + "."}, {"logprobs", read}}}}}.dump());
  });
  const TemporaryFolder folder("scorers");
  const std::string run = gloss::testing::copy_of_run(folder).string();
  ASSERT_EQ(run_gloss({"explain", run, "--explainer", "pattern", "--latents", "random:6"}).code, 0);
  const auto planned = [&](const std::string& scorer) {
    return json::parse(run_gloss({"plan", run, "--scorer", scorer, "--latents", "random:6", "--shuffled", "0",
                                  "--sample", "50", "--json"})
                           .out);
  };
  struct Case {
    const char* scorer;
    const char* way;
    std::vector<std::string> how;
    std::size_t probes = 0;  // requests that find out what the server can do
  };
  const std::vector<std::string> by_text = {"--judge",   "llm",  "--llm",        server.url(),
                                            "--answers", "text", "--per-prompt", "1"};
  const std::vector<std::string> reads = {"--llm", server.url(), "--dialect", "openai-completions"};
  const std::vector<Case> cases = {{"intruder", "text", by_text},
                                   {"forced-choice", "text", by_text},
                                   {"generation", "text", by_text},
                                   {"surprisal", "probability", reads, 1},
                                   {"embedding", "embeddings", {"--embedder", server.url()}}};
  for (const Case& c : cases) {
    const double calls = row_of(planned(c.scorer), c.scorer, c.way)["calls"];
    const std::size_t before = server.count();
    std::vector<std::string> score = {"score", run, "--scorer", c.scorer, "--shuffled", "none"};
    score.insert(score.end(), c.how.begin(), c.how.end());
    const Outcome outcome = run_gloss(score);
    ASSERT_TRUE(outcome.code == 0 || outcome.code == 4) << c.scorer << outcome.err;
    const auto used = static_cast<double>(server.count() - before - c.probes);
    EXPECT_GT(used, 0.0) << c.scorer << outcome.err;
    // Patterns differ in length from the words that stand for explanations; some requests are alike, and sent once.
    EXPECT_NEAR(calls / used, 1.0, 0.05) << c.scorer;
  }
}

TEST(Providers, ServersThatCannotReadTextsAreNamed) {
  const ScriptedServer server(
      [](const Received&, std::size_t) { return gloss::llm::raw(R"({"choices":[{"text":"x"}]})"); });
  const TemporaryFolder folder("reads");
  const std::string run = gloss::testing::copy_of_run(folder).string();
  ASSERT_EQ(run_gloss({"explain", run, "--explainer", "pattern", "--latents", "random:2"}).code, 0);
  const Outcome outcome =
      run_gloss({"score", run, "--scorer", "surprisal", "--llm", server.url(), "--dialect", "openai-completions"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("does not say how probable a given text is"));
  EXPECT_EQ(server.count(), 1U);
}

/// The vector of a text: how often each of four letters stands in it.
gloss::llm::Answer embedding_by_letters(const Received& r) {
  const std::string text = json::parse(r.body)["input"];
  json vector = json::array();
  for (const char letter : {'e', 'a', 's', 't'}) vector.push_back(1 + std::count(text.begin(), text.end(), letter));
  return gloss::llm::raw(json{{"data", {{{"embedding", vector}}}}, {"usage", {{"prompt_tokens", 7}}}}.dump());
}

TEST(Providers, ExplanationsAreEmbeddedByAServerOnce) {
  const ScriptedServer server([](const Received& r, std::size_t) { return embedding_by_letters(r); });
  const TemporaryFolder folder("embed-served");
  const std::string run = gloss::testing::copy_of_run(folder).string();
  ASSERT_EQ(run_gloss({"explain", run, "--explainer", "pattern", "--latents", "random:8"}).code, 0);
  const std::vector<std::string> embed = {"embed", run, "--embedder", server.url() + "#test-model"};
  Outcome outcome = run_gloss(embed);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("embedded by test-model"));
  const std::size_t asked = server.count();
  EXPECT_GE(asked, 4U);
  outcome = run_gloss(embed);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("0 of them now"));
  EXPECT_LE(server.count(), asked + 2) << "all were asked again, and not the width alone";
}

TEST(Providers, WindowsNearInMeaningComeFromAServerOnce) {
  const ScriptedServer server([](const Received& r, std::size_t) { return embedding_by_letters(r); });
  const TemporaryFolder folder("semantic");
  const std::string run = gloss::testing::copy_of_run(folder).string();
  const std::vector<std::string> explain = {
      "explain",     run,        "--explainer",     "pattern", "--latents",         "random:4",
      "--negatives", "semantic", "--semantic-pool", "300",     "--embedding-model", server.url() + "#test-model"};
  Outcome outcome = run_gloss(explain);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const std::size_t asked = server.count();
  EXPECT_GE(asked, 300U);
  outcome = run_gloss({"score", run, "--scorer", "detection"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("silent windows: semantic"));
  EXPECT_EQ(server.count(), asked) << "every vector is kept";
}

/// Whether any file below `folder` holds `secret`.
bool holds(const fs::path& folder, const std::string& secret) {
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file() && gloss::read_file(entry.path()).find(secret) != std::string::npos) return true;
  }
  return false;
}

TEST(Providers, ABudgetStopsAndResumesAndTheKeyStaysSecret) {
  CountingModel model;
  const std::string secret = "sk-secret-0123456789abcdef";
  std::size_t with_key = 0;
  const ScriptedServer server([&](const Received& request, std::size_t nth) {
    with_key += request.headers.at("authorization") == "Bearer " + secret ? 1 : 0;
    return nth == 1 ? gloss::llm::error_answer(400, "I do not like " + secret) : model(request, nth);
  });
  const TemporaryFolder folder("budget");
  const std::string run = make_run(folder);
  const std::string providers = (folder.path() / "providers.toml").string();
  gloss::write_file(providers,
                    fmt::format("[mine]\nurl = \"{}\"\nkey_env = \"GLOSS_TEST_KEY\"\nin_flight = 4\n[mine.prices]\n"
                                "input = 1\noutput = 4\n",
                                server.url()));
  const std::vector<std::string> explain = {"explain", run,           "--latents", "random:16",  "--llm",
                                            "mine",    "--providers", providers,   "--max-cost", "0.03"};
  ::unsetenv("GLOSS_TEST_KEY");
  Outcome outcome = run_gloss(explain);
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("GLOSS_TEST_KEY is not set"));
  ::setenv("GLOSS_TEST_KEY", secret.c_str(), 1);
  int stops = 0;
  std::string said;
  for (int i = 0; i < 20; ++i) {
    outcome = run_gloss(explain);
    said += outcome.err + outcome.out;
    if (outcome.code != 130) break;
    EXPECT_THAT(outcome.err, HasSubstr("of $0.03 are spent"));
    EXPECT_THAT(outcome.err, HasSubstr("run the same command again to go on"));
    ++stops;
  }
  ::unsetenv("GLOSS_TEST_KEY");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_GE(stops, 1);
  EXPECT_EQ(server.count(), 17U) << "one refused, and asked again";
  EXPECT_EQ(with_key, 17U);
  EXPECT_EQ(model.repeated(), 0U);
  EXPECT_THAT(said, HasSubstr("paid so far: explain by mine: 16 replies"));
  EXPECT_THAT(said, Not(HasSubstr(secret)));
  EXPECT_FALSE(holds(folder.path(), secret));
  outcome = run_gloss({"explain", run, "--llm", "mien", "--providers", providers});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("did you mean 'mine'?"));
}

TEST(Providers, ABatchFileIsPaidForElsewhereAndFoundHere) {
  CountingModel model;
  ScriptedServer server(std::ref(model));
  const TemporaryFolder folder("batch");
  const std::string run = make_run(folder);
  const std::string out = (folder.path() / "requests.jsonl").string(), in = (folder.path() / "results.jsonl").string();
  const auto batch = [&](std::vector<std::string> command, bool answered) {
    command.insert(command.end(), {"--llm", server.url(), "--llm-model", "test-model"});
    std::vector<std::string> write = command, read = command;
    write.insert(write.end(), {"--batch-out", out});
    Outcome outcome = run_gloss(write);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    std::ifstream lines(out);
    std::ofstream results(in);
    std::size_t count = 0;
    for (std::string line; std::getline(lines, line); ++count) {
      const json request = json::parse(line);
      const json body = json::parse(model({"POST", "", request["body"].dump(), {}}, 0).body);
      results << json{{"custom_id", request["custom_id"]}, {"response", {{"status_code", 200}, {"body", body}}}}
              << "\n";
    }
    results.close();
    EXPECT_EQ(count > 0, answered);
    read.insert(read.end(), {"--batch-in", in});
    outcome = run_gloss(read);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(fmt::format("results.jsonl: {} answered, 0 failed", count)));
    outcome = run_gloss(command);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(fmt::format("{} from the store, 0 retried, 0 failed", count)));
    EXPECT_EQ(server.count(), 0U) << "the batch paid for all";
  };
  batch({"explain", run, "--latents", "random:8"}, true);
  batch({"score", run, "--shuffled", "none", "--answers", "text"}, true);
  EXPECT_EQ(model.repeated(), 0U);
}

/// GLOSS_KILLS: how many.
TEST(Providers, KilledAtRandomMomentsNoStoredAnswerIsAskedForAgain) {
  const char* wanted = std::getenv("GLOSS_KILLS");
  const int kills = wanted == nullptr ? 5 : std::atoi(wanted);
  CountingModel model;
  const ScriptedServer server([&](const Received& request, std::size_t nth) {
    Answer answer = model(request, nth);
    answer.delay = std::chrono::milliseconds(25);
    return answer;
  });
  const TemporaryFolder folder("kill");
  const std::string run = make_run(folder);
  gloss::Random random = gloss::Random::for_purpose(3, "kills");
  std::set<std::string> stored;
  std::size_t looked_at = 0, again = 0;
  int killed = 0;
  // Every answer that is in the store when a command begins must not be asked for by it.
  const auto settle = [&] {
    const std::vector<std::string> seen = model.seen();
    for (; looked_at < seen.size(); ++looked_at) again += stored.contains(seen[looked_at]) ? 1 : 0;
    if (!fs::exists(run + "/results.db")) return;
    gloss::store::Store store(run + "/results.db");
    for (const std::string& hash : seen) {
      if (store.find(hash)) stored.insert(hash);
    }
  };
  const auto stage = [&](std::vector<std::string> command, int most) {
    command.insert(command.end(), {"--llm", server.url(), "--in-flight", "2"});
    int code = -1;
    for (int i = 0;; ++i) {
      const std::uint64_t time = i < most ? 350 + random.below(500) : 600'000;
      const bool ended = run_for(command, std::chrono::milliseconds(time), &code);
      settle();
      if (ended) break;
      ++killed;
    }
    EXPECT_EQ(code, 0);
  };
  stage({"explain", run, "--latents", fmt::format("random:{}", 24 * kills)}, kills / 2);
  stage({"score", run, "--latents", fmt::format("random:{}", 1 + kills / 2), "--shuffled", "none"}, kills - kills / 2);
  EXPECT_EQ(again, 0U);
  EXPECT_GE(killed, kills / 2);
  EXPECT_LE(model.repeated(), static_cast<std::size_t>(2 * killed)) << "only what was on the wire at a kill";
  std::cout << fmt::format("{} kills: {} requests, {} of them twice because a kill took the answer\n", killed,
                           server.count(), model.repeated());
}

}  // namespace
