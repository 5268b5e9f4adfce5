#include "gloss/llm/protocol.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "gloss/base/error.h"
#include "gloss/base/hash.h"
#include "gloss/base/utf8.h"

namespace gloss::llm {
namespace {

using Json = nlohmann::json;
constexpr std::size_t kMessageLength = 300;

const Json* member(const Json& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::string string_member(const Json& object, std::string_view key) {
  const Json* value = member(object, key);
  return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
}

/// Printable, on one line, at most `limit` code points.
std::string shortened(std::string_view text, std::size_t limit) {
  std::string out;
  std::size_t count = 0;
  bool space = false;
  while (!text.empty()) {
    const Decoded c = decode_utf8(text);
    text.remove_prefix(c.size_bytes);
    if (c.code_point <= U' ' || c.code_point == 0x7F) {
      space = !out.empty();
      continue;
    }
    if (count >= limit) return out + "...";
    if (space) out += ' ';
    space = false;
    append_utf8(out, c.code_point);
    ++count;
  }
  return out;
}

std::uint32_t count_member(const Json& object, std::string_view key) {
  const Json* value = member(object, key);
  if (value == nullptr || !value->is_number_unsigned()) return 0;
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint32_t>::max();
  return static_cast<std::uint32_t>(std::min(value->get<std::uint64_t>(), kMost));
}

Outcome failure(Ending ending, std::string reason) {
  Outcome outcome;
  outcome.ending = ending;
  outcome.reply.failure = std::move(reason);
  return outcome;
}

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

Outcome read_choice(const Json& choice) {
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
  std::optional<std::string> text = content_text(*message);
  if (!text || text->find_first_not_of(" \t\r\n") == std::string::npos) {
    outcome = failure(Ending::failed, fmt::format("the reply has no content (finish_reason {})",
                                                  finish.empty() ? "not given" : shortened(finish, 40)));
    outcome.reply.refused = true;
    return outcome;
  }
  outcome.ending = Ending::answered;
  outcome.reply.text = *std::move(text);
  return outcome;
}

Outcome read_answer(std::string_view body) {
  const Json json = Json::parse(body, nullptr, false);
  if (json.is_discarded()) {
    return failure(Ending::try_again, fmt::format("the reply of {} bytes is not JSON", body.size()));
  }
  if (const Json* error = member(json, "error")) return error_inside(*error);
  const Json* choices = member(json, "choices");
  if (choices == nullptr || !choices->is_array()) return failure(Ending::failed, "the reply holds no list of choices");
  if (choices->empty()) return failure(Ending::failed, "the reply's list of choices is empty");
  Outcome outcome = read_choice(choices->front());
  if (const Json* usage = member(json, "usage")) {
    outcome.reply.prompt_tokens = count_member(*usage, "prompt_tokens");
    outcome.reply.completion_tokens = count_member(*usage, "completion_tokens");
  }
  return outcome;
}

}  // namespace

std::string chat_body(const Request& request, std::string_view model) {
  Json body;  // an object's keys are sorted by nlohmann::json
  body["max_tokens"] = request.max_tokens;
  body["model"] = model;
  body["temperature"] = request.temperature;
  Json& messages = body["messages"] = Json::array();
  for (const Message& m : request.messages) messages.push_back({{"role", m.role}, {"content", m.content}});
  return body.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string hash_of_body(std::string_view body) {
  Hasher hash;
  hash.add("chat/completions");
  hash.add(body);
  return hash.digest_hex();
}

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

Outcome read_completion(long status, std::string_view body) {
  if (status == 200) return read_answer(body);
  const std::string words = server_message(body);
  std::string reason = fmt::format("the server answered {}{}{}", status, words.empty() ? "" : ": ", words);
  if (status == 401 || status == 403) return failure(Ending::key_refused, std::move(reason));
  return failure(is_worth_retrying(status) ? Ending::try_again : Ending::failed, std::move(reason));
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
