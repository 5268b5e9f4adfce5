#pragma once
/// Private to `pattern`: rules as a sentence for people.
#include <span>
#include <string>
#include <string_view>

#include "gloss/explain/pattern_learn.h"

namespace gloss::explain {

/// Bytes between quotation marks, so that everything in them is seen and nothing does harm: a quotation mark, a
/// backslash and a newline escaped as in C; other controls, odd spaces, joiners, direction marks and unassigned
/// characters as \u{HEX}; bytes that are no UTF-8 as \xHH.
std::string in_quotes(std::string_view bytes);

/// "the token " stop" after "don't" or "won't"; ...": the rules in their order. Of more than 6 values the first 6 are
/// written and the others counted. Always one line of well-formed UTF-8.
std::string render_rules(const Vocabulary::Impl& vocabulary, std::span<const Rule> rules);

}  // namespace gloss::explain
