// Log-probabilities of a text that the model was given to read, from a completion that repeats its prompt. Source:
// OpenAI API reference, "Create completion", `echo` and `logprobs`; vLLM and llama-cpp-python answer alike.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>

#include "gloss/base/utf8.h"
#include "gloss/llm/protocol_json.h"

namespace gloss::llm {
namespace {

/// Where each token begins in `text`, in bytes: by their own texts, which must spell it, perhaps after a token that
/// begins texts and is not shown; else by text_offset, in characters. Nothing when neither fits.
std::optional<std::vector<std::size_t>> begins_of(const Json& tokens, const Json* offsets, std::string_view text) {
  std::string spelled;
  std::vector<std::size_t> begins;
  for (const Json& token : tokens) {
    begins.push_back(spelled.size());
    if (!token.is_string()) return std::nullopt;
    spelled += token.get_ref<const std::string&>();
  }
  if (spelled.ends_with(text)) {
    const std::size_t before = spelled.size() - text.size();
    for (std::size_t& begin : begins) begin = std::max(begin, before) - before;
    return begins;
  }
  if (offsets == nullptr || !offsets->is_array() || offsets->size() != tokens.size()) return std::nullopt;
  std::vector<std::size_t> bytes;  // of each character
  for (std::size_t at = 0; at < text.size(); at += decode_utf8(text.substr(at)).size_bytes) bytes.push_back(at);
  bytes.push_back(text.size());
  begins.clear();
  for (const Json& offset : *offsets) {
    if (!offset.is_number_unsigned() || offset.get<std::uint64_t>() >= bytes.size()) return std::nullopt;
    begins.push_back(bytes[offset.get<std::size_t>()]);
  }
  return std::is_sorted(begins.begin(), begins.end()) ? std::optional(begins) : std::nullopt;
}

/// The values that are among the most probable tokens of a place, given that one of them stands there.
std::vector<double> weigh_values(const Json* top, std::size_t token, const std::vector<std::string>& values) {
  std::vector<double> row(values.size(), 0.0);
  if (top == nullptr || !top->is_array() || token >= top->size() || !(*top)[token].is_object()) return row;
  double sum = 0.0;
  for (std::size_t v = 0; v < values.size(); ++v) {
    const Json* value = member((*top)[token], values[v]);
    if (value == nullptr || !value->is_number() || !std::isfinite(value->get<double>())) continue;
    row[v] = std::exp(std::min(value->get<double>(), 0.0));
    sum += row[v];
  }
  if (sum > 0.0) {
    for (double& p : row) p /= sum;
  }
  return row;
}

/// Whether the log-probabilities may be those of the places they are listed at. What the model wrote behind the text's
/// `end` must be among them, and at temperature 0 it is the most probable token there. llama-cpp-python 0.3 lists each
/// a place early for models without a token that begins texts, and what was written not at all.
bool are_of_their_places(const Json& values, const Json* top, const std::vector<std::size_t>& begins, std::size_t end,
                         std::string_view text) {
  const auto written = static_cast<std::size_t>(std::lower_bound(begins.begin(), begins.end(), end) - begins.begin());
  if (written >= begins.size()) return text.size() <= end;
  if (!values[written].is_number()) return true;
  if (top == nullptr || !top->is_array() || top->size() != begins.size() || !(*top)[written].is_object()) return true;
  const double own = values[written].get<double>();
  return std::all_of((*top)[written].begin(), (*top)[written].end(),
                     [&](const Json& value) { return !value.is_number() || value.get<double>() <= own + 1e-4; });
}

}  // namespace

std::string take_echo(const Json& choice, const Request& request, Reply& reply) {
  if (request.choices.size() != 1) return "only one text can be read at a time";
  const std::string prompt = replace_invalid_utf8(completions_prompt(request));
  const std::string wanted = replace_invalid_utf8(request.choices.front());
  const std::string text = string_member(choice, "text");
  if (!text.starts_with(prompt + wanted)) return "the server does not repeat what it is given to read (echo)";
  const Json* found = member(choice, "logprobs");
  const Json* tokens = found == nullptr ? nullptr : member(*found, "tokens");
  const Json* values = found == nullptr ? nullptr : member(*found, "token_logprobs");
  if (tokens == nullptr || values == nullptr || !tokens->is_array() || !values->is_array() ||
      tokens->size() != values->size())
    return "the server gives no log-probabilities of what it is given to read";
  const auto begins = begins_of(*tokens, member(*found, "text_offset"), text);
  if (!begins) return "the tokens of the server's log-probabilities do not spell the text";
  const std::size_t from = prompt.size(), to = from + wanted.size();
  const Json* top = member(*found, "top_logprobs");
  if (!are_of_their_places(*values, top, *begins, to, text))
    return "the server's log-probabilities are not those of the places it tells";
  double sum = 0.0;
  std::size_t count = 0;
  for (std::size_t i = 0; i < begins->size(); ++i) {
    const std::size_t end = i + 1 < begins->size() ? (*begins)[i + 1] : text.size();
    if (end <= from || (*begins)[i] >= to) continue;
    if (!(*values)[i].is_number() || !std::isfinite((*values)[i].get<double>())) continue;
    sum += (*values)[i].get<double>();
    ++count;
  }
  if (count == 0) return "no token of the text has a log-probability";
  reply.text = request.choices.front();
  if (request.places.empty()) {
    reply.probabilities = {std::exp(std::min(sum / static_cast<double>(count), 0.0))};
    return "";
  }
  reply.probabilities.clear();
  for (const std::size_t place : request.places) {
    const auto at = std::find(begins->begin(), begins->end(), from + place);
    const std::vector<double> row = weigh_values(at == begins->end() ? nullptr : top,
                                                 static_cast<std::size_t>(at - begins->begin()), request.values);
    reply.probabilities.insert(reply.probabilities.end(), row.begin(), row.end());
  }
  return "";
}

}  // namespace gloss::llm
