#pragma once
/// CSV as RFC 4180 has it, for people who open it in a spreadsheet.
#include <string>
#include <string_view>

namespace gloss::report {

/// A field of text: quoted where needed, ill-formed UTF-8 as U+FFFD, and an apostrophe before what a spreadsheet would
/// take for a formula.
std::string csv_text(std::string_view text);
/// Six significant digits; nothing for NaN.
std::string csv_number(double value);

}  // namespace gloss::report
