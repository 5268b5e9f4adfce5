#include "gloss/base/interrupt.h"

#include <atomic>
#include <csignal>
#include <cstdlib>

#include "gloss/base/error.h"

namespace gloss {
namespace {

std::atomic<bool> flag{false};
static_assert(std::atomic<bool>::is_always_lock_free, "the flag is set from a signal handler");

extern "C" void on_signal(int signal_number) {
  if (flag.exchange(true)) std::_Exit(128 + signal_number);
}

}  // namespace

void install_interrupt_handler() {
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
}

bool interrupted() { return flag.load(std::memory_order_relaxed); }

void set_interrupted(bool value) { flag.store(value); }

void stop_if_interrupted() {
  if (interrupted()) throw Error(ErrorKind::interrupted, "", "interrupted");
}

}  // namespace gloss
