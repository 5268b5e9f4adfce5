#pragma once
/// Windows as a prompt shows them. Method: docs/methods.md 4.
#include <span>
#include <string>

#include "gloss/examples/examples.h"
#include "gloss/explain/delimiters.h"
#include "gloss/text/token_file.h"
#include "gloss/text/tokenizer.h"

namespace gloss::explain {

/// Delimiters that can be told from the text of `windows`, whose tokens are marked at `tau`, and from the texts in
/// `plain`.
Delimiters delimiters_for(const text::Tokenizer& tokenizer, const text::TokenFile& tokens,
                          std::span<const examples::Window* const> windows, std::span<const std::string> plain,
                          float tau);

}  // namespace gloss::explain
