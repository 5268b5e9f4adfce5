// Temporal coders (canrager/temporalSAEs): conf.yaml + latest_ckpt.safetensors. Attention over the tokens before
// decides what fires, so no row can be encoded alone; they are recognised so that the refusal says so.
#include "gloss/base/error.h"
#include "gloss/sparse/format.h"

namespace gloss::sparse {
namespace {

constexpr std::string_view kConfig = "conf.yaml";
constexpr std::string_view kWeights = "latest_ckpt.safetensors";

std::vector<std::filesystem::path> files(const std::filesystem::path& path) {
  return all_present(path, {kConfig, kWeights});
}

CoderData load(const std::filesystem::path& folder, const CoderOptions& /*options*/) {
  fail_input(folder.string(),
             "is a temporal coder: which latents fire on a token depends on the tokens before it (attn_layers)",
             "only coders that encode each activation by itself are supported");
}

}  // namespace

Format temporal_format() { return {"temporal", "conf.yaml and latest_ckpt.safetensors (not supported)", files, load}; }

}  // namespace gloss::sparse
