#include "gloss/app/toml_file.h"

#include <fmt/format.h>

#include "gloss/base/error.h"
#include "gloss/base/output_file.h"

namespace gloss::app {

toml::table parse_toml_file(const std::filesystem::path& file) {
  const std::string text = read_file(file);
  toml::parse_result result = toml::parse(text);
  if (!result) {
    const toml::source_position at = result.error().source().begin;
    fail_input(fmt::format("{}:{}:{}", file.string(), at.line, at.column), std::string(result.error().description()));
  }
  return std::move(result).table();
}

std::string where_of(const std::filesystem::path& file, const toml::node& node) {
  return fmt::format("{}:{}:{}", file.string(), node.source().begin.line, node.source().begin.column);
}

}  // namespace gloss::app
