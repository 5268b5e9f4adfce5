#include "gloss/dashboard/http.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>

#include "gloss/base/utf8.h"

namespace gloss::dashboard {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kLongestTarget = 4096;
constexpr std::size_t kMostSegments = 16;
constexpr std::size_t kMostParameters = 32;

std::optional<unsigned> hex_digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a') + 10;
  if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A') + 10;
  return {};
}

std::string decoded(std::string_view text, bool plus_is_space) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      out += ' ';
    } else if (text[i] == '%') {
      const auto first = i + 1 < text.size() ? hex_digit(text[i + 1]) : std::nullopt;
      const auto second = i + 2 < text.size() ? hex_digit(text[i + 2]) : std::nullopt;
      if (!first || !second)
        throw Fault(400, fmt::format("'{}' at character {} of a part", replace_invalid_utf8(text.substr(i, 3)), i + 1),
                    "%XX with two hexadecimal digits", "the address");
      out += static_cast<char>(*first * 16 + *second);
      i += 2;
    } else {
      out += text[i];
    }
  }
  if (!is_valid_utf8(out) || out.find('\0') != std::string::npos)
    throw Fault(400, "bytes that are no text", "UTF-8 without NUL", "the address");
  return out;
}

/// Calls visit(part) for the parts of `text` between separators.
template <class Visit>
void split(std::string_view text, char separator, const Visit& visit) {
  while (true) {
    const std::size_t end = text.find(separator);
    visit(text.substr(0, end));
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + 1);
  }
}

}  // namespace

std::string Request::header(std::string_view name) const {
  std::string joined;
  const auto [first, last] = headers.equal_range(name);
  for (auto it = first; it != last; ++it) joined += (it == first ? "" : ", ") + it->second;
  return joined;
}

Fault::Fault(int status, const std::string& found, std::string wanted, std::string where, std::string hint)
    : std::runtime_error(found),
      status_(status),
      wanted_(std::move(wanted)),
      where_(std::move(where)),
      hint_(std::move(hint)) {}

Json Fault::json() const {
  return {{"error", {{"found", what()}, {"wanted", wanted_}, {"where", where_}, {"hint", hint_}}}};
}

Response json_response(int status, const Json& json) {
  Response response;
  response.status = status;
  response.body = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  return response;
}

Response fault_response(const Fault& fault) { return json_response(fault.status(), fault.json()); }

std::string Target::text(std::string_view name) const {
  const auto at = query.find(name);
  return at == query.end() ? std::string() : at->second;
}

std::uint64_t Target::number(std::string_view name, std::uint64_t otherwise, std::uint64_t low,
                             std::uint64_t high) const {
  const auto at = query.find(name);
  if (at == query.end() || at->second.empty()) return otherwise;
  const std::string& text = at->second;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < low || value > high)
    throw Fault(400, fmt::format("'{}'", text), fmt::format("a number from {} to {}", low, high), std::string(name));
  return value;
}

Target parse_target(std::string_view target) {
  if (target.size() > kLongestTarget)
    throw Fault(414, fmt::format("{} bytes", target.size()), fmt::format("at most {}", kLongestTarget), "the address");
  if (target.empty() || target.front() != '/') throw Fault(400, "no path", "an address that begins with /");
  const std::size_t question = target.find('?');
  Target result;
  split(target.substr(1, question == std::string_view::npos ? question : question - 1), '/',
        [&](std::string_view part) {
          if (result.path.size() == kMostSegments) throw Fault(404, "a path of too many parts");
          result.path.push_back(decoded(part, false));
        });
  if (question == std::string_view::npos || question + 1 == target.size()) return result;
  split(target.substr(question + 1), '&', [&](std::string_view part) {
    if (part.empty()) return;
    if (result.query.size() == kMostParameters)
      throw Fault(400, "too many parameters", fmt::format("at most {}", kMostParameters), "the address");
    const std::size_t equal = part.find('=');
    std::string name = decoded(part.substr(0, equal), true);
    std::string value = equal == std::string_view::npos ? std::string() : decoded(part.substr(equal + 1), true);
    if (!result.query.emplace(name, std::move(value)).second)
      throw Fault(400, fmt::format("'{}' twice", name), "each parameter once", "the address");
  });
  return result;
}

}  // namespace gloss::dashboard
