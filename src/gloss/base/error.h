#pragma once
/// How gloss fails: one exception type for whatever ends a command. What belongs to one latent or one request is a
/// value with a reason instead (see docs/architecture.md, "How do we fail?").
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

namespace gloss {

/// What the exit code of the command will be.
enum class ErrorKind : int { failed = 1, usage = 2, bad_input = 3, interrupted = 130 };

/// A message a user can act on: where (file and byte, line or key), what was found and wanted, and a hint.
/// what() reads "WHERE: WHAT" and, on a line of its own when there is one, "hint: HINT".
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, std::string_view where, std::string_view what, std::string_view hint = {});

  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

/// Throws Error(bad_input): a file, value or answer from outside is not what it must be.
[[noreturn]] void fail_input(std::string_view where, std::string_view what, std::string_view hint = {});
/// Throws Error(failed): the machine did not do what it was asked (disk full, no memory, no network).
[[noreturn]] void fail_system(std::string_view where, std::string_view what, std::string_view hint = {});
/// Throws Error(failed) with the text of `error_number` (an errno) after `what`.
[[noreturn]] void fail_errno(std::string_view where, std::string_view what, int error_number);

/// The known name nearest to `name` by edit distance, or "" when none is near enough to be meant (more than a third of
/// the letters differ).
std::string nearest_name(std::string_view name, std::span<const std::string> known);

/// Throws Error(usage): `name` is no known `what`; lists the known names and the nearest one.
[[noreturn]] void fail_unknown_name(std::string_view what, std::string_view name, std::span<const std::string> known);

}  // namespace gloss
