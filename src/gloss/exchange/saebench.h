#pragma once
/// SAEBench's result of its evaluation `autointerp`: RELEASE_ID_eval_results.json. Format:
/// docs/formats/explanations.md. Source: adamkarvonen/SAEBench @ 8042bb3, sae_bench/evals/autointerp/ and
/// evals/base_eval_output.py.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "gloss/exchange/given_explanation.h"
#include "gloss/store/store.h"

namespace gloss::exchange {

/// Calls `take` with each explanation for the latents of `hookpoint`: by "saebench", and where the file has predictions
/// the score by detection of the judge "saebench", computed from them; SAEBench's own number is plain accuracy, which
/// says-none gives 0.714. Latents without an explanation are left out. Errors: bad_input: another evaluation, a key
/// that is missing or of another type, a sequence number beyond the windows.
LeftOut each_saebench_explanation(const std::filesystem::path& file, const std::string& hookpoint,
                                  const TakeExplanation& take);

/// What the result says of the run it is from.
struct SaebenchOrigin {
  std::string hookpoint, model, dataset, release, created_by;  // created_by: "gloss 0.1.0 (3f2a91c)"
  std::uint64_t tokens = 0, seed = 1, created_ms = 0;
  std::uint32_t ctx_len = 0, window = 0, shown = 0;  // tokens of a window; activating windows that explainers are shown
};
struct SaebenchWritten {
  std::string text;
  std::size_t latents = 0;
  std::size_t unscored = 0;  // explained, but without an answered judgement
};
/// The scores by detection of `judge` for the explanations of `explainer`. Errors: bad_input when fewer than two
/// latents have one: there would be no standard deviation.
SaebenchWritten saebench_result(const store::Store& store, const SaebenchOrigin& origin, const std::string& explainer,
                                const std::string& judge);

}  // namespace gloss::exchange
