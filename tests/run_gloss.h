#pragma once
/// Runs build/gloss as a user would: another process, its output caught.
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace gloss::testing {

struct Outcome {
  int code = -1;  // exit code, or 128 + signal
  std::string out, err;
};

/// Runs gloss with these arguments in `folder`. With `signal_after`, sends `signal` as soon as stderr holds that text.
struct RunOptions {
  std::filesystem::path folder = ".";
  std::string signal_after;
  int signal = 0;
  bool progress_as_terminal = false;   // progress lines at once instead of every 15 seconds
  std::uint64_t file_limit_bytes = 0;  // 0 = none; files that would grow beyond are refused, as on a full disk
};
Outcome run_gloss(const std::vector<std::string>& arguments, const RunOptions& options = {});

/// Runs gloss and kills it (SIGKILL) after `time`; whether it ended by itself before, and then its exit code. Its
/// output goes nowhere.
bool run_for(const std::vector<std::string>& arguments, std::chrono::milliseconds time, int* code);

/// gloss that goes on while the test asks it things. What it writes to stderr goes nowhere.
class Background {
 public:
  /// Waits for its first line on stdout.
  explicit Background(const std::vector<std::string>& arguments);
  ~Background();  // kills it, if it still runs
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  /// Without the end of the line; "" when it ended before.
  const std::string& first_line() const { return line_; }
  /// Sends the signal and waits for the end: the exit code, or 128 + signal.
  int stop(int signal);

 private:
  int child_ = -1;
  std::string line_;
};

/// A new empty folder below the build tree, removed when the object goes.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(const std::string& name);
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace gloss::testing
