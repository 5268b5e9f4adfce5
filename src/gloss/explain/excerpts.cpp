#include "gloss/explain/excerpts.h"

#include <algorithm>

#include "gloss/examples/token_window.h"

namespace gloss::explain {

Delimiters delimiters_for(const text::Tokenizer& tokenizer, const text::TokenFile& tokens,
                          std::span<const examples::Window* const> windows, std::span<const std::string> plain,
                          float tau) {
  return choose_delimiters([&](const Delimiters& candidate) {
    const auto clashes = [&](const examples::Window* w) {
      const auto ids = examples::window_tokens(tokens, *w);
      const std::string text =
          examples::marked_text(tokenizer, ids, examples::marked_tokens(*w, tau), candidate.open, candidate.close);
      return is_ambiguous(text, candidate, count_runs(text, examples::plain_text(tokenizer, ids), candidate));
    };
    return std::any_of(windows.begin(), windows.end(), clashes) ||
           std::any_of(plain.begin(), plain.end(),
                       [&](const std::string& text) { return is_ambiguous(text, candidate, 0); });
  });
}

}  // namespace gloss::explain
