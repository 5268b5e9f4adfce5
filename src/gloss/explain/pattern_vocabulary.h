#pragma once
/// Private to `pattern`: what is known of a token without its neighbours, and of a character.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/explain/pattern.h"

namespace gloss::explain {

/// What kind a character is, as far as patterns tell characters apart.
enum class CharKind : std::uint8_t {
  space,
  newline,
  letter,
  digit,
  apostrophe,
  quote,
  open,
  close,
  stop,
  punctuation,
  other
};

struct Character {
  CharKind kind = CharKind::other;
  bool upper = false;
  bool latin = true;  // false: a letter of another script
  char32_t folded = 0;
};
Character character_of(char32_t code_point);

/// Letters in lower case, spaces at the head left out, ill-formed bytes kept as they are.
std::string fold_text(std::string_view bytes);

struct Vocabulary::Impl {
  struct Token {
    std::string bytes;
    std::uint32_t text = 0;  // index in `texts`: tokens that differ in case or leading space only share it
    bool special = false;
  };
  std::vector<Token> tokens;
  std::vector<std::string> texts;
  std::vector<std::uint32_t> token_of_text;  // the first token of each text
  std::string fingerprint;                   // of bytes and special, 32 hexadecimal digits

  /// Shapes: bytes [V], special [V].
  static Impl make(std::vector<std::string> bytes, const std::vector<bool>& special);
};

}  // namespace gloss::explain
