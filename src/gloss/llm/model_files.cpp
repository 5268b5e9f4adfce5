#include "gloss/llm/model_files.h"

#include <fmt/format.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "gloss/base/output_file.h"

namespace gloss::llm {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kShownDigits = 8;  // of the fingerprint, in the name

Json read_object(const std::filesystem::path& file) {
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) return Json::object();
  Json json = Json::parse(read_file(file), nullptr, false);
  return json.is_object() ? json : Json::object();
}

}  // namespace

std::set<TokenId> ending_tokens(const std::filesystem::path& folder, const text::Tokenizer& tokenizer) {
  std::set<TokenId> ends;
  for (const char* name : {"generation_config.json", "config.json"}) {
    const Json json = read_object(folder / name);
    const auto found = json.find("eos_token_id");
    if (found == json.end()) continue;
    for (const Json& id : found->is_array() ? *found : Json::array({*found})) {
      if (id.is_number_unsigned()) ends.insert(TokenId{static_cast<std::uint32_t>(id.get<std::uint64_t>())});
    }
  }
  const Json settings = read_object(folder / "tokenizer_config.json");
  const auto token = settings.find("eos_token");
  if (token != settings.end()) {
    const Json& content = token->is_object() && token->contains("content") ? (*token)["content"] : *token;
    const auto id = content.is_string() ? tokenizer.id_of(content.get<std::string>()) : std::nullopt;
    if (id) ends.insert(*id);
  }
  return ends;
}

std::string model_name(const std::filesystem::path& folder, const std::string& fingerprint) {
  std::error_code ignored;
  std::filesystem::path whole = std::filesystem::weakly_canonical(folder, ignored);
  if (!whole.has_filename()) whole = whole.parent_path();
  return fmt::format("{}@{}", whole.filename().string(), fingerprint.substr(0, kShownDigits));
}

}  // namespace gloss::llm
