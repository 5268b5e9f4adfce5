#include "gloss/llm/prompt.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <system_error>

#include "gloss/base/error.h"
#include "gloss/base/hash.h"
#include "gloss/base/output_file.h"

namespace gloss::llm {

std::string_view embedded_prompt(std::string_view file_name);  // made by cmake/embed.cmake

namespace {

constexpr std::string_view kMessageMark = "--- ";

bool is_known_role(std::string_view role) { return role == "system" || role == "user" || role == "assistant"; }

std::string_view without_last_newline(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

/// Takes the switches off the front of a line; whether they let it stand.
bool passes_switches(std::string_view& line, const std::string& where, const PromptTemplate::Switches& switches) {
  bool stands = true;
  while (line.starts_with("{{+") || line.starts_with("{{-")) {
    const bool wanted = line[2] == '+';
    const std::size_t close = line.find("}}");
    if (close == std::string_view::npos) fail_input(where, "'{{' without '}}'");
    const std::string_view name = line.substr(3, close - 3);
    const auto found = switches.find(name);
    if (found == switches.end()) {
      std::vector<std::string> known;
      for (const auto& [key, on] : switches) known.push_back(key);
      fail_input(where, fmt::format("unknown switch '{}'; known: {}", name,
                                    known.empty() ? "none" : fmt::format("{}", fmt::join(known, ", "))));
    }
    stands = stands && found->second == wanted;
    line.remove_prefix(close + 2);
  }
  return stands;
}

/// The names without the '?' of those that may be left out.
std::vector<std::string> bare_names(std::span<const std::string> places) {
  std::vector<std::string> names;
  for (const std::string& place : places) names.push_back(place.starts_with('?') ? place.substr(1) : place);
  return names;
}

}  // namespace

PromptTemplate PromptTemplate::load(std::string_view name, const std::filesystem::path& folder,
                                    std::span<const std::string> places, const Switches& switches) {
  const std::string file_name = fmt::format("{}.txt", name);
  if (!folder.empty()) {
    std::error_code ignored;
    if (!std::filesystem::is_directory(folder, ignored)) {
      fail_input(folder.string(), "no such folder of prompts", fmt::format("it may hold {}", file_name));
    }
    const std::filesystem::path path = folder / file_name;
    if (std::filesystem::exists(path, ignored)) return parse(read_file(path), path.string(), places, switches);
  }
  return parse(embedded_prompt(file_name), "built-in " + file_name, places, switches);
}

PromptTemplate PromptTemplate::parse(std::string_view text, const std::string& where,
                                     std::span<const std::string> places, const Switches& switches) {
  PromptTemplate prompt;
  std::string_view role;
  std::string body;  // of the message that is being read
  std::size_t line_number = 0, first_line = 0;
  Hasher hash;
  const auto close_message = [&] {
    if (first_line == 0) return;
    const std::string_view bare = without_last_newline(body);
    prompt.parts_.push_back(
        {std::string(role), cut(bare, fmt::format("{}, message of line {}", where, first_line), places)});
    hash.add(role);
    hash.add(bare);
    body.clear();
  };
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = without_last_newline(text.substr(begin, end - begin));
    ++line_number;
    if (line.starts_with(kMessageMark)) {
      close_message();
      role = line.substr(kMessageMark.size());
      if (!is_known_role(role)) {
        fail_input(fmt::format("{}:{}", where, line_number),
                   fmt::format("a message of '{}', wanted system, user or assistant", role));
      }
      first_line = line_number;
    } else if (std::string_view shown = text.substr(begin, std::min(end + 1, text.size()) - begin);
               first_line > 0 && passes_switches(shown, fmt::format("{}:{}", where, line_number), switches)) {
      body += shown;
    }
    begin = end + 1;
  }
  close_message();
  if (prompt.parts_.empty()) fail_input(where, "holds no message", "messages begin with a line such as '--- user'");
  if (prompt.parts_.back().role != "user") {
    fail_input(where, fmt::format("the last message is of {}, wanted user", prompt.parts_.back().role));
  }
  for (const std::string& place : places) {
    const std::vector<Piece>& last = prompt.parts_.back().pieces;
    const bool used =
        std::any_of(last.begin(), last.end(), [&](const Piece& p) { return p.is_place && p.text == place; });
    if (!place.starts_with('?') && !used) {
      fail_input(where, fmt::format("the last message lacks the place {{{{{}}}}}", place));
    }
  }
  prompt.fingerprint_ = hash.digest_hex();
  return prompt;
}

std::vector<PromptTemplate::Piece> PromptTemplate::cut(std::string_view text, const std::string& where,
                                                       std::span<const std::string> places) {
  const std::vector<std::string> known = bare_names(places);
  std::vector<Piece> pieces;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t open = std::min(text.find("{{", at), text.size());
    if (open > at) pieces.push_back({false, std::string(text.substr(at, open - at))});
    if (open == text.size()) break;
    const std::size_t close = text.find("}}", open);
    if (close == std::string_view::npos) fail_input(where, "'{{' without '}}'");
    const std::string name(text.substr(open + 2, close - open - 2));
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      const std::string nearest = nearest_name(name, known);
      fail_input(where, fmt::format("unknown place {{{{{}}}}}; known: {}", name, fmt::join(known, ", ")),
                 nearest.empty() ? "" : fmt::format("did you mean {{{{{}}}}}?", nearest));
    }
    pieces.push_back({true, name});
    at = close + 2;
  }
  return pieces;
}

std::vector<Message> PromptTemplate::fill(const std::map<std::string, std::string, std::less<>>& values) const {
  std::vector<Message> messages;
  messages.reserve(parts_.size());
  for (const Part& part : parts_) {
    Message& message = messages.emplace_back();
    message.role = part.role;
    for (const Piece& piece : part.pieces) message.content += piece.is_place ? values.at(piece.text) : piece.text;
  }
  return messages;
}

std::string as_json_string(std::string_view text) {
  // U+2028, U+2029 and U+0085 are line breaks to some readers, U+007F is a control character; JSON need not escape
  // them.
  std::string json = nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  constexpr std::pair<std::string_view, std::string_view> kMore[] = {
      {"\u2028", "\\u2028"}, {"\u2029", "\\u2029"}, {"\u0085", "\\u0085"}, {"\x7f", "\\u007f"}};
  for (const auto& [from, to] : kMore) {
    for (std::size_t at = json.find(from); at != std::string::npos; at = json.find(from, at + to.size())) {
      json.replace(at, from.size(), to);
    }
  }
  return json;
}

std::string numbered(std::span<const std::string> texts) {
  std::string lines;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (i > 0) lines += '\n';
    lines += fmt::format("{}. {}", i + 1, as_json_string(texts[i]));
  }
  return lines;
}

}  // namespace gloss::llm
