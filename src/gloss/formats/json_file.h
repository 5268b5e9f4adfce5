#pragma once
/// JSON files from outside, with errors that say where.
#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace gloss::formats {

/// Errors: bad_input with file and byte when it is missing or no JSON.
nlohmann::json read_json(const std::filesystem::path& path);
nlohmann::json parse_json(std::string_view text, std::string_view where);

/// Reads fields of one JSON object with checks; `where` (file, key) begins every message.
class Fields {
 public:
  /// Errors: bad_input when `object` is no object. Lifetime: `object` must outlive this.
  Fields(const nlohmann::json& object, std::string where);

  bool has(std::string_view key) const;  // present and not null
  /// Errors: bad_input when missing without a fallback, of another type, or out of [low, high].
  std::uint64_t integer(std::string_view key, std::uint64_t low, std::uint64_t high,
                        std::optional<std::uint64_t> fallback = {}) const;
  double number(std::string_view key, std::optional<double> fallback = {}) const;
  bool boolean(std::string_view key, std::optional<bool> fallback = {}) const;
  std::string string(std::string_view key, std::optional<std::string> fallback = {}) const;
  const nlohmann::json& at(std::string_view key) const;
  const std::string& where() const { return where_; }

 private:
  const nlohmann::json* object_;
  std::string where_;
};

}  // namespace gloss::formats
