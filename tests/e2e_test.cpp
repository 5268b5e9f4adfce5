// The main job end to end, as a user runs it, on the project's own small model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

#include "gloss/base/output_file.h"
#include "shared_run.h"

namespace {

namespace fs = std::filesystem;
using gloss::testing::cache_command;
using gloss::testing::cached_run;
using gloss::testing::content;
using gloss::testing::copy_of_run;
using gloss::testing::kCoder;
using gloss::testing::kIndex;
using gloss::testing::kModel;
using gloss::testing::kSmall;
using gloss::testing::kText;
using gloss::testing::Outcome;
using gloss::testing::run_gloss;
using gloss::testing::RunOptions;
using gloss::testing::TemporaryFolder;
using ::testing::HasSubstr;

std::vector<std::string> short_cache(const std::string& run, std::vector<std::string> more) {
  std::vector<std::string> args = {"cache", run,        "--model", kModel,      "--text",
                                   kText,   "--tokens", "10k",     "--ctx-len", "128"};
  args.insert(args.end(), more.begin(), more.end());
  return args;
}

TEST(Cache, MeasuresTheCoderAndUsesThePlaceThatItsFolderNames) {
  const TemporaryFolder folder("gloss-e2e");
  const std::string run = (folder.path() / "run").string();
  const Outcome outcome = run_gloss(short_cache(run, {"--sae", kCoder + "/layers.2"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("layers.2: FVU 0.0"));
  EXPECT_THAT(outcome.err, HasSubstr("(K 6), mean input norm"));
  EXPECT_THAT(content(folder.path() / "run/latents/layers.2/coder.json"), HasSubstr("\"warnings\": []"));
}

TEST(Cache, WarnsOfAnotherHookpointAndOfACoderThatDoesNotFit) {
  const TemporaryFolder folder("gloss-e2e");
  const std::string run = (folder.path() / "run").string();
  const Outcome outcome = run_gloss(short_cache(run, {"--sae", kCoder + "/layers.2", "--hookpoint", "layers.0.mlp"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err,
              HasSubstr("the coder's files say it belongs to 'layers.2', and it is used at 'layers.0.mlp'"));
  EXPECT_THAT(outcome.err, HasSubstr("latents fire on a token, far from the 6 that it was trained for"));
  EXPECT_THAT(content(folder.path() / "run/latents/layers.0.mlp/coder.json"), HasSubstr("far from the 6"));
}

TEST(Cache, NamesTheHookpointsThatACodersWidthFits) {
  const TemporaryFolder folder("gloss-e2e");
  const Outcome outcome = run_gloss(short_cache((folder.path() / "run").string(),
                                                {"--sae", kCoder + "/layers.2", "--hookpoint", "layers.1.mlp.hidden"}));
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.err, HasSubstr("reads vectors of width 128, but the model gives 352 there"));
  EXPECT_THAT(outcome.err, HasSubstr("its width is that of layers.1.input, "));
}

TEST(Cache, NeuronsAreLatentsOfBothSigns) {
  const TemporaryFolder folder("gloss-e2e");
  const Outcome outcome = run_gloss(
      short_cache((folder.path() / "run").string(), {"--sae", "neurons", "--hookpoint", "layers.1.mlp.hidden"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("layers.1.mlp.hidden: 704 latents"));
  EXPECT_EQ(
      run_gloss(short_cache((folder.path() / "r").string(), {"--sae", "neurons", "--hookpoint", "layers.1"})).code, 2);
}

TEST(EndToEnd, CacheExplainScoreReportShow) {
  const TemporaryFolder folder("whole");
  const fs::path run = copy_of_run(folder);
  Outcome outcome = run_gloss({"explain", run.string(), "--latents", "random:40", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto explained = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(explained["explained"], 40);
  EXPECT_EQ(explained["failed"], 0);

  outcome = run_gloss({"score", run.string(), "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto summary = nlohmann::json::parse(outcome.out);
  EXPECT_THAT(outcome.out, HasSubstr("shuffled:pattern"));
  EXPECT_THAT(summary.dump(), HasSubstr("balanced_accuracy"));

  outcome = run_gloss({"report", run.string()});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("report/index.html"));
  const std::string page = content(run / "report/index.html");
  EXPECT_THAT(page, HasSubstr("<!doctype html>"));
  for (const char* loading : {"src=\"http", "href=\"http", "url(http", "@import", "fetch("})
    EXPECT_EQ(page.find(loading), std::string::npos) << "the page loads nothing, but holds " << loading;
  EXPECT_EQ(nlohmann::json::parse(content(run / "report/summary.json")), summary);

  const std::string csv = content(run / "report/scores.csv");
  const std::size_t line = csv.find('\n') + 1;
  const std::size_t comma = csv.find(',', line);
  const std::string latent = csv.substr(comma + 1, csv.find(',', comma + 1) - comma - 1);
  outcome = run_gloss({"show", run.string(), "layers.2", latent});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("pattern"));
  EXPECT_THAT(outcome.out, HasSubstr("detection"));
}

TEST(EndToEnd, OtherScorersStandBesideDetectionAndAskNoWindowOfTheExplainer) {
  const TemporaryFolder folder("scorers");
  const fs::path run = copy_of_run(folder);
  ASSERT_EQ(run_gloss({"explain", run.string(), "--latents", "random:40"}).code, 0);
  const std::vector<std::string> command{
      "score",      run.string(), "--scorer", "detection",  "--scorer",
      "neighbours", "--scorer",   "intruder", "--scorer",   "forced-choice",
      "--scorer",   "embedding",  "--json",   "--embedder", std::string(GLOSS_SOURCE_DIR) + "/tests/golden/bert"};
  const Outcome outcome = run_gloss(command);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto summary = nlohmann::json::parse(outcome.out);
  const auto value = [&](const std::string& scorer, const std::string& explainer, const std::string& measure) {
    for (const auto& row : summary["scores"]) {
      if (row["scorer"] == scorer && row["explainer"] == explainer) return row[measure]["mean"].get<double>();
    }
    ADD_FAILURE() << "no " << scorer << " of " << explainer;
    return 0.0;
  };
  EXPECT_GT(value("neighbours", "pattern", "balanced_accuracy"), 0.6);
  EXPECT_GT(value("intruder", "pattern", "recall"), 0.5);
  EXPECT_GT(value("forced-choice", "pattern", "recall"), 0.7);
  EXPECT_LT(value("forced-choice", "shuffled:pattern", "recall"), 0.5);
  EXPECT_LT(value("intruder", "shuffled:pattern", "recall"), value("intruder", "pattern", "recall"));
  EXPECT_NEAR(value("embedding", "shuffled:pattern", "auc"), 0.5, 0.15);

  EXPECT_EQ(run_gloss(command).out, outcome.out) << "nothing is judged twice";
  const Outcome refused = run_gloss({"score", run.string(), "--scorer", "surprisal"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, HasSubstr("add --llm native:DIR"));
}

TEST(EndToEnd, CacheSaysWhatLatentsWriteAndShowShowsIt) {
  const TemporaryFolder folder("writes");
  const fs::path run = copy_of_run(folder);
  const fs::path weights = run / "latents/layers.2/weights.safetensors";
  ASSERT_TRUE(fs::exists(weights));
  const std::string before = content(weights);
  ASSERT_EQ(run_gloss({"explain", run.string(), "--latents", "random:20"}).code, 0);
  Outcome outcome = run_gloss({"explain", run.string(), "--latents", "random:20", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  ASSERT_EQ(run_gloss({"score", run.string()}).code, 0);
  ASSERT_EQ(run_gloss({"report", run.string()}).code, 0);
  const std::string csv = content(run / "report/scores.csv");
  const std::size_t line = csv.find('\n') + 1;
  const std::size_t comma = csv.find(',', line);
  const std::string latent = csv.substr(comma + 1, csv.find(',', comma + 1) - comma - 1);
  outcome = run_gloss({"show", run.string(), "layers.2", latent});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  for (const char* wanted : {"promotes", "suppresses", "writes like", "reads like", "kurtosis"})
    EXPECT_THAT(outcome.out, HasSubstr(wanted));
  outcome = run_gloss({"show", run.string(), "layers.2", latent, "--json"});
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["weights"]["promoted"].size(), 10U);
  EXPECT_THAT(content(run / "report/index.html"), HasSubstr("\"promotes\""));

  // A run without the file is shown without it; the same cache command adds it, with the same bytes.
  fs::remove(weights);
  outcome = run_gloss({"show", run.string(), "layers.2", latent});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out.find("promotes"), std::string::npos);
  std::vector<std::string> command = cache_command(run.string());
  command.emplace_back("--no-weights");
  outcome = run_gloss(command);
  EXPECT_THAT(outcome.err, HasSubstr("already cached, nothing to do"));
  EXPECT_FALSE(fs::exists(weights));
  outcome = run_gloss(cache_command(run.string()));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("promoted and suppressed tokens (direct path)"));
  EXPECT_EQ(content(weights), before);

  fs::resize_file(weights, fs::file_size(weights) - 5);
  outcome = run_gloss({"show", run.string(), "layers.2", latent});
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.err, HasSubstr("weights.safetensors"));
}

TEST(EndToEnd, ResultsDoNotDependOnThreads) {
  std::vector<std::string> summaries;
  for (const char* threads : {"1", "2"}) {
    const TemporaryFolder folder("threads");
    const fs::path run = copy_of_run(folder);
    ASSERT_EQ(run_gloss({"explain", run.string(), "--latents", "random:30", "--threads", threads}).code, 0);
    const Outcome outcome = run_gloss({"score", run.string(), "--threads", threads, "--json"});
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    summaries.push_back(outcome.out);
  }
  EXPECT_EQ(summaries[0], summaries[1]);
}

TEST(EndToEnd, ADoneStageIsSkipped) {
  const Outcome outcome = run_gloss(cache_command(cached_run().string()));
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.err, HasSubstr("already cached, nothing to do"));
}

TEST(EndToEnd, OtherInputsAreRefusedAndNamed) {
  const Outcome outcome = run_gloss(cache_command(cached_run().string(), "50k"));
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.err, HasSubstr("tokens: was 60000, is 50000"));
}

TEST(EndToEnd, ARunFileDoesAllStagesAndItsRunTomlDoesThemAgain) {
  const TemporaryFolder folder("toml");
  std::ofstream(folder.path() / "job.toml")
      << "run = \"out\"\n[cache]\nmodel = \"" << kModel << "\"\nsae = \"" << kCoder << "\"\ntext = [\"" << kText
      << "\"]\nctx-len = 128\ntokens = \"60k\"\n"
      << "[explain]\nlatents = \"random:20\"\n[score]\n[report]\n";
  RunOptions here;
  here.folder = folder.path();
  Outcome outcome = run_gloss({"run", "job.toml"}, here);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_TRUE(fs::exists(folder.path() / "out/report/index.html"));
  EXPECT_THAT(content(folder.path() / "out/run.toml"), HasSubstr("memory = 1073741824")) << "defaults are written out";
  const std::string first = content(folder.path() / "out/report/summary.json");
  outcome = run_gloss({"run", "out/run.toml"}, here);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("already cached, nothing to do"));
  EXPECT_EQ(content(folder.path() / "out/report/summary.json"), first);
}

TEST(Interrupted, CacheGoesOnAndEndsWithTheSameBytes) {
  const TemporaryFolder folder("interrupt");
  const std::string whole = (folder.path() / "whole").string();
  const std::string cut = (folder.path() / "cut").string();
  ASSERT_EQ(run_gloss(cache_command(whole, "300k")).code, 0);
  RunOptions stop;
  stop.signal_after = "cache: ";  // its first progress line
  stop.progress_as_terminal = true;
  for (const int signal : {SIGINT, SIGKILL}) {
    stop.signal = signal;
    const Outcome outcome = run_gloss(cache_command(cut, "300k"), stop);
    if (signal == SIGINT) {
      EXPECT_EQ(outcome.code, 130);
      EXPECT_THAT(outcome.err, HasSubstr("run the same command again to go on"));
      stop.signal_after = "going on at token";
    } else {
      EXPECT_EQ(outcome.code, 128 + SIGKILL);
    }
    EXPECT_FALSE(fs::exists(fs::path(cut) / kIndex));
  }
  const Outcome last = run_gloss(cache_command(cut, "300k"));
  ASSERT_EQ(last.code, 0) << last.err;
  EXPECT_THAT(last.err, HasSubstr("going on at token"));
  EXPECT_EQ(content(fs::path(cut) / kIndex), content(fs::path(whole) / kIndex));
}

TEST(FullDisk, CacheSaysSoAndGoesOnWhenThereIsRoom) {
  const TemporaryFolder folder("disk");
  const std::string whole = (folder.path() / "whole").string();
  const std::string full = (folder.path() / "full").string();
  ASSERT_EQ(run_gloss(cache_command(whole, "100k")).code, 0);
  RunOptions small;
  small.file_limit_bytes = 500'000;  // the tokens fit, the firings do not
  const Outcome outcome = run_gloss(cache_command(full, "100k"), small);
  EXPECT_EQ(outcome.code, 1) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("cannot be written"));
  const Outcome again = run_gloss(cache_command(full, "100k"));
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(content(fs::path(full) / kIndex), content(fs::path(whole) / kIndex));
}

struct Fault {
  std::vector<std::string> arguments;
  int code;
  std::string message;
};

TEST(BadInput, EveryFaultSaysWhatAndHow) {
  const TemporaryFolder folder("faults");
  const fs::path cut = folder.path() / "cut-model";
  fs::copy(kModel, cut, fs::copy_options::recursive);
  fs::resize_file(cut / "model.safetensors", fs::file_size(cut / "model.safetensors") / 2);
  const fs::path odd = folder.path() / "odd-model";
  fs::copy(kModel, odd, fs::copy_options::recursive);
  std::ofstream(odd / "config.json") << R"({"model_type": "lama", "architectures": ["LamaForCausalLM"]})";
  const fs::path wide = folder.path() / "wide-model";
  fs::copy(kModel, wide, fs::copy_options::recursive);
  {
    std::string config = content(wide / "config.json");
    const std::size_t at = config.find("352");
    ASSERT_NE(at, std::string::npos);
    std::ofstream(wide / "config.json") << config.replace(at, 3, "360");
  }
  std::ofstream(folder.path() / "empty.txt") << "";
  const std::string run = (folder.path() / "run").string();
  const std::string empty = (folder.path() / "empty.txt").string();
  const auto cache = [&](const fs::path& model, const std::string& text) {
    return std::vector<std::string>{"cache", run, "--model", model.string(), "--sae", kCoder, "--text", text};
  };
  const std::vector<Fault> faults = {
      {cache(cut, kText), 3, "the file is cut off or damaged"},
      {cache(odd, kText), 3, "llama"},
      {cache(wide, kText), 3, "360"},
      {cache(kModel, empty), 3, "no text"},
      {cache("no-such-model", kText), 3, "no-such-model"},
      {{"cache", run, "--modle", "x"}, 2, "did you mean '--model'?"},
      {{"cahce", run}, 2, "did you mean 'cache'?"},
      {{"explain", run}, 3, "is no run with a finished cache"},
      {{"explain", cached_run().string(), "--explainer", "patern"}, 2, "did you mean 'pattern'?"},
      {{"explain", cached_run().string(), "--explainer", "default"}, 2, "--llm"},
      {{"explain", cached_run().string(), "--llm", "http://127.0.0.1:9/v1"}, 1, "http://127.0.0.1:9/v1"},
      {{"explain", cached_run().string(), "--latents", "3-"}, 2, "3-"},
      {{"show", cached_run().string(), "layers.3", "0"}, 2, "layers.2"},
      {{"train-sae", run, "--model", kModel, "--hookpoint", "layers.9", "--text", kText}, 2, "layers.9"},
      {{"run", "no-such.toml"}, 3, "no-such.toml"},
  };
  for (const Fault& fault : faults) {
    const Outcome outcome = run_gloss(fault.arguments);
    EXPECT_EQ(outcome.code, fault.code) << fault.message << "\n" << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(fault.message));
  }
}

TEST(Merge, ShardsGiveTheBytesOfOneCache) {
  const TemporaryFolder folder("shards");
  std::vector<std::string> merge{"merge", (folder.path() / "whole").string()};
  for (const std::string part : {"3/3", "1/3", "2/3"}) {
    std::vector<std::string> command = cache_command((folder.path() / part.substr(0, 1)).string());
    command.insert(command.end(), {"--shard", part});
    const Outcome outcome = run_gloss(command);
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    merge.push_back((folder.path() / part.substr(0, 1)).string());
  }
  Outcome outcome = run_gloss({"merge", (folder.path() / "two").string(), merge[2], merge[3]});
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.err, HasSubstr("give every shard once"));
  EXPECT_FALSE(fs::exists(folder.path() / "two"));

  outcome = run_gloss(merge);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const fs::path whole = folder.path() / "whole";
  EXPECT_EQ(content(whole / kIndex), content(cached_run() / kIndex));
  EXPECT_EQ(content(whole / "tokens.safetensors"), content(cached_run() / "tokens.safetensors"));
  EXPECT_EQ(run_gloss({"check", whole.string()}).code, 0);
  EXPECT_FALSE(fs::exists(whole / "latents/layers.2/weights.safetensors"));
  EXPECT_EQ(run_gloss(cache_command(whole.string())).code, 0);
  EXPECT_EQ(content(whole / "latents/layers.2/weights.safetensors"),
            content(cached_run() / "latents/layers.2/weights.safetensors"));
  EXPECT_THAT(run_gloss(cache_command(whole.string())).err, HasSubstr("already cached"));
  EXPECT_EQ(run_gloss({"explain", whole.string(), "--latents", "0-5"}).code, 0);

  std::vector<std::string> wrong = cache_command((folder.path() / "x").string());
  wrong.insert(wrong.end(), {"--shard", "4/3"});
  EXPECT_THAT(run_gloss(wrong).err, HasSubstr("wanted I/N with I from 1 to N"));
}

TEST(Check, FindsABitFlippedAnywhereAndTellsWhere) {
  const TemporaryFolder folder("check");
  const fs::path run = copy_of_run(folder);
  ASSERT_EQ(run_gloss({"explain", run.string(), "--latents", "0-20"}).code, 0);
  ASSERT_EQ(run_gloss({"score", run.string()}).code, 0);
  const Outcome sound = run_gloss({"check", run.string(), "--json"});
  ASSERT_EQ(sound.code, 0) << sound.out << sound.err;
  EXPECT_EQ(nlohmann::json::parse(sound.out)["faults"], 0);

  for (const std::string& name :
       {std::string("tokens.safetensors"), std::string("tokenizer.json"), kIndex,
        std::string("latents/layers.2/weights.safetensors"), std::string("latents/layers.2/statistics.safetensors"),
        std::string("latents/layers.2/coder.json"), std::string("manifests/tokens.json"),
        std::string("manifests/cache-layers.2.json")}) {
    const std::string whole = content(run / name);
    for (const double place : {0.001, 0.3, 0.9999}) {
      std::string flipped = whole;
      char& byte = flipped[static_cast<std::size_t>(place * static_cast<double>(whole.size() - 1))];
      byte = static_cast<char>(byte ^ 4);
      std::ofstream(run / name, std::ios::binary) << flipped;
      const Outcome outcome = run_gloss({"check", run.string()});
      EXPECT_EQ(outcome.code, 3) << name << " at " << place << "\n" << outcome.out << outcome.err;
      EXPECT_THAT(outcome.out, HasSubstr("FAULT  " + name)) << place;
    }
    std::ofstream(run / name, std::ios::binary) << whole.substr(0, whole.size() / 2);
    EXPECT_THAT(run_gloss({"check", run.string()}).out, HasSubstr("FAULT  " + name)) << "cut in half";
    std::ofstream(run / name, std::ios::binary) << whole;
  }
  EXPECT_EQ(run_gloss({"check", run.string()}).code, 0) << "everything is back as it was";

  // Results of another run: every row is well formed, but speaks of another index.
  const TemporaryFolder other("check-other");
  ASSERT_EQ(run_gloss(cache_command((other.path() / "run").string(), "30k")).code, 0);
  fs::copy_file(run / "results.db", other.path() / "run" / "results.db");
  const Outcome mixed = run_gloss({"check", (other.path() / "run").string()});
  EXPECT_EQ(mixed.code, 3);
  EXPECT_THAT(mixed.out, HasSubstr("the index says otherwise"));
}

TEST(Help, EveryCommandExplainsItsFlagsWithDefaults) {
  for (const char* command : {"cache", "train-sae", "explain", "score", "report", "show", "run", "doctor"}) {
    const Outcome outcome = run_gloss({command, "--help"});
    EXPECT_EQ(outcome.code, 0);
    EXPECT_THAT(outcome.out, HasSubstr(std::string("gloss ") + command));
  }
  EXPECT_THAT(run_gloss({"cache", "--help"}).out, HasSubstr("=256"));
  const Outcome version = run_gloss({"--version"});
  for (const char* word : {"gloss 0.1.0", "commit", "compiler GNU", "libtorch"})
    EXPECT_THAT(version.out, HasSubstr(word));
}

TEST(Doctor, ListsHookpointsWithWidths) {
  const Outcome outcome = run_gloss({"doctor", "--model", kModel, "--sae", kCoder, "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto json = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(json["model"]["hookpoints"]["layers.2"], 128);
  EXPECT_EQ(json["coders"][0]["hookpoint"], "layers.2");
}

TEST(TrainSae, InterruptedGoesOnToTheSameBytes) {
  const TemporaryFolder folder("train");
  const auto command = [&](const std::string& out) {
    return std::vector<std::string>{"train-sae",
                                    (folder.path() / out).string(),
                                    "--model",
                                    kModel,
                                    "--hookpoint",
                                    "layers.2",
                                    "--text",
                                    kText,
                                    "--ctx-len",
                                    "128",
                                    "--latents",
                                    "256",
                                    "--k",
                                    "8",
                                    "--tokens",
                                    "120k",
                                    "--checkpoint-every",
                                    "20k",
                                    "--threads",
                                    "1"};
  };
  ASSERT_EQ(run_gloss(command("whole")).code, 0);
  RunOptions stop;
  stop.signal_after = "contexts of";  // the text is packed, training begins
  stop.signal = SIGINT;
  EXPECT_EQ(run_gloss(command("cut"), stop).code, 130);
  const Outcome outcome = run_gloss(command("cut"));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("loss recovered"));
  EXPECT_EQ(content(folder.path() / "cut/layers.2/sae.safetensors"),
            content(folder.path() / "whole/layers.2/sae.safetensors"));
}

TEST(TrainSae, ThresholdCodersAreMeasuredAsSavedAndReadWithoutAFlag) {
  const TemporaryFolder folder("train");
  for (const char* activation : {"batchtopk", "jumprelu"}) {
    const std::string out = (folder.path() / activation).string();
    const Outcome outcome =
        run_gloss({"train-sae", out,        "--model",   kModel,         "--hookpoint", "layers.2.mlp", "--transcode",
                   "--text",    kText,      "--ctx-len", "128",          "--latents",   "256",          "--k",
                   "8",         "--tokens", "60k",       "--activation", activation,    "--threads",    "1"});
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    for (const std::string& word : {std::string(activation), std::string("held-out FVU"), std::string("L0"),
                                    std::string(" %) at the end of training"), std::string("loss recovered")})
      EXPECT_THAT(outcome.out, HasSubstr(word));
    const Outcome doctor = run_gloss({"doctor", "--model", kModel, "--sae", out, "--json"});
    ASSERT_EQ(doctor.code, 0) << doctor.err;
    EXPECT_EQ(nlohmann::json::parse(doctor.out)["coders"][0]["hookpoint"], "layers.2.mlp");
  }
  const Outcome unknown = run_gloss({"train-sae", (folder.path() / "x").string(), "--model", kModel, "--hookpoint",
                                     "layers.2", "--text", kText, "--activation", "batchtop"});
  EXPECT_EQ(unknown.code, 2);
  EXPECT_THAT(unknown.err, HasSubstr("batchtopk"));
}

const std::string kBert = std::string(GLOSS_SOURCE_DIR) + "/tests/golden/bert";

/// The entry of `list` whose `key` is `value`.
nlohmann::json entry_of(const nlohmann::json& list, const std::string& key, const std::string& value,
                        const std::string& explainer = "pattern") {
  for (const auto& entry : list) {
    if (entry[key] == value && entry["explainer"] == explainer) return entry;
  }
  ADD_FAILURE() << "no entry whose " << key << " is " << value << " in " << list.dump(2);
  return nullptr;
}

TEST(Examples, EasyAndHardNegativesAreTwoNumbers) {
  const TemporaryFolder folder("mixed");
  const fs::path run = copy_of_run(folder);
  Outcome outcome = run_gloss({"explain", run.string(), "--latents", "random:20", "--negatives", "mixed",
                               "--negatives-neighbours", "cooccurrence", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_TRUE(nlohmann::json::parse(outcome.out).contains("few_silent_windows"));
  outcome = run_gloss({"score", run.string(), "--scorer", "detection", "--scorer", "fuzz", "--scorer", "fuzz-matched",
                       "--fuzz-negatives", "neighbours", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto summary = nlohmann::json::parse(outcome.out);
  const auto random = entry_of(summary["negatives"], "kind", "random");
  const auto hard = entry_of(summary["negatives"], "kind", "neighbours");
  EXPECT_GT(random["judgements"], 200);
  EXPECT_GT(hard["judgements"], 50);
  EXPECT_LT(hard["specificity"]["value"], random["specificity"]["value"]) << "neighbours are not harder";
  EXPECT_GT(hard["mean_similarity"], 0.0);
  std::uint64_t by_rank = 0;
  for (const auto& one : hard["by_rank"]) by_rank += one["judgements"].get<std::uint64_t>();
  EXPECT_EQ(by_rank, hard["judgements"]);
  for (const char* scorer : {"detection", "fuzz-matched", "fuzz-neighbours"})
    EXPECT_GT(entry_of(summary["scores"], "scorer", scorer)["judgements"], 0);
  // Another explainer of the run has the same windows; other settings are refused.
  outcome = run_gloss({"explain", run.string(), "--explainer", "top-tokens", "--latents", "0-9"});
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.err, HasSubstr("negatives: was mixed, is (not set)"));
  EXPECT_EQ(run_gloss({"report", run.string()}).code, 0);
}

TEST(Examples, WindowsNearInMeaningAreEmbeddedOnce) {
  const TemporaryFolder folder("semantic");
  const fs::path run = copy_of_run(folder);
  std::vector<std::string> command = {"explain",     run.string(), "--latents",       "random:8",
                                      "--negatives", "semantic",   "--semantic-pool", "400"};
  Outcome outcome = run_gloss(command);
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("name its folder with --embedding-model DIR"));
  command.insert(command.end(), {"--embedding-model", kBert});
  outcome = run_gloss(command);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("400 windows embedded"));
  ASSERT_TRUE(fs::exists(run / "embeddings.safetensors"));
  outcome = run_gloss({"score", run.string(), "--scorer", "detection", "--json", "--threads", "1"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, ::testing::Not(HasSubstr("windows embedded")));
  const auto summary = nlohmann::json::parse(outcome.out);
  EXPECT_GT(entry_of(summary["negatives"], "kind", "semantic")["judgements"], 50);
  // The same whatever the threads.
  const Outcome again =
      run_gloss({"score", run.string(), "--scorer", "detection", "--json", "--threads", "3", "--redo"});
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(nlohmann::json::parse(again.out), summary);
}

TEST(Embed, ExplanationsAreEmbeddedOnce) {
  const TemporaryFolder folder("embed");
  const fs::path run = copy_of_run(folder);
  const std::vector<std::string> command = {"embed", run.string(), "--embedder", kBert};
  Outcome outcome = run_gloss(command);
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.err, HasSubstr("gloss explain RUN comes first"));
  ASSERT_EQ(run_gloss({"explain", run.string(), "--explainer", "pattern", "--latents", "random:8"}).code, 0);
  outcome = run_gloss(command);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("embedded by bert"));
  const fs::path file = run / "explanation-embeddings.safetensors";
  const std::string bytes = gloss::read_file(file);
  outcome = run_gloss(command);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("0 of them now"));
  EXPECT_EQ(gloss::read_file(file), bytes);
  outcome = run_gloss({"check", run.string()});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("explanation-embeddings.safetensors"));
  std::string damaged = bytes;
  damaged[damaged.size() - 5] = static_cast<char>(damaged[damaged.size() - 5] ^ 1);
  gloss::write_file(file, damaged);
  outcome = run_gloss({"check", run.string()});
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.out + outcome.err, HasSubstr("delete it: gloss embed makes it anew"));
}

