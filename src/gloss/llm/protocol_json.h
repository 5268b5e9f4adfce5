#pragma once
/// What the dialects share in reading and writing JSON. Private to the module.
#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gloss/llm/protocol.h"

namespace gloss::llm {

using Json = nlohmann::json;
inline constexpr std::size_t kMessageLength = 300;  // of a server's words that are shown

/// Null when there is none, or it is null.
const Json* member(const Json& object, std::string_view key);
/// "" when it is no text.
std::string string_member(const Json& object, std::string_view key);
/// 0 when it is no whole number from 0 on; bounded, not wrapped.
std::uint32_t count_member(const Json& object, std::string_view key);
/// Printable, on one line, at most `limit` code points.
std::string shortened(std::string_view text, std::size_t limit);
bool is_blank(std::string_view text);
/// Canonical: keys sorted, no white space, ill-formed UTF-8 as U+FFFD.
std::string dump(const Json& body);

Outcome failure(Ending ending, std::string reason);
/// What a status other than 200 means.
Outcome error_of_status(long status, std::string_view body);
/// An answer that says nothing, with the server's reason for its end.
Outcome no_content(std::string_view finish);

/// Sets probabilities and text of a reply from the tokens that could have stood in its place, each with its
/// log-probability; tokens that are no choice, a space before them left away, do not count. A choice that is not among
/// the tokens has probability 0; the reply stays as it is when none is.
void take_probabilities(const std::vector<std::pair<std::string, double>>& tokens, std::span<const std::string> choices,
                        Reply& reply);

/// The tokens that could have stood in the place of a reply's first one, as chat completions list them
/// (logprobs.content); some servers do so for text completions too. Leaves the reply as it is when there are none.
void take_listed_probabilities(const Json& choice, std::span<const std::string> choices, Reply& reply);

/// Of a text completion that repeats its prompt: the probabilities of what it read, for a request per_token or with
/// places. The reason why they cannot be told; "" = they were.
std::string take_echo(const Json& choice, const Request& request, Reply& reply);

/// The parts of an OpenAI-like answer around its list of choices or data: errors inside, the list, `usage`; `read`
/// reads its first item.
Outcome read_openai_answer(std::string_view body, Outcome (*read)(const Json& item, const Request& request),
                           const Request& request, std::string_view list = "choices");

/// Whether `text` is {"answers": [...]} with so many items.
bool holds_answers(std::string_view text, std::size_t count);

// The dialects' functions, for the table in dialect.cpp; contracts: protocol.h.

std::string chat_body_of_openai(const Request& request, std::string_view model);  // max_completion_tokens
std::string completions_body(const Request& request, std::string_view model);
/// What is read in the place of a conversation: the prompt of completions.
std::string completions_prompt(const Request& request);
Outcome read_text_completion(long status, std::string_view body, const Request& request);
std::string anthropic_body(const Request& request, std::string_view model);
Outcome read_anthropic_message(long status, std::string_view body, const Request& request);
std::string embeddings_body(const Request& request, std::string_view model);
Outcome read_embedding(long status, std::string_view body, const Request& request);

}  // namespace gloss::llm
