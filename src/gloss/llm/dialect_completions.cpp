// OpenAI's older completions, for servers of models without a chat template. Source: OpenAI API reference, "Create
// completion".
#include "gloss/llm/chat_template.h"
#include "gloss/llm/protocol_json.h"

namespace gloss::llm {
namespace {

constexpr std::uint32_t kTopTokens = 5;  // the most that OpenAI gives here

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

Outcome read_choice(const Json& choice, std::span<const std::string> choices) {
  Outcome outcome;
  if (!choices.empty()) take_log_probabilities(choice, choices, outcome.reply);
  if (outcome.reply.probabilities.empty()) {
    std::string text = string_member(choice, "text");
    if (is_blank(text)) return no_content(string_member(choice, "finish_reason"));
    outcome.reply.text = std::move(text);
  }
  outcome.ending = Ending::answered;
  return outcome;
}

}  // namespace

std::string completions_body(const Request& request, std::string_view model) {
  Json body;
  body["max_tokens"] = request.max_tokens;
  body["model"] = model;
  body["prompt"] = ChatTemplate::plain().render(request.messages);
  body["temperature"] = request.temperature;
  // A model without a chat template goes on with the user's next words.
  std::vector<std::string> stop = request.stop;
  stop.emplace_back("\n\nUser:");
  body["stop"] = std::move(stop);
  if (request.temperature > 0.0) body["seed"] = request.seed & 0x7FFFFFFFU;
  if (!request.choices.empty()) body["logprobs"] = kTopTokens;
  return dump(body);
}

Outcome read_text_completion(long status, std::string_view body, std::span<const std::string> choices) {
  return status == 200 ? read_openai_answer(body, &read_choice, choices) : error_of_status(status, body);
}

}  // namespace gloss::llm