TEST(Examples, SamplersAndCenteringAreKeptForTheScorer) {
  const TemporaryFolder folder("sampler");
  const fs::path run = copy_of_run(folder);
  Outcome outcome = run_gloss({"explain", run.string(), "--latents", "random:10,density:1e-3..0.1", "--sampler",
                               "top-n", "--top-n", "60", "--center", "--refine-windows", "10"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  outcome = run_gloss({"score", run.string(), "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_GT(entry_of(nlohmann::json::parse(outcome.out)["scores"], "scorer", "detection")["judgements"], 100);
  outcome = run_gloss({"check", run.string()});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  outcome = run_gloss({"explain", run.string(), "--sampler", "best"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("unknown sampler 'best'; known: quantiles, top, top-n, random, mixture"));
}

TEST(Examples, SettingsThatCannotBeFollowedAreNotKept) {
  const TemporaryFolder folder("unkept");
  const fs::path run = copy_of_run(folder);
  fs::remove(run / "latents/layers.2/weights.safetensors");
  Outcome outcome = run_gloss({"explain", run.string(), "--latents", "0-9", "--negatives", "neighbours"});
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.err, HasSubstr("nothing is known of the neighbours of layers.2's latents"));
  outcome = run_gloss({"explain", run.string(), "--latents", "0-9", "--window", "48"});
  EXPECT_EQ(outcome.code, 2);
  outcome = run_gloss({"explain", run.string(), "--latents", "0-9"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
}

}  // namespace
