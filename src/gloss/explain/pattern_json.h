#pragma once
/// Private to `pattern`: a pattern as JSON, "gloss-pattern-1".
///
///   {"format": "gloss-pattern-1", "vocabulary": "<fingerprint>", "rules": [
///     {"tests": [{"where": "here", "what": "token", "values": [276]},
///                {"where": "word-before", "distance": 1, "what": "word", "values": ["don't", "won't"]}],
///      "except": [{"where": "here", "what": "so-far", "values": ["are"]}],
///      "support": 12, "matched": 14, "level": 0.61}]}
///
/// Values of `token` and `text` are token ids (a text is named by a token that has it), of `class` its name, of the
/// others texts in lower case; `any` has none. `distance` is left out for `here`, `except` where there is none.
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/explain/pattern_learn.h"

namespace gloss::explain {

std::string rules_to_json(const Vocabulary::Impl& vocabulary, std::span<const Rule> rules);

/// Errors: bad_input, naming rule and test, for whatever is not such a document, is of another vocabulary, or is larger
/// than a learned pattern can be.
std::vector<Rule> rules_from_json(const Vocabulary::Impl& vocabulary, std::string_view json);

}  // namespace gloss::explain
