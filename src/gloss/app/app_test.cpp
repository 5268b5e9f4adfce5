// Settings, run folders and the command table, without a model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "gloss/app/command.h"
#include "gloss/app/console_reporter.h"
#include "gloss/app/run_folder.h"
#include "gloss/app/settings.h"
#include "gloss/base/error.h"
#include "gloss/base/output_file.h"

namespace gloss::app {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class AppFolder : public ::testing::Test {
 protected:
  AppFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "gloss-app-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~AppFolder() override { std::filesystem::remove_all(folder_); }
  std::string message_of(const std::function<void()>& call) {
    try {
      call();
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  }
  std::filesystem::path folder_;
};

TEST_F(AppFolder, RunFileGivesStagesInPipelineOrderWithFlags) {
  write_file(folder_ / "job.toml",
             "run = \"runs/x\"\n[score]\nscorer = [\"fuzz\"]\njson = true\nredo = false\n"
             "[filter]\nunigram = 10\n"
             "[cache]\nmodel = \"m\"\ntext = [\"a\", \"b\"]\ntokens = \"2M\"\nctx-len = 128\n");
  const RunFile file = read_run_file(folder_ / "job.toml");
  ASSERT_EQ(file.stages.size(), 3U);
  EXPECT_EQ(file.stages[0].command, "cache");
  EXPECT_THAT(file.stages[0].arguments,
              ElementsAre("runs/x", "--ctx-len=128", "--model=m", "--text=a", "--text=b", "--tokens=2M"));
  EXPECT_EQ(file.stages[1].command, "filter");
  EXPECT_THAT(file.stages[1].arguments, ElementsAre("runs/x", "--unigram=10"));
  EXPECT_THAT(file.stages[2].arguments, ElementsAre("runs/x", "--json", "--scorer=fuzz"));
}

TEST_F(AppFolder, RunFileFaultsSayWhere) {
  const std::string path = (folder_ / "job.toml").string();
  const auto fault = [&](const std::string& text) {
    write_file(path, text);
    return message_of([&] { read_run_file(path); });
  };
  EXPECT_THAT(fault("run = \"x\"\n[cache\n"), HasSubstr(path + ":2"));
  EXPECT_EQ(fault("[cache]\nmodel = \"m\"\n"),
            path + ": has no 'run'\nhint: name the run folder in its first line: run = \"runs/NAME\"");
  EXPECT_THAT(fault("run = \"x\"\n[cahce]\nmodel = \"m\"\n"), HasSubstr("did you mean 'cache'?"));
  EXPECT_THAT(fault("run = \"x\"\n"), HasSubstr("asks for no stage"));
  EXPECT_THAT(fault("run = \"x\"\ncache = 3\n"), HasSubstr("'cache' is not a table"));
}

TEST_F(AppFolder, SettingsAreWrittenWithDefaultsAndReadBack) {
  const RunFolder run(folder_ / "run");
  std::string target;
  std::vector<std::string> text;
  std::uint32_t window = 32;
  std::uint64_t tokens = 10;
  bool redo = false;
  CLI::App cli;
  cli.option_defaults()->always_capture_default();
  cli.add_option("run", target);
  cli.add_option("--text", text);
  cli.add_option("--window", window);
  add_quantity(cli, "--tokens", tokens, "");
  cli.add_flag("--redo", redo);
  std::vector<std::string> arguments = {"--tokens=5M", "b",      "--text",
                                        "a",           "--text", "x"};  // CLI11 takes the last first
  cli.parse(arguments);
  EXPECT_EQ(tokens, 5'000'000U);
  save_settings(run, "cache", cli);
  const std::string saved = read_file(run.root() / "run.toml");
  EXPECT_THAT(saved, HasSubstr("window = 32"));
  EXPECT_THAT(saved, HasSubstr("redo = false"));
  EXPECT_THAT(saved, HasSubstr("5M"));
  const RunFile again = read_run_file(run.root() / "run.toml");
  EXPECT_EQ(again.run, run.root().string());
  EXPECT_THAT(again.stages.at(0).arguments,
              ElementsAre(run.root().string(), "--text=a", "--text=b", "--tokens=5M", "--window=32"));
}

TEST_F(AppFolder, AManifestOfOtherInputsIsRefusedNamingThem) {
  const RunFolder run(folder_ / "run");
  const Inputs inputs = {{"model", "aa"}, {"tokens", "1"}};
  EXPECT_EQ(stage_state(run, "cache", inputs), StageState::fresh);
  write_manifest(run, "cache", inputs, false);
  EXPECT_EQ(stage_state(run, "cache", inputs), StageState::started);
  write_manifest(run, "cache", inputs, true);
  EXPECT_EQ(stage_state(run, "cache", inputs), StageState::done);
  EXPECT_THAT(message_of([&] {
                stage_state(run, "cache", {{"model", "bb"}, {"seed", "2"}, {"tokens", "1"}});
              }),
              HasSubstr("model: was aa, is bb; seed: was (not set), is 2"));
}

TEST(Commands, UnknownNamesAndFlagsNameTheNearest) {
  std::ostringstream out;
  std::ostringstream err;
  ConsoleReporter reporter(err, false);
  Context context{out, reporter};
  EXPECT_EQ(main_program({"explian", "x"}, context), kUsage);
  EXPECT_THAT(err.str(), HasSubstr("did you mean 'explain'?"));
  err.str("");
  EXPECT_EQ(main_program({"show", "r", "layers.0", "1", "--exmples", "3"}, context), kUsage);
  EXPECT_THAT(err.str(), HasSubstr("did you mean '--examples'?"));
  err.str("");
  EXPECT_EQ(main_program({"score", "r", "--per-prompt", "90"}, context), kUsage);
  EXPECT_THAT(err.str(), HasSubstr("--per-prompt"));
}

TEST(Progress, ALogGetsWholeLinesWithRateAndTimeLeft) {
  std::ostringstream err;
  {
    ConsoleReporter reporter(err, false);
    reporter.progress({"cache", 0, 1000, "tokens", ""});
    reporter.progress({"cache", 1000, 1000, "tokens", "dead 3"});
  }
  EXPECT_THAT(err.str(), HasSubstr("cache: 1k/1k tokens (100%)"));
  EXPECT_THAT(err.str(), HasSubstr("| dead 3\n"));
}

}  // namespace
}  // namespace gloss::app
