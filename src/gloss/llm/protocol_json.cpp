#include "gloss/llm/protocol_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "gloss/base/utf8.h"

namespace gloss::llm {

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

Outcome error_of_status(long status, std::string_view body) {
  const std::string words = server_message(body);
  std::string reason = fmt::format("the server answered {}{}{}", status, words.empty() ? "" : ": ", words);
  if (status == 401 || status == 403) return failure(Ending::key_refused, std::move(reason));
  return failure(is_worth_retrying(status) ? Ending::try_again : Ending::failed, std::move(reason));
}

Outcome no_content(std::string_view finish) {
  Outcome outcome = failure(Ending::failed, fmt::format("the reply has no content (finish_reason {})",
                                                        finish.empty() ? "not given" : shortened(finish, 40)));
  outcome.reply.refused = true;
  return outcome;
}

bool is_blank(std::string_view text) { return text.find_first_not_of(" \t\r\n") == std::string_view::npos; }

bool holds_answers(std::string_view text, std::size_t count) {
  const Json json = Json::parse(text, nullptr, false);
  const Json* answers = json.is_discarded() ? nullptr : member(json, "answers");
  return answers != nullptr && answers->is_array() && answers->size() == count;
}

std::string dump(const Json& body) { return body.dump(-1, ' ', false, Json::error_handler_t::replace); }

void take_probabilities(const std::vector<std::pair<std::string, double>>& tokens, std::span<const std::string> choices,
                        Reply& reply) {
  std::vector<double> mass(choices.size(), 0.0);
  double sum = 0.0;
  for (const auto& [token, log_probability] : tokens) {
    std::string_view word = token;
    if (word.starts_with("\xC4\xA0") || word.starts_with("\xE2\x96\x81"))
      word.remove_prefix(word.front() == '\xC4' ? 2 : 3);  // how vocabularies write a space
    while (word.starts_with(' ')) word.remove_prefix(1);
    const auto found = std::find(choices.begin(), choices.end(), word);
    if (found == choices.end() || !std::isfinite(log_probability)) continue;
    const double p = std::exp(std::min(log_probability, 0.0));
    mass[static_cast<std::size_t>(found - choices.begin())] += p;
    sum += p;
  }
  if (!(sum > 0.0)) return;
  for (double& p : mass) p = std::min(p / sum, 1.0);
  reply.text = choices[static_cast<std::size_t>(std::max_element(mass.begin(), mass.end()) - mass.begin())];
  reply.probabilities = std::move(mass);
}

}  // namespace gloss::llm
