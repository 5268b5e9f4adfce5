#pragma once
/// Coders as commands take them: where each belongs in the model, and whether it fits what it finds there.
#include <CLI/CLI.hpp>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "gloss/base/reporter.h"
#include "gloss/model/subject_model.h"
#include "gloss/sparse/coder.h"

namespace gloss::app {

struct CoderInput {
  std::string sae;     // a coder, a folder of coders, or "neurons"
  std::string format;  // "" = recognised
  double scale = 0;    // 0 = not given
  bool as_stored = false;
};
/// Declares --sae, --sae-format, --sae-scale and --no-normalize-decoder.
CLI::Option* add_coder_input(CLI::App& cli, CoderInput& input);
sparse::CoderOptions coder_options(const CoderInput& input, const std::string& device);

/// A coder and its place: what it reads, and what its reconstruction is compared with.
struct PlacedCoder {
  std::string hookpoint;
  sparse::Coder coder;
  model::Hookpoint reads, reconstructs;
};
/// The coders of `hookpoints`, or all there are: a folder's names, or what a coder's own files say. Warns when a given
/// hookpoint is not the one that the files name. Errors: usage: no place is known, or none this model has; bad_input:
/// a width that is not the model's there (names the hookpoints of that layer which have it).
std::vector<PlacedCoder> place_coders(const CoderInput& input, const std::vector<std::string>& hookpoints,
                                      const model::SubjectModel& subject, const std::string& device,
                                      Reporter& reporter);

/// What a coder is, for people and for coder.json.
nlohmann::ordered_json describe(const sparse::CoderInfo& info);
/// What looks wrong about a fit; {} when nothing does.
std::vector<std::string> doubts(const sparse::CoderInfo& info, const sparse::Fit& fit);
/// The fit, its doubts and the coder, as coder.json keeps them.
nlohmann::ordered_json describe(const sparse::CoderInfo& info, const sparse::Fit& fit);
/// "layers.2: FVU 0.123, L0 31.9 (K 32), mean input norm 12.5, over 8192 tokens".
std::string describe_line(const std::string& hookpoint, const sparse::CoderInfo& info, const sparse::Fit& fit);

}  // namespace gloss::app
