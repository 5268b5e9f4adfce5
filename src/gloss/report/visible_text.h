#pragma once
/// Text of a run, made safe to look at. Private to the report.
#include <string>
#include <string_view>

namespace gloss::report {

/// For HTML text and attribute values: & < > " ' become references. Requires: valid UTF-8 (see harmless()).
std::string html_escaped(std::string_view text);
/// harmless() and html_escaped().
std::string html_text(std::string_view text);

}  // namespace gloss::report
