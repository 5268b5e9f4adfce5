#pragma once
/// What a command is doing with a run, for whoever looks at the run meanwhile: RUN/jobs/COMMAND-PID.json.
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/app/command.h"
#include "gloss/app/rate_meter.h"
#include "gloss/app/run_folder.h"
#include "gloss/base/reporter.h"
#include "gloss/dashboard/job.h"

namespace gloss::app {

/// Tells `inner` everything, and keeps the last progress in the file, once a second at most; removed at the end. A file
/// that cannot be written is no reason to stop. Threads: any.
class JobReporter : public Reporter {
 public:
  JobReporter(const RunFolder& run, std::string command, Reporter& inner);
  ~JobReporter() override;
  JobReporter(const JobReporter&) = delete;
  JobReporter& operator=(const JobReporter&) = delete;

  void info(std::string_view message) override { inner_.info(message); }
  void warn(std::string_view message) override { inner_.warn(message); }
  void progress(const Progress& progress) override;

 private:
  void write(const Progress& progress, double rate) const;

  std::filesystem::path folder_, file_;
  std::string command_;
  Reporter& inner_;
  std::mutex mutex_;
  RateMeter meter_;
  RateMeter::Clock::time_point written_{};
};

/// Those whose process is alive, in the order of their files' names. Of another machine's: those that wrote in the last
/// two minutes.
std::vector<dashboard::Job> running_jobs(const RunFolder& run);

/// Runs `work` with a JobReporter for this run.
int as_job(const std::string& run, const std::string& command, Context& context,
           const std::function<int(Context&)>& work);

}  // namespace gloss::app
