#include "gloss/text/regex.h"

#include <fmt/format.h>

#include <array>
#include <new>

#include "gloss/base/error.h"
#include "gloss/base/utf8.h"
#include "gloss/text/unicode.h"
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace gloss::text {
namespace {

constexpr std::size_t kJitStackStart = std::size_t{32} << 10;
constexpr std::size_t kJitStackMost = std::size_t{16} << 20;
constexpr std::size_t kMaxPattern = std::size_t{64} << 10;

PCRE2_SPTR as_code_units(std::string_view text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

std::string message_of(int error) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(error, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

template <class T>
T* not_null(T* made) {
  if (made == nullptr) throw std::bad_alloc();
  return made;
}

/// Work memory of one thread's matches, made once.
class Scratch {
 public:
  Scratch()
      : data_(not_null(pcre2_match_data_create(1, nullptr))),
        context_(not_null(pcre2_match_context_create(nullptr))),
        stack_(pcre2_jit_stack_create(kJitStackStart, kJitStackMost, nullptr)) {
    if (stack_ != nullptr) pcre2_jit_stack_assign(context_.get(), nullptr, stack_.get());
  }
  pcre2_match_data* data() const { return data_.get(); }
  pcre2_match_context* context() const { return context_.get(); }

 private:
  struct Free {
    void operator()(pcre2_match_data* p) const { pcre2_match_data_free(p); }
    void operator()(pcre2_match_context* p) const { pcre2_match_context_free(p); }
    void operator()(pcre2_jit_stack* p) const { pcre2_jit_stack_free(p); }
  };
  std::unique_ptr<pcre2_match_data, Free> data_;
  std::unique_ptr<pcre2_match_context, Free> context_;
  std::unique_ptr<pcre2_jit_stack, Free> stack_;
};

const Scratch& scratch() {
  thread_local const Scratch made;
  return made;
}

}  // namespace

Regex Regex::compile(std::string_view pattern, const std::string& where) {
  if (pattern.size() > kMaxPattern) fail_input(where, fmt::format("regular expression of {} bytes", pattern.size()));
  const std::string translated = to_pcre2(pattern, where);
  int error = 0;
  PCRE2_SIZE offset = 0;
  const std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)> context(
      not_null(pcre2_compile_context_create(nullptr)), &pcre2_compile_context_free);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  pcre2_code* code =
      pcre2_compile(as_code_units(translated), translated.size(), PCRE2_UTF | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C,
                    &error, &offset, context.get());
  if (code == nullptr)
    fail_input(where, fmt::format("regular expression '{}', byte {}: {}", translated, offset, message_of(error)));
  Regex result;
  result.code_ = std::shared_ptr<const void>(
      code, [](const void* p) { pcre2_code_free(static_cast<pcre2_code*>(const_cast<void*>(p))); });
  result.pattern_ = pattern;
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // without it, pcre2_match interprets: slower, the same matches
  return result;
}

void Regex::find_all(std::string_view text, std::vector<Span>& out) const {
  out.clear();
  const std::string replaced = with_older_characters(text);
  const std::string_view subject = replaced.empty() ? text : std::string_view(replaced);
  const auto* code = static_cast<const pcre2_code*>(code_.get());
  const Scratch& work = scratch();
  const PCRE2_SIZE* place = pcre2_get_ovector_pointer(work.data());
  for (std::size_t from = 0; from <= subject.size();) {
    const int rc = pcre2_match(code, as_code_units(subject), subject.size(), from, PCRE2_NO_UTF_CHECK, work.data(),
                               work.context());
    if (rc == PCRE2_ERROR_NOMATCH) return;
    if (rc < 0)
      fail_system(fmt::format("regular expression '{}'", pattern_),
                  fmt::format("{}, in a text of {} bytes", message_of(rc), subject.size()));
    const Span match{place[0], place[1]};
    if (match.empty() && !out.empty() && out.back().end == match.end) {
      from += from < subject.size() ? decode_utf8(subject.substr(from)).size_bytes : 1;
      continue;
    }
    out.push_back(match);
    from = match.end;
  }
}

}  // namespace gloss::text
