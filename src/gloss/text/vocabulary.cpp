#include "gloss/text/vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "gloss/base/error.h"

namespace gloss::text {
namespace {

std::uint32_t read_id(const std::string& token, const nlohmann::json& id, const std::string& where) {
  if (!id.is_number_unsigned() || id.get<std::uint64_t>() >= kMaxTokens)
    fail_input(where, fmt::format("token '{}' has id {}, wanted a whole number below {}", token,
                                  id.is_structured() ? id.type_name() : id.dump(), kMaxTokens));
  return id.get<std::uint32_t>();
}

}  // namespace

StringTable::StringTable(const std::vector<std::string>& strings) {
  begin_.reserve(strings.size() + 1);
  begin_.push_back(0);
  for (const std::string& s : strings) {
    text_.insert(text_.end(), s.begin(), s.end());
    begin_.push_back(text_.size());
  }
}

Vocabulary Vocabulary::parse(const nlohmann::json& json, const std::string& where) {
  if (!json.is_object()) fail_input(where, fmt::format("is {}, wanted an object of ids", json.type_name()));
  std::uint32_t end = 0;
  for (const auto& [token, id] : json.items()) end = std::max(end, read_id(token, id, where) + 1);
  std::vector<std::string> strings(end);
  Vocabulary v;
  v.present_.resize(end);
  for (const auto& [token, id] : json.items()) {
    const auto i = id.get<std::uint32_t>();
    if (v.present_[i]) fail_input(where, fmt::format("tokens '{}' and '{}' have the same id {}", strings[i], token, i));
    v.present_[i] = true;
    strings[i] = token;
  }
  v.strings_ = StringTable(strings);
  v.ids_.reserve(json.size());
  for (std::uint32_t i = 0; i < end; ++i) {
    if (v.present_[i]) v.ids_.emplace(v.strings_[i], i);
  }
  return v;
}

Vocabulary Vocabulary::of_tokens(const std::vector<std::string>& tokens) {
  Vocabulary v;
  v.strings_ = StringTable(tokens);
  v.present_.assign(tokens.size(), true);
  v.ids_.reserve(tokens.size());
  for (std::uint32_t i = 0; i < tokens.size(); ++i) v.ids_[v.strings_[i]] = i;
  return v;
}

std::optional<std::uint32_t> Vocabulary::id_of(std::string_view token) const {
  const auto it = ids_.find(token);
  if (it == ids_.end()) return {};
  return it->second;
}

std::optional<std::string_view> Vocabulary::token(std::uint32_t id) const {
  if (id >= strings_.size() || !present_[id]) return {};
  return strings_[id];
}

}  // namespace gloss::text
