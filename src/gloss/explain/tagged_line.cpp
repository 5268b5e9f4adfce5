#include "gloss/explain/tagged_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

namespace gloss::explain {
namespace {

constexpr std::string_view kMarkdown = " \t*_#>`-";  // what may stand before the tag
constexpr std::string_view kEmphasis = "*_`";

std::string_view without_front(std::string_view text, std::string_view set) {
  return text.substr(std::min(text.find_first_not_of(set), text.size()));
}

std::string_view trimmed(std::string_view text) {
  text = without_front(text, " \t\r");
  return text.substr(0, text.find_last_not_of(" \t\r") + 1);
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

/// Takes `[tag]` off the front of a line, if it stands there.
bool take_tag(std::string_view& line, std::string_view tag) {
  if (line.size() < tag.size() + 2 || line[0] != '[' || line[tag.size() + 1] != ']') return false;
  const std::string_view name = line.substr(1, tag.size());
  if (!std::equal(tag.begin(), tag.end(), name.begin(), [](char a, char b) { return a == lower(b); })) return false;
  line.remove_prefix(tag.size() + 2);
  return true;
}

/// What follows tag and colon, if the line begins with them. Bold may close before or after the colon
/// ("**[EXPLANATION]:** text", "**[EXPLANATION]**: text") or at the end of the line.
std::optional<std::string_view> after_tag(std::string_view line, std::string_view tag) {
  std::string_view rest = without_front(line, kMarkdown);
  const std::string_view before = line.substr(0, line.size() - rest.size());
  if (!take_tag(rest, tag)) return std::nullopt;
  rest = without_front(rest, " \t*_`");
  if (!rest.starts_with(':')) return std::nullopt;
  rest.remove_prefix(1);
  if (before.find_first_of(kEmphasis) == std::string_view::npos) return trimmed(rest);
  rest = trimmed(without_front(rest, kEmphasis));
  for (const std::string_view mark : {"**", "__", "*", "_", "`"}) {
    // What opened before the tag closes here, unless it opened within the text.
    if (rest.ends_with(mark) && rest.find(mark) + mark.size() == rest.size()) rest.remove_suffix(mark.size());
  }
  return trimmed(rest);
}

}  // namespace

std::optional<std::string_view> last_tagged_line(std::string_view reply, std::string_view tag) {
  std::optional<std::string_view> last;
  for (std::size_t at = 0; at <= reply.size();) {
    const std::size_t end = std::min(reply.find('\n', at), reply.size());
    if (const auto found = after_tag(reply.substr(at, end - at), tag)) last = found;
    at = end + 1;
  }
  return last;
}

Explanation parse_explanation(std::string_view reply) {
  Explanation explanation;
  const auto text = last_tagged_line(reply, "explanation");
  if (!text) {
    explanation.failure = "the reply has no line that begins with [EXPLANATION]:";
  } else if (text->empty()) {
    explanation.failure = "the reply's explanation is empty";
  } else {
    explanation.text = *text;
  }
  return explanation;
}

Explanation parse_input_output(std::string_view reply) {
  Explanation explanation;
  const auto input = last_tagged_line(reply, "input");
  const auto output = last_tagged_line(reply, "output");
  if (!input || !output) {
    explanation.failure = fmt::format("the reply has no line that begins with [{}]:", input ? "OUTPUT" : "INPUT");
  } else if (input->empty() || output->empty()) {
    explanation.failure = fmt::format("the reply's {} description is empty", input->empty() ? "input" : "output");
  } else {
    explanation.text = fmt::format("fires on {}; writes {}", *input, *output);
  }
  return explanation;
}

}  // namespace gloss::explain
