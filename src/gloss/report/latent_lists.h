#pragma once
/// Tokens a latent promotes and suppresses, and its nearest latents, as they are shown.
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gloss/base/ids.h"
#include "gloss/index/latent_weights.h"
#include "gloss/report/run_data.h"

namespace gloss::report {

/// One list of a latent. Texts are harmless: a token between quotation marks, or a latent's number.
struct ShownList {
  index::WeightList list;
  std::string_view name;   // "promotes"
  std::string_view value;  // what the values are: "logit weight", "cosine", "Jaccard"
  std::vector<std::pair<std::string, float>> entries;
};

/// Those that are there and not empty; {} when the run has no weights of this hookpoint. Errors: as
/// LatentWeightsReader::entries.
std::vector<ShownList> latent_lists(const RunData& data, std::string_view hookpoint, LatentId latent);
std::optional<index::LogitMoments> logit_moments(const RunData& data, std::string_view hookpoint, LatentId latent);

}  // namespace gloss::report
