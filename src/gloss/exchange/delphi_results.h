#pragma once
/// Explanations and scores of a delphi run: explanations/HOOKPOINT_latentN.txt (the text as a JSON string) and
/// scores/SCORER/HOOKPOINT_latentN.txt. Format: docs/formats/delphi.md. Source: EleutherAI/delphi @ 3c2e139,
/// __main__.py, scorers/classifier/sample.py, scorers/simulator/.
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
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

/// HOOKPOINT_latentN.txt, the name of a latent's files.
std::string delphi_name(const std::string& hookpoint, LatentId latent);
/// The text of a file of explanations: a JSON string.
std::string delphi_explanation(const std::string& text);
/// A window as a file of scores has it. Shapes: tokens, activations [W].
struct DelphiWindow {
  std::vector<std::string> tokens;
  std::vector<float> activations;
};
/// The text of a file of detection's or fuzz's judgements, in their order. `distance` is quantiles - quantile, so 0 for
/// the strongest, and -1 where `activating` is false: the window does not fire (detection), or its marks are wrong.
std::string delphi_judgements(std::span<const score::Judgement> judgements, std::uint32_t quantiles,
                              const std::function<DelphiWindow(const score::Judgement&)>& window_of);

}  // namespace gloss::exchange
