#include "gloss/report/visible_text.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>

#include "gloss/base/utf8.h"
#include "gloss/report/terminal.h"

namespace gloss::report {
namespace {

constexpr char32_t kFirstControlPicture = 0x2400;

/// Characters that change how others are shown, or that cannot be seen at all.
bool is_invisible(char32_t c) {
  const auto in = [c](char32_t first, char32_t last) { return c >= first && c <= last; };
  return in(0x80, 0x9F) || c == 0xAD || c == 0x61C || c == 0x180E || c == 0x200B || in(0x200E, 0x200F) ||
         in(0x2028, 0x202E) || in(0x2060, 0x206F) || c == 0xFEFF || in(0xFFF9, 0xFFFB) || in(0xE0000, 0xE007F);
}

void append_visible(std::string& out, char32_t c) {
  if (c == '\n') {
    out += "⏎";
  } else if (c == '\t') {
    out += "⇥";
  } else if (c < 0x20) {
    append_utf8(out, kFirstControlPicture + c);
  } else if (c == 0x7F) {
    out += "␡";
  } else if (is_invisible(c)) {
    out += fmt::format("⟨U+{:04X}⟩", static_cast<std::uint32_t>(c));
  } else {
    append_utf8(out, c);
  }
}

}  // namespace

std::string harmless(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Decoded d = decode_utf8(text);
    append_visible(out, d.code_point);
    text.remove_prefix(d.size_bytes);
  }
  return out;
}

std::size_t columns(std::string_view text) {
  std::size_t total = 0;
  while (!text.empty()) {
    const Decoded d = decode_utf8(text);
    total += static_cast<std::size_t>(std::max(0, utf8proc_charwidth(static_cast<utf8proc_int32_t>(d.code_point))));
    text.remove_prefix(d.size_bytes);
  }
  return total;
}

std::string html_escaped(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string html_text(std::string_view text) { return html_escaped(harmless(text)); }

}  // namespace gloss::report
