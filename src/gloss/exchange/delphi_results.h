#pragma once
/// Explanations and scores of a delphi run: explanations/HOOKPOINT_latentN.txt (the text as a JSON string) and
/// scores/SCORER/HOOKPOINT_latentN.txt. Format: docs/formats/delphi.md. Source: EleutherAI/delphi @ 3c2e139,
/// __main__.py, scorers/classifier/sample.py, scorers/simulator/.
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "gloss/exchange/given_explanation.h"

namespace gloss::exchange {

struct DelphiReading {
  LeftOut left_out;
  std::map<std::string, std::size_t> unread;  // folders of scores that are not read, and their files
};
/// Calls `take` with each explanation, by hookpoint and latent, of those whose hookpoint is among `hookpoints` (empty =
/// of all): by "delphi", with its scores by detection, fuzz and simulation and the judge "delphi". Of detection and
/// fuzz everything is computed from the judgements; `activating` may be `ground_truth`, as before February 2025.
/// Errors: bad_input: no folder explanations, a file that is no such file.
DelphiReading each_delphi_explanation(const std::filesystem::path& root, const std::vector<std::string>& hookpoints,
                                      const TakeExplanation& take);

}  // namespace gloss::exchange
