#pragma once
/// Python's functions of texts, and what a value must be to be given to one. Private to the module.
#include <cstdint>
#include <string>
#include <string_view>

#include "gloss/llm/template_value.h"

namespace gloss::llm {

// Letters outside ASCII keep their case.
char upper(char c);
char lower(char c);
std::string mapped(std::string text, char (*change)(char));
std::string capitalised(const std::string& text);
std::string titled(const std::string& text);

// Errors of all below: Trouble, naming `what` wants the value.

const std::string& text_of(const Value& value, std::string_view what);
std::int64_t whole_of(const Value& value, std::string_view what);
double real_of(const Value& value, std::string_view what);
Value size_value(std::size_t size);

/// The first `most` of `from`, all when that is below 0.
std::string replaced(const std::string& text, const std::string& from, const std::string& to, std::int64_t most);
std::string joined(const List& list, const std::string& between);
/// [key, value] of each item of a map.
List pairs_of(const Value& value);

}  // namespace gloss::llm
