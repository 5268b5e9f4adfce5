// EleutherAI/sparsify: cfg.json + sae.safetensors. Source: docs/formats.md 1 (sparsify 1.3.0 and its history).
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/formats/json_file.h"
#include "gloss/formats/safetensors.h"
#include "gloss/sparse/coder_weights.h"
#include "gloss/sparse/format.h"

namespace gloss::sparse {
namespace {

constexpr std::uint64_t kDefaultExpansion = 32;
constexpr std::uint64_t kDefaultK = 32;

struct Config {
  CoderInfo info;
  bool skip = false;
  std::string reason;  // which keys of cfg.json make the shapes
};

void read_switches(const formats::Fields& fields, Config& config) {
  if (fields.boolean("signed", false))
    fail_input(fields.where(), "'signed' is true: such coders keep the largest absolute values, without a ReLU",
               "only coders of non-negative activations are supported");
  config.info.activation = fields.string("activation", "topk");
  if (config.info.activation == "groupmax") {
    config.info.selection = Selection::groupmax;
    if (config.info.latents % config.info.k != 0)
      fail_input(fields.where(), fmt::format("'activation' is groupmax, but 'k' = {} does not divide the {} latents",
                                             config.info.k, config.info.latents));
  } else if (config.info.activation != "topk") {
    fail_input(fields.where(), fmt::format("'activation' is '{}', supported: topk, groupmax", config.info.activation));
  }
  const bool transcode = fields.boolean("transcode", false);
  config.skip = fields.boolean("skip_connection", false);
  // Files older than the key lack it even for transcoders, and those subtract b_dec: formats.md 1.4.
  config.info.subtract_bias = !transcode;
  config.info.transcoder = transcode || config.skip;
  config.info.skip_connection = config.skip;
}

Config read_config(const std::filesystem::path& file) {
  const nlohmann::json json = formats::read_json(file);
  const formats::Fields fields(json, file.string());
  Config config;
  const std::uint64_t width = fields.integer("d_in", 1, kMaxWidth);
  std::uint64_t latents = fields.integer("num_latents", 0, kMaxLatents, 0);
  if (latents == 0) {
    const std::uint64_t expansion =
        fields.integer("expansion_factor", 1, kMaxLatents / width, std::min(kDefaultExpansion, kMaxLatents / width));
    latents = width * expansion;
    config.reason = fmt::format("cfg.json says d_in = {} and expansion_factor = {}", width, expansion);
  } else {
    config.reason = fmt::format("cfg.json says d_in = {} and num_latents = {}", width, latents);
  }
  config.info.format = "sparsify";
  config.info.input_width = config.info.output_width = static_cast<std::uint32_t>(width);
  config.info.latents = static_cast<std::uint32_t>(latents);
  config.info.k = static_cast<std::uint32_t>(fields.integer("k", 1, latents, std::min(kDefaultK, latents)));
  read_switches(fields, config);
  return config;
}

void read_encoder(const CoderWeights& file, const Config& config, CoderData& data) {
  const std::uint64_t width = config.info.input_width;
  const std::uint64_t latents = config.info.latents;
  if (!file.contains("encoder.weight") && file.contains("W_enc")) {  // the first release
    data.w_enc = file.read_turned("W_enc", width, latents, "D x F");
    data.b_enc = file.read("b_enc", {latents}, "F");
    return;
  }
  data.w_enc = file.read("encoder.weight", {latents, width}, "F x D");
  data.b_enc = file.read("encoder.bias", {latents}, "F");
}

std::vector<std::filesystem::path> sparsify_files(const std::filesystem::path& path) {
  return all_present(path, {"cfg.json", "sae.safetensors"});
}

}  // namespace

Format sparsify_format() {
  return {"sparsify", "cfg.json with 'd_in' and sae.safetensors", sparsify_files, load_sparsify};
}

CoderData load_sparsify(const std::filesystem::path& folder, const CoderOptions& /*options*/) {
  const Config config = read_config(folder / "cfg.json");
  CoderWeights file = CoderWeights::open(folder / "sae.safetensors");
  file.set_reason(config.reason);
  const std::uint64_t width = config.info.input_width;
  const std::uint64_t latents = config.info.latents;
  CoderData data;
  data.info = config.info;
  data.info.hookpoint = hookpoint_of_folder(folder);
  read_encoder(file, config, data);
  // An encoder-only file still encodes; b_dec is part of that.
  if (file.contains("W_dec")) data.w_dec = file.read("W_dec", {latents, width}, "F x D");
  data.b_dec = file.read("b_dec", {width}, "D");
  if (config.skip) data.w_skip = file.read("W_skip", {width, width}, "D x D");
  return data;
}

void save_sparsify(const std::filesystem::path& folder, const CoderData& data, bool normalize_decoder) {
  using formats::Dtype;
  const std::uint64_t width = data.info.input_width;
  const std::uint64_t latents = data.info.latents;
  formats::SafeTensorsWriter writer(folder / "sae.safetensors",
                                    {{"W_dec", Dtype::f32, {latents, width}},
                                     {"b_dec", Dtype::f32, {width}},
                                     {"encoder.bias", Dtype::f32, {latents}},
                                     {"encoder.weight", Dtype::f32, {latents, width}}},
                                    {{"format", "pt"}});
  for (const std::vector<float>* values : {&data.w_dec, &data.b_dec, &data.b_enc, &data.w_enc})
    writer.write_values<float>(*values);
  writer.commit();
  const nlohmann::ordered_json config = {{"activation", data.info.activation},
                                         {"expansion_factor", kDefaultExpansion},
                                         {"normalize_decoder", normalize_decoder},
                                         {"num_latents", latents},
                                         {"k", data.info.k},
                                         {"multi_topk", false},
                                         {"skip_connection", false},
                                         {"transcode", data.info.transcoder},
                                         {"d_in", width}};
  write_file(folder / "cfg.json", config.dump() + "\n");
}

}  // namespace gloss::sparse
