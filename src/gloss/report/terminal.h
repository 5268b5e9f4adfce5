#pragma once
/// `gloss show`: one latent as text or as JSON. Returns strings, never prints.
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "gloss/report/run_data.h"

namespace gloss::report {

struct ShowOptions {
  bool color = false;         // ANSI colours graded by activation; else << >> around marked tokens
  std::size_t width = 100;    // columns of the terminal
  std::size_t examples = 12;  // activating windows shown
  std::size_t silent = 3;     // silent windows shown
  std::size_t wrong = 5;      // wrongly judged windows shown for each score
};

/// Explanations, scores with intervals and denominators, examples. Text from the run is made harmless: control
/// characters and bidirectional overrides are shown as visible signs. Errors: bad_input when the run has no such
/// latent.
std::string show_text(const RunData& data, std::string_view hookpoint, LatentId latent, const ShowOptions& options);
nlohmann::json show_json(const RunData& data, std::string_view hookpoint, LatentId latent, const ShowOptions& options);

/// `text` with newline, tab, control and direction-changing characters as visible signs; ill-formed bytes as U+FFFD.
std::string harmless(std::string_view text);
/// Columns of a terminal that `text` (valid UTF-8) takes: 2 for wide characters, 0 for combining ones.
std::size_t columns(std::string_view text);

}  // namespace gloss::report
