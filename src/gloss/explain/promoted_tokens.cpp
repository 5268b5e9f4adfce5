#include "gloss/explain/promoted_tokens.h"

#include <fmt/format.h>

#include "gloss/examples/token_window.h"
#include "gloss/llm/prompt.h"

namespace gloss::explain {
namespace {

std::string joined(const text::Tokenizer& tokenizer, std::span<const index::WeightEntry> entries) {
  std::string list;
  for (const index::WeightEntry& entry : entries) {
    const TokenId id{entry.id};
    list += fmt::format("{}{}", list.empty() ? "" : ", ",
                        llm::as_json_string(examples::plain_text(tokenizer, std::span(&id, 1))));
  }
  return list;
}

}  // namespace

std::string token_list(const text::Tokenizer& tokenizer, std::span<const index::WeightEntry> entries) {
  return "[" + joined(tokenizer, entries) + "]";
}

Explanation explain_promoted_tokens(const text::Tokenizer& tokenizer, LatentId latent,
                                    std::span<const index::WeightEntry> promoted) {
  Explanation explanation;
  explanation.latent = latent;
  if (promoted.empty())
    explanation.failure = "it promotes no token";
  else
    explanation.text = "writes " + joined(tokenizer, promoted);
  return explanation;
}

}  // namespace gloss::explain
