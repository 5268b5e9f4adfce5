// Anthropic's messages. Source: Anthropic API reference, "Messages", "Prompt caching", "Handling stop reasons".
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "gloss/llm/protocol_json.h"

namespace gloss::llm {
namespace {

Json text_block(const std::string& text) { return {{"type", "text"}, {"text", text}}; }

std::uint32_t bounded_sum(std::initializer_list<std::uint32_t> counts) {
  std::uint64_t sum = 0;
  for (const std::uint32_t count : counts) sum += count;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(sum, std::numeric_limits<std::uint32_t>::max()));
}

/// What it counts as input is what was neither read from its cache nor written to it.
void take_usage(const Json& usage, Reply& reply) {
  reply.cached_tokens = count_member(usage, "cache_read_input_tokens");
  reply.kept_tokens = count_member(usage, "cache_creation_input_tokens");
  reply.prompt_tokens = bounded_sum({count_member(usage, "input_tokens"), reply.cached_tokens, reply.kept_tokens});
  reply.completion_tokens = count_member(usage, "output_tokens");
}

Outcome error_inside(const Json& error) {
  const std::string type = string_member(error, "type");
  const bool again = type == "overloaded_error" || type == "rate_limit_error" || type == "api_error";
  return failure(again ? Ending::try_again : Ending::failed,
                 fmt::format("the server answered 200 with an error: {}",
                             shortened(string_member(error, "message"), kMessageLength)));
}

}  // namespace

/// Everything before the last message is the same for all requests of a kind: its end is where the cache is told to
/// keep it.
std::string anthropic_body(const Request& request, std::string_view model) {
  Json system = Json::array();
  Json messages = Json::array();
  for (const Message& m : request.messages) {
    if (m.role == "system")
      system.push_back(text_block(m.content));
    else
      messages.push_back({{"role", m.role}, {"content", Json::array({text_block(m.content)})}});
  }
  const Json cache = {{"type", "ephemeral"}};
  if (messages.size() > 1)
    messages[messages.size() - 2]["content"].back()["cache_control"] = cache;
  else if (!system.empty())
    system.back()["cache_control"] = cache;
  Json body;
  body["max_tokens"] = request.max_tokens;
  body["messages"] = std::move(messages);
  body["model"] = model;
  if (!request.stop.empty()) body["stop_sequences"] = request.stop;
  if (!system.empty()) body["system"] = std::move(system);
  body["temperature"] = request.temperature;
  return dump(body);
}

Outcome read_anthropic_message(long status, std::string_view body, const Request&) {
  if (status != 200) return error_of_status(status, body);
  const Json json = Json::parse(body, nullptr, false);
  if (json.is_discarded())
    return failure(Ending::try_again, fmt::format("the reply of {} bytes is not JSON", body.size()));
  if (const Json* error = member(json, "error")) return error_inside(*error);
  const Json* content = member(json, "content");
  if (content == nullptr || !content->is_array()) return failure(Ending::failed, "the reply holds no list of content");
  std::string text;
  for (const Json& block : *content) {
    if (string_member(block, "type") == "text") text += string_member(block, "text");
  }
  const std::string stop = string_member(json, "stop_reason");
  Outcome outcome;
  if (stop == "refusal") {
    outcome = failure(Ending::failed,
                      fmt::format("the model refused{}{}", text.empty() ? "" : ": ", shortened(text, kMessageLength)));
    outcome.reply.refused = true;
  } else if (is_blank(text)) {
    outcome = no_content(stop);
  } else {
    outcome.ending = Ending::answered;
    outcome.reply.text = std::move(text);
  }
  if (const Json* usage = member(json, "usage")) take_usage(*usage, outcome.reply);
  return outcome;
}

}  // namespace gloss::llm
