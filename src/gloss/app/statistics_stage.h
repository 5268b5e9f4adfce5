#pragma once
/// What `gloss cache` tells of the latents that it cached (docs/formats/statistics.md).
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "gloss/app/run_folder.h"
#include "gloss/base/reporter.h"
#include "gloss/index/statistics.h"
#include "gloss/text/token_file.h"

namespace gloss::app {

/// The tokens of a run as statistics look them up. Lifetime: views of `tokens`, which outlives the result.
index::IndexedTokens indexed_tokens(const RunFolder& run, const text::TokenFile& tokens, std::size_t threads);

/// Makes the statistics of a finished index where they are missing (an older gloss wrote it, or the file was deleted);
/// false when they were there. Errors: bad_input: not a sound file, or the index belongs to other tokens.
bool make_statistics(const RunFolder& run, const std::string& hookpoint, const text::TokenFile& tokens,
                     std::size_t threads, Reporter& report);

/// The latents of a hookpoint by kind: for people, and as `gloss cache --json` gives them.
std::string describe_line(const std::string& hookpoint, const index::StatisticsReader& statistics);
nlohmann::ordered_json to_json(const std::string& hookpoint, const index::StatisticsReader& statistics);

}  // namespace gloss::app
