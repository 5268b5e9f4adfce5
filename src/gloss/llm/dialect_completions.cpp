// OpenAI's older completions, for servers of models without a chat template. Source: OpenAI API reference, "Create
// completion".
#include "gloss/llm/chat_template.h"
#include "gloss/llm/protocol_json.h"

namespace gloss::llm {
namespace {

constexpr std::uint32_t kTopTokens = 5;     // the most that OpenAI gives here
constexpr std::uint32_t kTopAtPlaces = 20;  // the most that vLLM gives by itself

/// top_logprobs: for each place, an object of token -> log-probability.
void take_log_probabilities(const Json& choice, std::span<const std::string> choices, Reply& reply) {
  const Json* log_probabilities = member(choice, "logprobs");
  const Json* places = log_probabilities == nullptr ? nullptr : member(*log_probabilities, "top_logprobs");
  if (places == nullptr || !places->is_array() || places->empty() || !places->front().is_object()) return;
  std::vector<std::pair<std::string, double>> tokens;
  for (const auto& [token, value] : places->front().items()) {
    if (value.is_number()) tokens.emplace_back(token, value.get<double>());
  }
  take_probabilities(tokens, choices, reply);
}

Outcome read_choice(const Json& choice, const Request& request) {
  Outcome outcome;
  if (request.is_read()) {
    std::string reason = take_echo(choice, request, outcome.reply);
    if (!reason.empty()) return failure(Ending::failed, std::move(reason));
    outcome.ending = Ending::answered;
    return outcome;
  }
  if (!request.choices.empty()) {
    take_log_probabilities(choice, request.choices, outcome.reply);
    if (outcome.reply.probabilities.empty()) take_listed_probabilities(choice, request.choices, outcome.reply);
  }
  if (outcome.reply.probabilities.empty()) {
    std::string text = string_member(choice, "text");
    if (is_blank(text)) return no_content(string_member(choice, "finish_reason"));
    outcome.reply.text = std::move(text);
  }
  outcome.ending = Ending::answered;
  return outcome;
}

}  // namespace

std::string completions_prompt(const Request& request) { return ChatTemplate::plain().render(request.messages); }

std::string completions_body(const Request& request, std::string_view model) {
  Json body;
  body["model"] = model;
  body["prompt"] = completions_prompt(request) + (request.is_read() ? request.choices.front() : std::string());
  body["temperature"] = request.temperature;
  if (request.is_read()) {
    // Some servers take 0 for no limit, so that one token more is written than is wanted.
    body["echo"] = true;
    body["logprobs"] = request.places.empty() ? 1 : kTopAtPlaces;
    body["max_tokens"] = 1;
    return dump(body);
  }
  body["max_tokens"] = request.max_tokens;
  // A model without a chat template goes on with the user's next words.
  std::vector<std::string> stop = request.stop;
  stop.emplace_back("\n\nUser:");
  body["stop"] = std::move(stop);
  if (request.temperature > 0.0) body["seed"] = request.seed & 0x7FFFFFFFU;
  if (!request.choices.empty()) body["logprobs"] = kTopTokens;
  return dump(body);
}

Outcome read_text_completion(long status, std::string_view body, const Request& request) {
  return status == 200 ? read_openai_answer(body, &read_choice, request) : error_of_status(status, body);
}

}  // namespace gloss::llm
