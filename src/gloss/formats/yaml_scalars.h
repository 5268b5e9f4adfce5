#pragma once
/// Single values out of small YAML files of other tools; not a YAML reader.
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace gloss::formats {

/// The values of a mapping's own keys ("model_name: Qwen/Qwen3-4B"), by key. What lies deeper is passed over, and kept
/// as the kind of thing it is, so that asking for it says what was found.
/// Source: YAML 1.2, block mappings with plain, single- and double-quoted scalars on one line.
class YamlScalars {
 public:
  /// Errors: bad_input naming file and line: bytes that are no text, tabs before a key, a line that is no "key: value",
  /// a key twice, a quoted value without its end or with what follows it; a file of more than 1 MiB.
  static YamlScalars read(const std::filesystem::path& path);
  static YamlScalars parse(std::string_view text, std::string where);

  /// The value as text; `fallback` when the key is not there or null. Errors: bad_input: neither value nor fallback;
  /// the key holds a list, a mapping, text over several lines, an anchor, alias or tag.
  std::string get(std::string_view key, const std::optional<std::string>& fallback = {}) const;

 private:
  struct Value {
    std::string text;
    std::string_view kind;  // "" = one value; else what it is instead
    std::size_t line = 0;
  };

  std::string where_;
  std::map<std::string, Value, std::less<>> values_;
};

}  // namespace gloss::formats
