#pragma once
/// How servers are spoken to, as bytes: bodies of requests, what a body that came back says, what to do about a status.
/// Sources: OpenAI API reference, "Create chat completion", "Create completion" and "List models"; Anthropic API
/// reference, "Messages"; RFC 9110 for statuses.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/llm/language_model.h"

namespace gloss::llm {

/// What became of one exchange.
enum class Ending : std::uint8_t {
  answered,     // reply.text
  failed,       // reply.failure; trying again would give the same
  try_again,    // reply.failure says what happened
  key_refused,  // reply.failure holds the server's words
};
struct Outcome {
  Ending ending = Ending::failed;
  Reply reply;  // hash not set
};

/// One way of speaking. A request with choices asks for one token and the most probable ones in its place, where the
/// dialect has them.
struct Dialect {
  const char* name;
  const char* path;      // below the base URL, for POST
  const char* models;    // below the base URL, for GET
  bool log_probability;  // the dialect has them; whether the server gives them is another question
  bool schema;           // the same
  bool echo;             // the same of log-probabilities of what it is given to read
  /// The JSON body of a request, canonical: keys sorted, no white space, ill-formed UTF-8 as U+FFFD.
  std::string (*body)(const Request& request, std::string_view model);
  /// Reads the answer to `request`; any bytes are accepted as `body`.
  Outcome (*read)(long status, std::string_view body, const Request& request);
  /// HTTP headers, "Name: value"; "" = no key.
  std::vector<std::string> (*headers)(std::string_view key);

  /// The key under which the reply to a body is kept: 32 hexadecimal digits, of path and body (not of the URL).
  std::string hash(std::string_view body) const;
};

/// openai-chat, openai (the same with max_completion_tokens, which OpenAI's own newer models want),
/// openai-completions, anthropic, openai-embeddings (embedding_request()). Errors: usage listing the known names.
const Dialect& find_dialect(std::string_view name);

/// The body of openai-chat.
std::string chat_body(const Request& request, std::string_view model);
/// The key of a body of openai-chat.
std::string hash_of_body(std::string_view body);
/// Reads the answer to a chat completion.
Outcome read_completion(long status, std::string_view body, const Request& request = {});

/// A text to be embedded, for the dialect openai-embeddings.
Request embedding_request(std::string text);
/// [D], unit norm: what such a reply holds. Requires: it is ok().
std::vector<float> embedding_of(const Reply& reply);

/// Whether the same request may succeed later: 408, 409, 425, 429, and 5xx but 501 and 505.
bool is_worth_retrying(long status);

/// The server's own words in an error's body, on one line and at most 300 characters; "" when there are none.
std::string server_message(std::string_view body);

/// The ids that GET /models lists. Errors: bad_input when `body` is no such list.
std::vector<std::string> read_models(std::string_view body, std::string_view where);

}  // namespace gloss::llm
