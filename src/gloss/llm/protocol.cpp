#include "gloss/llm/protocol.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "gloss/base/error.h"
#include "gloss/base/hash.h"
#include "gloss/llm/protocol_json.h"

namespace gloss::llm {
namespace {

constexpr std::uint32_t kTopTokens = 20;  // the most that OpenAI and vLLM give

/// The text of a message's content: a string, or the text parts of a list; none when it is null or something else.
std::optional<std::string> content_text(const Json& message) {
  const Json* content = member(message, "content");
  if (content == nullptr) return std::nullopt;
  if (content->is_string()) return content->get<std::string>();
  if (!content->is_array()) return std::nullopt;
  std::string text;
  for (const Json& part : *content) text += string_member(part, "text");
  return text;
}

/// A body of status 200 that says error nevertheless, as some relays send.
Outcome error_inside(const Json& error) {
  const Json* code = member(error, "code");
  const bool again = code != nullptr && code->is_number_integer() && is_worth_retrying(code->get<long>());
  const std::string words = error.is_string() ? error.get<std::string>() : string_member(error, "message");
  return failure(again ? Ending::try_again : Ending::failed,
                 fmt::format("the server answered 200 with an error: {}", shortened(words, kMessageLength)));
}

Outcome read_choice(const Json& choice, const Request& request) {
  const Json* message = member(choice, "message");
  if (message == nullptr) return failure(Ending::failed, "the reply's first choice holds no message");
  const std::string finish = string_member(choice, "finish_reason");
  Outcome outcome;
  const std::string refusal = string_member(*message, "refusal");
  if (!refusal.empty()) {
    outcome = failure(Ending::failed, fmt::format("the model refused: {}", shortened(refusal, kMessageLength)));
    outcome.reply.refused = true;
    return outcome;
  }
  if (!request.choices.empty()) take_listed_probabilities(choice, request.choices, outcome.reply);
  if (outcome.reply.probabilities.empty()) {
    std::optional<std::string> text = content_text(*message);
    if (!text || is_blank(*text)) return no_content(finish);
    outcome.reply.text = *std::move(text);
  }
  outcome.ending = Ending::answered;
  return outcome;
}

Json chat_json(const Request& request, std::string_view model, const char* limit) {
  Json body;  // an object's keys are sorted by nlohmann::json
  body[limit] = request.max_tokens;
  body["model"] = model;
  body["temperature"] = request.temperature;
  Json& messages = body["messages"] = Json::array();
  for (const Message& m : request.messages) messages.push_back({{"role", m.role}, {"content", m.content}});
  if (!request.stop.empty()) body["stop"] = request.stop;
  if (request.temperature > 0.0) body["seed"] = request.seed & 0x7FFFFFFFU;  // servers take what fits a signed number
  if (!request.choices.empty()) {
    body["logprobs"] = true;
    body["top_logprobs"] = kTopTokens;
  }
  if (!request.schema.empty()) {
    body["response_format"] = {
        {"type", "json_schema"},
        {"json_schema", {{"name", "answer"}, {"strict", true}, {"schema", Json::parse(request.schema)}}}};
  }
  return body;
}

}  // namespace

void take_listed_probabilities(const Json& choice, std::span<const std::string> choices, Reply& reply) {
  const Json* log_probabilities = member(choice, "logprobs");
  const Json* content = log_probabilities == nullptr ? nullptr : member(*log_probabilities, "content");
  if (content == nullptr || !content->is_array() || content->empty()) return;
  const Json* top = member(content->front(), "top_logprobs");
  if (top == nullptr || !top->is_array()) return;
  std::vector<std::pair<std::string, double>> tokens;
  for (const Json& token : *top) {
    const Json* value = member(token, "logprob");
    if (value != nullptr && value->is_number())
      tokens.emplace_back(string_member(token, "token"), value->get<double>());
  }
  take_probabilities(tokens, choices, reply);
}

Outcome read_openai_answer(std::string_view body, Outcome (*read)(const Json& item, const Request& request),
                           const Request& request, std::string_view list) {
  const Json json = Json::parse(body, nullptr, false);
  if (json.is_discarded()) {
    return failure(Ending::try_again, fmt::format("the reply of {} bytes is not JSON", body.size()));
  }
  if (const Json* error = member(json, "error")) return error_inside(*error);
  const Json* items = member(json, list);
  if (items == nullptr || !items->is_array())
    return failure(Ending::failed, fmt::format("the reply holds no list of {}", list));
  if (items->empty()) return failure(Ending::failed, fmt::format("the reply's list of {} is empty", list));
  Outcome outcome = read(items->front(), request);
  if (const Json* usage = member(json, "usage")) {
    outcome.reply.prompt_tokens = count_member(*usage, "prompt_tokens");
    outcome.reply.completion_tokens = count_member(*usage, "completion_tokens");
    if (const Json* details = member(*usage, "prompt_tokens_details"))
      outcome.reply.cached_tokens = std::min(count_member(*details, "cached_tokens"), outcome.reply.prompt_tokens);
  }
  return outcome;
}

std::string chat_body(const Request& request, std::string_view model) {
  return dump(chat_json(request, model, "max_tokens"));
}

std::string chat_body_of_openai(const Request& request, std::string_view model) {
  return dump(chat_json(request, model, "max_completion_tokens"));
}

std::string hash_of_body(std::string_view body) { return find_dialect("openai-chat").hash(body); }

bool is_worth_retrying(long status) {
  switch (status) {
    case 408:
    case 409:
    case 425:
    case 429:
      return true;
    case 501:
    case 505:
      return false;
    default:
      return status >= 500 && status <= 599;
  }
}

std::string server_message(std::string_view body) {
  const Json json = Json::parse(body, nullptr, false);
  if (json.is_discarded()) return shortened(body, kMessageLength);
  const Json* error = member(json, "error");
  if (error != nullptr && error->is_string()) return shortened(error->get<std::string>(), kMessageLength);
  for (const Json* object : {error, &json}) {
    if (object == nullptr) continue;
    for (const std::string_view key : {"message", "detail"}) {
      const std::string words = string_member(*object, key);
      if (!words.empty()) return shortened(words, kMessageLength);
    }
  }
  return shortened(body, kMessageLength);
}

Outcome read_completion(long status, std::string_view body, const Request& request) {
  return status == 200 ? read_openai_answer(body, &read_choice, request) : error_of_status(status, body);
}

std::vector<std::string> read_models(std::string_view body, std::string_view where) {
  const Json json = Json::parse(body, nullptr, false);
  const Json* list = json.is_discarded() ? nullptr : member(json, "data");
  if (list == nullptr || !list->is_array()) {
    fail_input(where, fmt::format("answered with {} bytes that are no list of models", body.size()),
               "is this the base URL of an OpenAI-compatible server, such as http://127.0.0.1:8000/v1?");
  }
  std::vector<std::string> ids;
  for (const Json& model : *list) {
    std::string id = string_member(model, "id");
    if (!id.empty()) ids.push_back(std::move(id));
  }
  return ids;
}

}  // namespace gloss::llm
