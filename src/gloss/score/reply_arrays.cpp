#include "gloss/score/reply_arrays.h"

namespace gloss::score {
namespace {

/// So that a reply of brackets does not take forever.
constexpr int kMostArrays = 64;

/// Where the bracket at `open` is closed again, brackets inside of texts left aside; npos when it is not.
std::size_t closing(std::string_view reply, std::size_t open) {
  bool quoted = false;
  int depth = 0;
  for (std::size_t at = open; at < reply.size(); ++at) {
    const char c = reply[at];
    if (quoted && c == '\\') {
      ++at;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (!quoted && c == '[') {
      ++depth;
    } else if (!quoted && c == ']' && --depth == 0) {
      return at;
    }
  }
  return std::string_view::npos;
}

}  // namespace

void each_array(std::string_view reply, const std::function<bool(const nlohmann::json& array)>& take) {
  std::size_t open = reply.find('[');
  for (int tried = 0; open != std::string_view::npos && tried < kMostArrays; ++tried) {
    const std::size_t end = closing(reply, open);
    const nlohmann::json array = end == std::string_view::npos
                                     ? nlohmann::json()
                                     : nlohmann::json::parse(reply.substr(open, end - open + 1), nullptr, false);
    const bool taken = array.is_array() && take(array);
    open = reply.find('[', taken ? end + 1 : open + 1);
  }
}

}  // namespace gloss::score
