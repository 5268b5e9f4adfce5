#include "gloss/llm/chat_template.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>
#include <vector>

#include "gloss/base/error.h"
#include "gloss/base/hash.h"
#include "gloss/base/output_file.h"
#include "gloss/llm/template_lexer.h"
#include "gloss/llm/template_run.h"

namespace gloss::llm {
namespace {

using Json = nlohmann::json;

const std::string kPlainName = "the plain chat template";
constexpr std::string_view kPlain =
    "{% for m in messages %}{{ m.role | capitalize }}: {{ m.content }}\n\n{% endfor %}Assistant:";

/// tokenizer_config.json, or an empty object where there is none.
Json read_settings(const std::filesystem::path& file) {
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) return Json::object();
  Json settings = Json::parse(read_file(file), nullptr, false);
  if (!settings.is_object()) fail_input(file.string(), "is no JSON object");
  return settings;
}

/// Every key that ends in "_token": a text, or an object with the text as "content".
ChatTemplate::Tokens special_tokens(const Json& settings) {
  ChatTemplate::Tokens tokens;
  for (const auto& [key, value] : settings.items()) {
    if (!key.ends_with("_token")) continue;
    const Json& content = value.is_object() && value.contains("content") ? value["content"] : value;
    if (content.is_string()) tokens[key] = content.get<std::string>();
  }
  return tokens;
}

/// The text of `chat_template`; none where the key is missing.
std::optional<std::string> template_text(const Json& settings, const std::string& where) {
  const auto found = settings.find("chat_template");
  if (found == settings.end() || found->is_null()) return std::nullopt;
  if (found->is_string()) return found->get<std::string>();
  std::vector<std::string> names;
  if (found->is_array()) {
    for (const Json& entry : *found) {
      if (!entry.is_object() || !entry.contains("name") || !entry.contains("template")) continue;
      if (!entry["name"].is_string() || !entry["template"].is_string()) continue;
      names.push_back(entry["name"].get<std::string>());
      if (names.back() == "default") return entry["template"].get<std::string>();
    }
  }
  fail_input(where, fmt::format("chat_template is no text and no list with a template named 'default' (it has: {})",
                                names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "))));
}

/// The messages with the system's text at the head of the first user's; none where there is nothing to move.
std::optional<std::vector<Message>> without_system(std::span<const Message> messages) {
  std::vector<Message> others;
  std::string system;
  for (const Message& m : messages) {
    if (m.role == "system") {
      system += m.content + "\n\n";
      continue;
    }
    others.push_back(m);
    if (m.role == "user" && !system.empty()) {
      others.back().content = system + m.content;
      system.clear();
    }
  }
  if (others.size() == messages.size() || !system.empty()) return std::nullopt;
  return others;
}

}  // namespace

struct ChatTemplate::Impl {
  std::string where;
  Body body;
  Tokens tokens;
  std::string fingerprint;

  std::string run(std::span<const Message> messages) const {
    List list;
    for (const Message& m : messages)
      list.push_back(Value::map({{"role", Value::text(m.role)}, {"content", Value::text(m.content)}}));
    Map variables = {{"messages", Value::list(std::move(list))},
                     {"add_generation_prompt", Value(true)},
                     {"enable_thinking", Value(false)},
                     {"tools", Value(nullptr)},
                     {"documents", Value(nullptr)}};
    for (const auto& [name, token] : tokens) variables.emplace_back(name, Value::text(token));
    return run_template(body, where, variables);
  }
};

ChatTemplate ChatTemplate::load(const std::filesystem::path& folder) {
  const std::filesystem::path settings_file = folder / "tokenizer_config.json";
  const std::filesystem::path own_file = folder / "chat_template.jinja";
  const Json settings = read_settings(settings_file);
  std::error_code ignored;
  if (std::filesystem::exists(own_file, ignored)) {
    return parse(read_file(own_file), own_file.string(), special_tokens(settings));
  }
  const std::optional<std::string> text = template_text(settings, settings_file.string());
  if (!text) return plain();
  return parse(*text, settings_file.string() + ": chat_template", special_tokens(settings));
}

ChatTemplate ChatTemplate::parse(std::string_view source, const std::string& where, Tokens tokens) {
  const auto impl = std::make_shared<Impl>();
  impl->where = where;
  impl->body = parse_template(source, where);
  impl->tokens = std::move(tokens);
  Hasher hash;
  hash.add(source);
  for (const auto& [name, token] : impl->tokens) {
    hash.add(name);
    hash.add(token);
  }
  impl->fingerprint = hash.digest_hex();
  ChatTemplate result;
  result.impl_ = impl;
  return result;
}

ChatTemplate ChatTemplate::plain() { return parse(kPlain, kPlainName); }

std::string ChatTemplate::render(std::span<const Message> messages) const {
  try {
    return impl_->run(messages);
  } catch (const TemplateRefusal& refusal) {
    const auto moved = without_system(messages);
    if (!moved) fail_template(impl_->where, refusal.line, fmt::format("refuses the messages: {}", refusal.words));
    try {
      return impl_->run(*moved);
    } catch (const TemplateRefusal& again) {
      fail_template(impl_->where, again.line, fmt::format("refuses the messages: {}", again.words));
    }
  }
}

const std::string& ChatTemplate::where() const { return impl_->where; }
bool ChatTemplate::is_plain() const { return impl_->where == kPlainName; }
const std::string& ChatTemplate::fingerprint() const { return impl_->fingerprint; }

}  // namespace gloss::llm
