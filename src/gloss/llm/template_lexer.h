#pragma once
/// A chat template as words. Private to the module.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gloss::llm {

enum class WordKind : std::uint8_t { text, open_output, close_output, open_tag, close_tag, name, string, number, sign };

struct Word {
  WordKind kind = WordKind::text;
  std::string text;  // of a string: what it says
  std::uint32_t line = 0;
};

/// The words in order; text between tags with white space taken away where the tags say so, as with trim_blocks and
/// lstrip_blocks. Comments are left out. Errors: bad_input naming `where` and line: what does not end, or is no word.
std::vector<Word> read_words(std::string_view source, const std::string& where);

/// Throws bad_input at a line of a template.
[[noreturn]] void fail_template(const std::string& where, std::uint32_t line, std::string_view what,
                                std::string_view hint = {});

}  // namespace gloss::llm
