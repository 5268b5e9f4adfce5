#include "run_gloss.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <thread>

namespace gloss::testing {
namespace {

struct Pipe {
  std::array<int, 2> ends{};
  Pipe() {
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe");
  }
};

[[noreturn]] void execute(const std::vector<std::string>& arguments) {
  std::vector<char*> argv;
  std::string program = GLOSS_PROGRAM;
  argv.push_back(program.data());
  std::vector<std::string> copies = arguments;
  for (std::string& a : copies) argv.push_back(a.data());
  argv.push_back(nullptr);
  ::execv(program.c_str(), argv.data());
  std::_Exit(98);
}

[[noreturn]] void become_gloss(const std::vector<std::string>& arguments, const RunOptions& options, const Pipe& out,
                               const Pipe& err) {
  ::dup2(out.ends[1], STDOUT_FILENO);
  ::dup2(err.ends[1], STDERR_FILENO);
  if (::chdir(options.folder.c_str()) != 0) std::_Exit(99);
  if (options.file_limit_bytes != 0) {
    const rlimit limit{options.file_limit_bytes, options.file_limit_bytes};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    std::signal(SIGXFSZ, SIG_IGN);
  }
  if (options.progress_as_terminal) ::setenv("GLOSS_PROGRESS", "terminal", 1);
  execute(arguments);
}

/// Appends what is there to `text`; false at the end of the stream.
bool take(int fd, std::string& text) {
  std::array<char, 65536> buffer{};
  const ssize_t n = ::read(fd, buffer.data(), buffer.size());
  if (n > 0) text.append(buffer.data(), static_cast<std::size_t>(n));
  return n > 0;
}

}  // namespace

Outcome run_gloss(const std::vector<std::string>& arguments, const RunOptions& options) {
  Pipe out;
  Pipe err;
  const pid_t child = ::fork();
  if (child == 0) become_gloss(arguments, options, out, err);
  ::close(out.ends[1]);
  ::close(err.ends[1]);
  Outcome outcome;
  bool signalled = options.signal == 0;
  std::array<pollfd, 2> fds{{{out.ends[0], POLLIN, 0}, {err.ends[0], POLLIN, 0}}};
  while (fds[0].fd >= 0 || fds[1].fd >= 0) {
    ::poll(fds.data(), fds.size(), 100);
    if (fds[0].revents != 0 && !take(fds[0].fd, outcome.out)) fds[0].fd = -1;
    if (fds[1].revents != 0 && !take(fds[1].fd, outcome.err)) fds[1].fd = -1;
    if (!signalled && outcome.err.find(options.signal_after) != std::string::npos) {
      ::kill(child, options.signal);
      signalled = true;
    }
  }
  ::close(out.ends[0]);
  ::close(err.ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return outcome;
}

bool run_for(const std::vector<std::string>& arguments, std::chrono::milliseconds time, int* code) {
  const pid_t child = ::fork();
  if (child == 0) {
    const int nowhere = ::open("/dev/null", O_WRONLY);
    ::dup2(nowhere, STDOUT_FILENO);
    ::dup2(nowhere, STDERR_FILENO);
    execute(arguments);
  }
  const auto until = std::chrono::steady_clock::now() + time;
  int status = 0;
  while (::waitpid(child, &status, WNOHANG) != child) {
    if (std::chrono::steady_clock::now() > until) {
      ::kill(child, SIGKILL);
      ::waitpid(child, &status, 0);
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  *code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return true;
}

Background::Background(const std::vector<std::string>& arguments) {
  Pipe out;
  child_ = ::fork();
  if (child_ == 0) {
    ::dup2(out.ends[1], STDOUT_FILENO);
    ::dup2(::open("/dev/null", O_WRONLY), STDERR_FILENO);
    execute(arguments);
  }
  ::close(out.ends[1]);
  while (line_.find('\n') == std::string::npos && take(out.ends[0], line_)) {
  }
  ::close(out.ends[0]);
  line_.resize(std::min(line_.find('\n'), line_.size()));
}

Background::~Background() {
  if (child_ > 0) stop(SIGKILL);
}

int Background::stop(int signal) {
  ::kill(child_, signal);
  int status = 0;
  ::waitpid(child_, &status, 0);
  child_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TemporaryFolder::TemporaryFolder(const std::string& name) {
  std::string pattern = (std::filesystem::temp_directory_path() / ("gloss-" + name + "-XXXXXX")).string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp");
  path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace gloss::testing
