#pragma once
/// Reading TOML files. Included by few: the parser's header is large.
#include <filesystem>
#include <string>

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

namespace gloss::app {

/// Errors: bad_input with file, line and column.
toml::table parse_toml_file(const std::filesystem::path& file);
/// "FILE:LINE:COLUMN" of a value.
std::string where_of(const std::filesystem::path& file, const toml::node& node);

}  // namespace gloss::app
