#pragma once
/// Which string each token of a model is, and back.
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace gloss::text {

/// No vocabulary may have ids from here on: several times the largest known.
inline constexpr std::uint32_t kMaxTokens = 1U << 22;

/// Strings by index, in one block of memory that moves keep in its place.
class StringTable {
 public:
  explicit StringTable(const std::vector<std::string>& strings);
  StringTable() : StringTable(std::vector<std::string>{}) {}

  std::uint32_t size() const { return static_cast<std::uint32_t>(begin_.size() - 1); }
  /// Requires: i < size().
  std::string_view operator[](std::uint32_t i) const { return {text_.data() + begin_[i], begin_[i + 1] - begin_[i]}; }

 private:
  std::vector<char> text_;
  std::vector<std::size_t> begin_;  // size() + 1
};

/// The model's own vocabulary, without added tokens. Ids may have gaps.
class Vocabulary {
 public:
  /// Reads {"token": id, ...}. Errors: bad_input, beginning with `where`: ids that are no whole numbers, too large or
  /// twice.
  static Vocabulary parse(const nlohmann::json& json, const std::string& where);
  /// Ids are places. Of equal tokens the last is found.
  static Vocabulary of_tokens(const std::vector<std::string>& tokens);
  Vocabulary() = default;
  Vocabulary(Vocabulary&&) noexcept = default;  // no copies: ids_ points into strings_
  Vocabulary& operator=(Vocabulary&&) noexcept = default;

  std::optional<std::uint32_t> id_of(std::string_view token) const;
  /// The token; nothing in a gap or past the end.
  std::optional<std::string_view> token(std::uint32_t id) const;
  /// How many tokens there are.
  std::uint32_t count() const { return static_cast<std::uint32_t>(ids_.size()); }
  /// One more than the largest id.
  std::uint32_t end() const { return strings_.size(); }

 private:
  StringTable strings_;
  std::vector<bool> present_;
  std::unordered_map<std::string_view, std::uint32_t> ids_;  // views into strings_
};

}  // namespace gloss::text
