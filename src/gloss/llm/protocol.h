#pragma once
/// The chat completions protocol as bytes: bodies of requests, what a body that came back says, what to do about a
/// status. Source: OpenAI API reference, "Create chat completion" and "List models"; RFC 9110 for statuses.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/llm/client.h"

namespace gloss::llm {

/// The JSON body of a request, canonical: keys sorted, no white space, ill-formed UTF-8 as U+FFFD.
std::string chat_body(const Request& request, std::string_view model);
/// The key under which its reply is kept: 32 hexadecimal digits, of the body alone (not of the URL).
std::string hash_of_body(std::string_view body);

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

/// Reads the answer to a chat completion. Any bytes are accepted as `body`.
Outcome read_completion(long status, std::string_view body);

/// Whether the same request may succeed later: 408, 409, 425, 429, and 5xx but 501 and 505.
bool is_worth_retrying(long status);

/// The server's own words in an error's body, on one line and at most 300 characters; "" when there are none.
std::string server_message(std::string_view body);

/// The ids that GET /models lists. Errors: bad_input when `body` is no such list.
std::vector<std::string> read_models(std::string_view body, std::string_view where);

}  // namespace gloss::llm
