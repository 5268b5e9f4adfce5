#pragma once
/// Files of tiktoken's kind: one token a line, in base64, and its rank.
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace gloss::text {

/// How a family cuts texts before merging.
struct Tiktoken {
  std::string words;  // regular expression
  bool nfc = false;   // texts are normalized first
};

/// The tokenizer.json that makes the ids of a file of ranks, without added tokens and post-processor.
/// Source: openai/tiktoken: two tokens side by side become one when their bytes together have a rank, the lowest first;
/// a word that has a rank is that token. Errors: bad_input, beginning with `where`, naming the line: no base64, no
/// rank, a token or rank twice; a byte without token.
nlohmann::json from_tiktoken(std::string_view text, const Tiktoken& family, const std::string& where);

/// Whether `text` begins as such a file.
bool looks_like_tiktoken(std::string_view text);

}  // namespace gloss::text
