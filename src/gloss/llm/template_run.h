#pragma once
/// Runs a parsed chat template. Private to the module.
#include <string>

#include "gloss/llm/template_syntax.h"

namespace gloss::llm {

/// The template itself refused what it was given (raise_exception): the words it gives for it.
struct TemplateRefusal {
  std::string words;
  std::uint32_t line = 0;
};

/// What the template gives for these variables. Requires: `body` outlives the call. Errors: bad_input naming `where`,
/// line and construct: an operation on values that it does not take, more than kMostBytes of text, too many steps,
/// macros that call each other too deeply; TemplateRefusal.
std::string run_template(const Body& body, const std::string& where, const Map& variables);

}  // namespace gloss::llm
