#pragma once
/// Ctrl-C as a question that long work asks at places where it can stop without loss.

namespace gloss {

/// From now on SIGINT and SIGTERM only set a flag; a second one ends the process at once.
void install_interrupt_handler();
bool interrupted();
/// Throws Error(interrupted) when the flag is set. Call where everything done so far is saved or can be done again.
void stop_if_interrupted();
/// Sets or clears the flag; for tests.
void set_interrupted(bool value);

}  // namespace gloss
