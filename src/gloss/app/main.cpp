#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "gloss/app/command.h"
#include "gloss/app/console_reporter.h"
#include "gloss/base/interrupt.h"

namespace {

/// libtorch's OpenMP threads spin for milliseconds after each operation, in the way of gloss's own threads and of
/// whatever else the machine does. OpenMP reads its settings when it is loaded, so the program starts itself once more
/// with a short spin. A setting of the user's is kept.
void start_with_short_spin(char** argv) {
  if (std::getenv("GOMP_SPINCOUNT") != nullptr || std::getenv("OMP_WAIT_POLICY") != nullptr) return;
  ::setenv("GOMP_SPINCOUNT", "2000", 1);
  ::execv("/proc/self/exe", argv);  // returns only when it failed; then the default has to do
}

}  // namespace

int main(int argc, char** argv) {
  start_with_short_spin(argv);
  gloss::install_interrupt_handler();
  const bool colors = std::getenv("NO_COLOR") == nullptr;
  // GLOSS_PROGRESS=terminal redraws progress even when stderr is a pipe (a web terminal, a test).
  const char* progress = std::getenv("GLOSS_PROGRESS");
  const bool redraw = ::isatty(STDERR_FILENO) == 1 || (progress != nullptr && std::string(progress) == "terminal");
  gloss::app::ConsoleReporter reporter(std::cerr, redraw);
  gloss::app::Context context{std::cout, reporter, colors && ::isatty(STDOUT_FILENO) == 1};
  const int code = gloss::app::main_program(std::vector<std::string>(argv + 1, argv + argc), context);
  std::cout.flush();
  return std::cout.good() ? code : static_cast<int>(gloss::app::kFailed);
}
