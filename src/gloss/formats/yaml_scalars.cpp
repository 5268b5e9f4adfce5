#include "gloss/formats/yaml_scalars.h"

#include <fmt/format.h>

#include <algorithm>

#include "gloss/base/error.h"
#include "gloss/base/output_file.h"

namespace gloss::formats {
namespace {

constexpr std::size_t kLargest = std::size_t{1} << 20;
constexpr std::string_view kMapping = "a list or mapping of its own";

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(' ');
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(' ') - begin + 1);
}

/// Without a comment, which begins at the line's start or after a space.
std::string_view without_comment(std::string_view text) {
  if (text.starts_with('#')) return {};
  const std::size_t at = text.find(" #");
  return trimmed(text.substr(0, at));
}

bool is_text(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) >= ' ' || c == '\n' || c == '\r' || c == '\t';
  });
}

/// What a value that is not on one line, or not one value, is; "" for one that is.
std::string_view kind_of(std::string_view value) {
  switch (value.front()) {
    case '[':
    case '{':
      return kMapping;
    case '|':
    case '>':
      return "text over several lines";
    case '&':
    case '*':
      return "an anchor or alias";
    case '!':
      return "a tag";
    case '%':
    case '@':
    case '`':
      return "a reserved character";
    default:
      return "";
  }
}

/// The text between quotes that begin `value`. In single quotes '' is one; in double quotes only \" and \\ are known.
std::string unquoted(std::string_view value, const std::string& where) {
  const char quote = value.front();
  std::string text;
  for (std::size_t i = 1; i < value.size(); ++i) {
    const char next = i + 1 < value.size() ? value[i + 1] : '\0';
    if (quote == '"' && value[i] == '\\') {
      if (next != '"' && next != '\\') fail_input(where, "has an escape other than \\\" and \\\\ in double quotes");
      text += next;
      ++i;
    } else if (value[i] != quote) {
      text += value[i];
    } else if (quote == '\'' && next == quote) {
      text += quote;
      ++i;
    } else {
      if (!without_comment(value.substr(i + 1)).empty()) fail_input(where, "has something after a quoted value");
      return text;
    }
  }
  fail_input(where, "has a quoted value without an end on its line");
}

bool is_null(std::string_view text) { return text.empty() || text == "~" || text == "null"; }

}  // namespace

YamlScalars YamlScalars::read(const std::filesystem::path& path) { return parse(read_file(path), path.string()); }

YamlScalars YamlScalars::parse(std::string_view text, std::string where) {
  if (text.size() > kLargest)
    fail_input(where, fmt::format("has {} bytes, wanted a small file of settings", text.size()));
  if (!is_text(text)) fail_input(where, "is no text, wanted YAML");
  YamlScalars result;
  result.where_ = std::move(where);
  Value* last = nullptr;
  for (std::size_t number = 1; !text.empty(); ++number) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.ends_with('\r')) line.remove_suffix(1);
    const std::string at = fmt::format("{}: line {}", result.where_, number);
    if (without_comment(line).empty() || line == "---") continue;
    if (line.front() == '\t') fail_input(at, "begins with a tab", "YAML is indented with spaces");
    if (line.front() == ' ' || line.front() == '-') {  // belongs to the key before
      if (last == nullptr) fail_input(at, "is no 'key: value'");
      if (last->kind.empty()) last->kind = last->text.empty() ? kMapping : "text over several lines";
      continue;
    }
    const std::size_t colon = line.find(':');
    const std::string_view key = line.substr(0, colon);
    if (colon == std::string_view::npos || (colon + 1 < line.size() && line[colon + 1] != ' ') || key.empty())
      fail_input(at, "is no 'key: value'");
    std::string_view value = without_comment(trimmed(line.substr(colon + 1)));
    const auto [entry, is_new] = result.values_.try_emplace(std::string(trimmed(key)));
    if (!is_new) fail_input(at, fmt::format("has '{}' again", trimmed(key)));
    last = &entry->second;
    last->line = number;
    if (value.empty()) continue;
    if (value.front() == '"' || value.front() == '\'') {
      last->text = unquoted(trimmed(line.substr(colon + 1)), at);
      continue;
    }
    last->kind = kind_of(value);
    if (!is_null(value)) last->text = value;
  }
  return result;
}

std::string YamlScalars::get(std::string_view key, const std::optional<std::string>& fallback) const {
  const auto it = values_.find(key);
  if (it != values_.end() && !it->second.kind.empty())
    fail_input(fmt::format("{}: line {}", where_, it->second.line),
               fmt::format("'{}' is {}, wanted one value on its line", key, it->second.kind));
  if (it != values_.end() && !it->second.text.empty()) return it->second.text;
  if (!fallback) fail_input(where_, fmt::format("has no '{}'", key));
  return *fallback;
}

}  // namespace gloss::formats
