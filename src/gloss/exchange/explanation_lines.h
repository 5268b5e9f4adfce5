#pragma once
/// Explanations as JSON lines: gloss's own, and those of Neuronpedia's bulk files. Format:
/// docs/formats/explanations.md.
#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/exchange/given_explanation.h"
#include "gloss/store/store.h"

namespace gloss::exchange {

/// Calls `take` with each line that holds an explanation, and its scores; those of failed ones are left out. Errors:
/// bad_input with file and line: no JSON object, a key that is missing or of another type, an empty text; as add_score.
LeftOut each_explanation_line(const std::filesystem::path& file, const TakeExplanation& take);
/// The same of Neuronpedia's `explanations/batch-N.jsonl.gz`, for the latents of `hookpoint`: explainer
/// "neuronpedia:TYPE" or "neuronpedia:TYPE:MODEL", as each line names them. Source: hijohnnylin/neuronpedia,
/// apps/webapp/prisma/schema.prisma (Explanation).
LeftOut each_neuronpedia_line(const std::filesystem::path& file, std::string_view hookpoint,
                              const TakeExplanation& take);

/// One line for each explanation of the hookpoints, with its scores: ordered by hookpoint, latent, explainer. Shuffled
/// baselines are left out. Returns how many.
std::size_t write_explanation_lines(const store::Store& store, const std::vector<std::string>& hookpoints,
                                    const std::function<void(std::string_view text)>& write);

}  // namespace gloss::exchange
