#pragma once
/// Bytes as printable characters, so that a vocabulary of bytes can be written as text.
/// Source: GPT-2 (Radford et al. 2019), `bytes_to_unicode`: bytes that print in Latin-1 stand for themselves, the other
/// 68 are U+0100, U+0101, ... in ascending order.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gloss::text {

/// The character that stands for `byte`.
std::string_view byte_level_character(std::uint8_t byte);
/// The byte that `c` stands for, if it stands for one.
std::optional<std::uint8_t> byte_level_byte(char32_t c);

/// Appends each byte's character.
void append_byte_level(std::string& out, std::string_view bytes);
/// The bytes that the characters of `text` stand for; nothing when one of them stands for none.
std::optional<std::string> from_byte_level(std::string_view text);

}  // namespace gloss::text
