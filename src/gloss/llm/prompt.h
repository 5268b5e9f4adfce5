#pragma once
/// The texts that are sent to language models: files in prompts/, part of the program, replaceable by a folder of one's
/// own.
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/llm/client.h"

namespace gloss::llm {

/// Messages with named places, `{{name}}`, that are filled in for each request.
/// A file holds remarks, then for each message a line `--- system`, `--- user` or `--- assistant` and its text.
/// A line that begins with `{{+name}}` is there only when the switch `name` is on, one with `{{-name}}` only when it is
/// off; several may stand together. Immutable.
class PromptTemplate {
 public:
  using Switches = std::map<std::string, bool, std::less<>>;

  /// NAME.txt of `folder` when that is not empty and has such a file, else the text built into the program.
  /// Requires: without a folder, a name in prompts/. Errors: as parse(); bad_input when `folder` is no folder.
  static PromptTemplate load(std::string_view name, const std::filesystem::path& folder,
                             std::span<const std::string> places, const Switches& switches = {});
  /// Errors: bad_input naming `where` and line: a role, place or switch that is not known, a place of `places` that the
  /// last message lacks, no message, or a last message that is not the user's. A name in `places` that begins with '?'
  /// need not be used.
  static PromptTemplate parse(std::string_view text, const std::string& where, std::span<const std::string> places,
                              const Switches& switches = {});

  /// The messages with every place filled. What is filled in is not looked at again, whatever it holds.
  std::vector<Message> fill(const std::map<std::string, std::string, std::less<>>& values) const;
  /// Hash of the messages, 32 hexadecimal digits: the version of the prompt.
  const std::string& fingerprint() const { return fingerprint_; }

 private:
  struct Piece {
    bool is_place;
    std::string text;
  };
  struct Part {
    std::string role;
    std::vector<Piece> pieces;
  };
  static std::vector<Piece> cut(std::string_view text, const std::string& where, std::span<const std::string> places);

  std::vector<Part> parts_;
  std::string fingerprint_;
};

/// `text` as a JSON string on one line: newlines, quotes and control characters escaped, ill-formed bytes as U+FFFD.
std::string as_json_string(std::string_view text);
/// `1. "first"`, `2. "second"`...: texts that may hold anything, one a line.
std::string numbered(std::span<const std::string> texts);

}  // namespace gloss::llm
