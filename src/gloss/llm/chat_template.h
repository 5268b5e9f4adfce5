#pragma once
/// How a chat model wants a conversation written down: the Jinja template that comes with it.
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "gloss/llm/language_model.h"

namespace gloss::llm {

/// Immutable; copies share. Supported is what the templates of the common families use, as listed in
/// docs/native-engine.md; the white space rules are those of transformers (trim_blocks, lstrip_blocks).
class ChatTemplate {
 public:
  /// The template of a model folder: chat_template.jinja, else `chat_template` of tokenizer_config.json (a text, or a
  /// list of named ones, of which "default"), else the plain one. Its special tokens are those of
  /// tokenizer_config.json. Errors: bad_input naming file, line and construct for what is malformed or not supported.
  static ChatTemplate load(const std::filesystem::path& folder);
  using Tokens = std::map<std::string, std::string>;  // bos_token, eos_token ... as the template calls them
  static ChatTemplate parse(std::string_view source, const std::string& where, Tokens tokens = {});
  /// For models without one: "System: ...", "User: ...", "Assistant: ..." with an empty line between, and "Assistant:"
  /// at the end.
  static ChatTemplate plain();

  /// The conversation, up to where the model's reply begins. A template that refuses a system message gets its text at
  /// the head of the first message of the user instead. Variables: messages, add_generation_prompt (true),
  /// enable_thinking (false), tools and documents (none) and the special tokens; the day is always the first of 2025,
  /// so that the same messages give the same text on any day. Errors: bad_input naming file, line and construct, or the
  /// template's own words where it refuses the messages.
  std::string render(std::span<const Message> messages) const;

  bool is_plain() const;
  const std::string& where() const;  // the file it was read from
  /// Hash of the template and its tokens, 32 hexadecimal digits.
  const std::string& fingerprint() const;

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

}  // namespace gloss::llm
