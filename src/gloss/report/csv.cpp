#include "gloss/report/csv.h"

#include <fmt/format.h>

#include <cmath>

#include "gloss/base/utf8.h"

namespace gloss::report {

std::string csv_text(std::string_view text) {
  std::string value = replace_invalid_utf8(text);
  if (!value.empty() && std::string_view("=+-@\t\r").find(value.front()) != std::string_view::npos)
    value.insert(0, "'");
  if (value.find_first_of(",\"\r\n") == std::string::npos) return value;
  std::string quoted = "\"";
  for (const char c : value) quoted.append(c == '"' ? 2 : 1, c);
  return quoted + "\"";
}

std::string csv_number(double value) { return std::isnan(value) ? std::string() : fmt::format("{:.6g}", value); }

}  // namespace gloss::report
