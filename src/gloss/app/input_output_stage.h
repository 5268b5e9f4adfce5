#pragma once
/// `gloss filter --input-output`: an input score and an output score of each latent (index/input_output.h), for which
/// the model runs again with each latent turned up.
#include <optional>
#include <string>
#include <vector>

#include "gloss/app/run_data.h"
#include "gloss/app/score_subject.h"
#include "gloss/base/reporter.h"
#include "gloss/index/input_output.h"

namespace gloss::app {

struct InputOutputOptions {
  std::vector<std::string> prompts{"From my experience,"};  // output scores are means over them
  double factor = 10.0;  // of the largest activation at the prompt's last token, that is added of a latent
};

/// Measures every latent that fires, and keeps the scores in RUN/latents/HOOKPOINT/input-output.safetensors: those that
/// are there and were made alike are taken, and what an interrupted command had measured. False when latents of this
/// hookpoint promote no tokens, which the reporter says. Errors: those of Subject::turned_up.
bool make_input_output(const RunData& data, const std::string& hookpoint, const Subject& subject,
                       const InputOutputOptions& options, std::size_t threads, Reporter& reporter);

/// Nothing when they were not made. Errors: bad_input when they belong to another index.
std::optional<index::InputOutput> input_output_of(const RunData& data, const index::Reader& reader);

}  // namespace gloss::app
