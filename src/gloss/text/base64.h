#pragma once
/// Base64 (RFC 4648, section 4), as tokenizer files use it.
#include <optional>
#include <string>
#include <string_view>

namespace gloss::text {

std::string to_base64(std::string_view bytes);
/// The bytes; nothing when `text` is not base64 with its padding.
std::optional<std::string> from_base64(std::string_view text);

}  // namespace gloss::text
