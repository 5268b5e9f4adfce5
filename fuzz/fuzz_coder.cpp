/// A coder's configuration from anywhere, beside weights that fit the right one: the coder has the sizes that it says,
/// or there is an Error. The first byte says which of the golden coders' configurations the rest takes the place of.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "gloss/base/error.h"
#include "gloss/base/testing.h"
#include "gloss/sparse/format.h"

namespace {

namespace fs = std::filesystem;

struct Target {
  std::string_view coder;  // below tests/golden/coders: the folder or file that is loaded
  std::string_view config;
};
constexpr std::array<Target, 12> kTargets{{{"sparsify-topk/layers.1", "cfg.json"},
                                           {"sparsify-skip-transcoder/layers.1.mlp", "cfg.json"},
                                           {"saelens-old-standard", "cfg.json"},
                                           {"saelens-jumprelu-skip-transcoder", "cfg.json"},
                                           {"saelens-matryoshka-checkpoint", "cfg.json"},
                                           {"gemma-scope-2", "config.json"},
                                           {"dictionary-batchtopk/resid_post_layer_1/trainer_0", "config.json"},
                                           {"llama-scope/Llama3_1-8B-Base-L1R-8x", "hyperparams.json"},
                                           {"llama-scope-r1-kept-norm/L1R", "config.json"},
                                           {"hook-z", "gpt2-small_L1_Hcat_z_v9_cfg.json"},
                                           {"circuit-tracer", "config.yaml"},
                                           {"circuit-tracer-clt", "config.yaml"}}};

void require(bool holds) {
  if (!holds) std::abort();
}

void require_sizes(const gloss::sparse::CoderData& data) {
  const gloss::sparse::CoderInfo& i = data.info;
  const std::size_t latents = i.latents;
  const std::size_t out = i.output_width;
  require(data.w_enc.size() == latents * i.input_width && data.b_enc.size() == latents && data.b_dec.size() == out);
  require(data.w_dec.empty() || data.w_dec.size() == latents * out);
  require(data.w_skip.size() == (i.skip_connection ? out * i.input_width : 0));
  for (const auto* values : {&data.threshold, &data.gain, &data.offset})
    require(values->empty() || values->size() == latents);
  require(data.gain.size() == data.offset.size());
  require(!i.subtract_bias || out == i.input_width);
  const bool counts = i.selection != gloss::sparse::Selection::threshold;
  require(!counts || (i.k >= 1 && i.k <= latents));
  require(i.selection != gloss::sparse::Selection::groupmax || latents % i.k == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const gloss::testing::TemporaryFolder folder;
  static const bool copied = [] {
    fs::copy(GLOSS_SOURCE_DIR "/tests/golden/coders", folder.path(), fs::copy_options::recursive);
    return true;
  }();
  if (size == 0 || !copied) return 0;
  const Target& target = kTargets[data[0] % kTargets.size()];
  const fs::path coder = folder.path() / target.coder;
  std::ofstream(coder / target.config, std::ios::binary | std::ios::trunc)
      .write(reinterpret_cast<const char*>(data + 1), static_cast<std::streamsize>(size - 1));
  try {
    require_sizes(gloss::sparse::recognise(coder).load(coder, {}));
  } catch (const gloss::Error&) {
  }
  return 0;
}
