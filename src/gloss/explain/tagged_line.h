#pragma once
/// Finds the answer in what a language model says around it.
#include <optional>
#include <string_view>

#include "gloss/explain/explanation.h"

namespace gloss::explain {

/// What follows `[TAG]:` in the last line that begins with it, in any case and with Markdown around it; trimmed.
/// Nothing when there is no such line. Requires: `tag` in lower case. Lifetime: as long as the text behind `reply`.
std::optional<std::string_view> last_tagged_line(std::string_view reply, std::string_view tag);

/// The explanation in a reply: what follows the tag `[EXPLANATION]:`. Failed: no such line, or nothing after the tag.
/// Sets text or failure only.
Explanation parse_explanation(std::string_view reply);

/// Two descriptions in a reply, `[INPUT]:` and `[OUTPUT]:`, as one text "fires on ...; writes ...".
/// Failed: a line that is missing or empty. Sets text or failure only.
Explanation parse_input_output(std::string_view reply);

}  // namespace gloss::explain
