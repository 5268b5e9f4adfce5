// The table of dialects: a row each.
#include <fmt/format.h>

#include <array>

#include "gloss/base/error.h"
#include "gloss/base/hash.h"
#include "gloss/llm/protocol_json.h"

namespace gloss::llm {
namespace {

std::vector<std::string> bearer(std::string_view key) {
  if (key.empty()) return {};
  return {fmt::format("Authorization: Bearer {}", key)};
}

/// The version is the date of the protocol, the only one there is.
std::vector<std::string> anthropic_headers(std::string_view key) {
  std::vector<std::string> headers = {"anthropic-version: 2023-06-01"};
  if (!key.empty()) headers.push_back(fmt::format("x-api-key: {}", key));
  return headers;
}

constexpr std::array<Dialect, 5> kDialects{{
    {"openai-chat", "/chat/completions", "/models", true, true, false, &chat_body, &read_completion, &bearer},
    {"openai", "/chat/completions", "/models", true, true, false, &chat_body_of_openai, &read_completion, &bearer},
    {"openai-completions", "/completions", "/models", true, false, true, &completions_body, &read_text_completion,
     &bearer},
    {"anthropic", "/messages", "/models?limit=1000", false, false, false, &anthropic_body, &read_anthropic_message,
     &anthropic_headers},
    {"openai-embeddings", "/embeddings", "/models", false, false, false, &embeddings_body, &read_embedding, &bearer},
}};

}  // namespace

std::string Dialect::hash(std::string_view request_body) const {
  Hasher hash;
  hash.add(std::string_view(path).substr(1));
  hash.add(request_body);
  return hash.digest_hex();
}

const Dialect& find_dialect(std::string_view name) {
  std::vector<std::string> known;
  for (const Dialect& dialect : kDialects) {
    if (dialect.name == name) return dialect;
    known.emplace_back(dialect.name);
  }
  fail_unknown_name("dialect", name, known);
}

}  // namespace gloss::llm
