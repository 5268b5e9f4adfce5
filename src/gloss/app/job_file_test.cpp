#include "gloss/app/job_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "gloss/base/output_file.h"
#include "gloss/index/index_testing.h"

namespace gloss::app {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

class JobFile : public ::testing::Test {
 protected:
  /// The number of a process that has ended.
  static pid_t dead_process() {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(0);
    ::waitpid(child, nullptr, 0);
    return child;
  }
  void put(const std::string& name, const Json& json) const {
    fs::create_directories(folder_.path() / "jobs");
    write_file(folder_.path() / "jobs" / name, json.dump());
  }
  static Json job(pid_t pid, const std::string& host = "", std::int64_t written = 0) {
    char own[256] = {};
    ::gethostname(own, sizeof own - 1);
    return {{"command", "score"}, {"stage", "layers.2"}, {"done", 3},
            {"total", 9},         {"unit", "latents"},   {"detail", "a <b> \"c\""},
            {"rate", 1.5},        {"pid", pid},          {"host", host.empty() ? std::string(own) : host},
            {"written", written}};
  }

  index::testing::Folder folder_;
  RunFolder run_{folder_.path()};
  SilentReporter silent_;
};

TEST_F(JobFile, TellsTheProgressOfAnotherAndIsGoneAtTheEnd) {
  {
    JobReporter reporter(run_, "explain", silent_);
    EXPECT_TRUE(running_jobs(run_).empty()) << "nothing was done yet";
    reporter.progress({"layers.2", 5, 100, "latents", "half a line\nmore"});
    const std::vector<dashboard::Job> jobs = running_jobs(run_);
    ASSERT_EQ(jobs.size(), 1U);
    EXPECT_EQ(jobs[0].command, "explain");
    EXPECT_EQ(jobs[0].stage, "layers.2");
    EXPECT_EQ(jobs[0].done, 5U);
    EXPECT_EQ(jobs[0].total, 100U);
    EXPECT_EQ(jobs[0].unit, "latents");
    EXPECT_EQ(jobs[0].detail, "half a line\nmore");
    reporter.progress({"layers.10", 1, 100, "latents", ""});
    EXPECT_EQ(running_jobs(run_).at(0).stage, "layers.10") << "another stage is told at once";
  }
  EXPECT_TRUE(running_jobs(run_).empty());
  EXPECT_FALSE(fs::exists(folder_.path() / "jobs"));
}

TEST_F(JobFile, MakesNoRunWhereThereIsNone) {
  const RunFolder nowhere(folder_.path() / "none");
  JobReporter reporter(nowhere, "cache", silent_);
  reporter.progress({"cache", 5, 100, "tokens", ""});
  EXPECT_FALSE(fs::exists(nowhere.root()));
}

TEST_F(JobFile, OfADeadProcessIsNoneAndIsCleared) {
  put("score-1.json", job(dead_process()));
  EXPECT_TRUE(running_jobs(run_).empty());
  put("score-2.json", job(::getpid()));
  EXPECT_EQ(running_jobs(run_).size(), 1U);
  { const JobReporter reporter(run_, "explain", silent_); }
  EXPECT_FALSE(fs::exists(folder_.path() / "jobs/score-1.json"));
  EXPECT_TRUE(fs::exists(folder_.path() / "jobs/score-2.json"));
}

TEST_F(JobFile, OfAnotherMachineLastsTwoMinutes) {
  put("score-1.json", job(1, "another machine", 0));
  EXPECT_TRUE(running_jobs(run_).empty());
  put("score-1.json", job(1, "another machine", ::time(nullptr) - 30));
  EXPECT_EQ(running_jobs(run_).size(), 1U);
}

TEST_F(JobFile, WhatIsNoJobIsLeftAlone) {
  fs::create_directories(folder_.path() / "jobs");
  for (const char* text : {"", "{", "[]", "{}", "{\"pid\": \"x\"}", "null", "{\"pid\": 1, \"host\": 3}"}) {
    write_file(folder_.path() / "jobs/x.json", text);
    EXPECT_TRUE(running_jobs(run_).empty()) << text;
    const JobReporter reporter(run_, "explain", silent_);
  }
  put("score-1.json", job(::getpid()));
  EXPECT_EQ(running_jobs(run_).size(), 1U);
}

TEST_F(JobFile, ACommandTellsItsProgressThroughIt) {
  std::ostringstream out;
  Context context{out, silent_};
  const int code = as_job(folder_.path().string(), "embed", context, [&](Context& watched) {
    watched.out << "result";
    watched.reporter.progress({"embed", 1, 2, "explanations", ""});
    EXPECT_EQ(running_jobs(run_).size(), 1U);
    return 4;
  });
  EXPECT_EQ(code, 4);
  EXPECT_EQ(out.str(), "result");
  EXPECT_TRUE(running_jobs(run_).empty());
}

}  // namespace
}  // namespace gloss::app
