/// A pattern from anywhere is an Error, or a program that can be written, said and run on any tokens; and so is what is
/// read from tokens of any bytes. The first byte says how many bytes of the rest are a window's tokens.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/base/error.h"
#include "gloss/base/utf8.h"
#include "gloss/explain/pattern.h"
#include "gloss/explain/pattern_json.h"
#include "gloss/explain/pattern_render.h"

namespace {

using namespace gloss::explain;  // NOLINT: a program of one file

/// The 256 bytes, some words, and a special token.
const Vocabulary& vocabulary() {
  static const Vocabulary made = [] {
    std::vector<std::string> bytes;
    for (int b = 0; b < 250; ++b) bytes.emplace_back(1, static_cast<char>(b));
    for (const char* word : {" the", " don", "'t", " Tim", "\xE2\x80", "<s>"}) bytes.emplace_back(word);
    std::vector<bool> special(bytes.size(), false);
    special.back() = true;
    return Vocabulary(std::make_shared<const Vocabulary::Impl>(Vocabulary::Impl::make(std::move(bytes), special)));
  }();
  return made;
}

/// A pattern that is read may name this vocabulary as "@", so that the fuzzer need not find the fingerprint.
std::string with_fingerprint(std::string_view text) {
  std::string out(text);
  const std::size_t at = out.find("\"@\"");
  if (at != std::string::npos) out.replace(at + 1, 1, vocabulary().impl().fingerprint);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t width = std::min<std::size_t>(data[0], size - 1);
  std::vector<gloss::TokenId> ids;
  for (std::size_t i = 0; i < width; ++i) ids.push_back(gloss::TokenId{data[1 + i]});

  WindowText window;
  window.read(vocabulary().impl(), ids);
  std::vector<Candidate> candidates;
  for (std::size_t t = 0; t < ids.size(); ++t) {
    candidates_at(window, t, candidates);
    for (const Candidate& c : candidates) {
      if (!holds(c.test(), window, t)) std::abort();
    }
  }

  const std::string_view text(reinterpret_cast<const char*>(data) + 1 + width, size - 1 - width);
  try {
    const Vocabulary::Impl& known = vocabulary().impl();
    const std::vector<Rule> rules = rules_from_json(known, with_fingerprint(text));
    const std::string json = rules_to_json(known, rules);
    if (rules_from_json(known, json) != rules) std::abort();
    const std::string said = render_rules(known, rules);
    if (!gloss::is_valid_utf8(said) || said.find('\n') != std::string::npos) std::abort();
    const std::vector<float> levels = PatternProgram::parse(vocabulary(), json).predict(ids);
    if (levels.size() != ids.size()) std::abort();
    for (const float level : levels) {
      if (!(level >= 0.0F && level <= 1.0F)) std::abort();
    }
  } catch (const gloss::Error&) {
  }
  return 0;
}
