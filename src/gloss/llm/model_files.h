#pragma once
/// What the files beside a model say of replies.
#include <filesystem>
#include <set>
#include <string>

#include "gloss/base/ids.h"
#include "gloss/text/tokenizer.h"

namespace gloss::llm {

/// Tokens that end a reply: eos_token_id of generation_config.json and config.json, eos_token of tokenizer_config.json.
/// Files that are missing or malformed say nothing.
std::set<TokenId> ending_tokens(const std::filesystem::path& folder, const text::Tokenizer& tokenizer);

/// FOLDER@FINGERPRINT, of both what tells models apart.
std::string model_name(const std::filesystem::path& folder, const std::string& fingerprint);

}  // namespace gloss::llm
