// Sets of transcoders as circuit-tracer reads them: config.yaml beside one layer_L.safetensors per layer (mwhanna), or,
// for cross-layer transcoders, one W_enc_L.safetensors per layer with its W_dec_L.safetensors (mntss). The file of a
// layer is the coder. Source: docs/formats/coders.md; SAELens' loaders mwhanna_transcoder and mntss_clt_layer.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "gloss/base/error.h"
#include "gloss/formats/yaml_scalars.h"
#include "gloss/sparse/coder_weights.h"
#include "gloss/sparse/format.h"

namespace gloss::sparse {
namespace {

constexpr std::string_view kConfig = "config.yaml";

/// L of a file called PREFIX L .safetensors.
std::optional<std::uint32_t> layer_of(const std::filesystem::path& file, std::string_view prefix) {
  const std::string stem = file.stem().string();
  if (file.extension() != ".safetensors" || !stem.starts_with(prefix)) return std::nullopt;
  return whole_number(std::string_view(stem).substr(prefix.size()));
}

std::vector<std::filesystem::path> with_config(std::vector<std::filesystem::path> found) {
  std::error_code ignored;
  if (found.empty()) return found;
  const std::filesystem::path config = found.front().parent_path() / kConfig;
  if (std::filesystem::is_regular_file(config, ignored)) found.push_back(config);
  return found;
}

/// A name that is none of `known` would mean something else is computed.
void refuse_others(const CoderWeights& file, std::initializer_list<std::string> known) {
  for (const std::string& name : file.names()) {
    if (std::find(known.begin(), known.end(), name) == known.end())
      fail_input(file.file_name(), fmt::format("has a tensor '{}', which this layout is not known to have", name),
                 "a part of the coder that is left out would change its values");
  }
}

/// Where it reads and writes: config.yaml's hooks; without one, of the MLP.
void read_place(const std::filesystem::path& folder, std::uint32_t layer, CoderInfo& info) {
  std::string in = "mlp.hook_in";
  std::string out = "hook_mlp_out";
  if (std::filesystem::exists(folder / kConfig)) {
    const auto config = formats::YamlScalars::read(folder / kConfig);
    in = config.get("feature_input_hook");
    out = config.get("feature_output_hook");
    info.trained_on = config.get("model_name", "");
  }
  info.transcoder = true;
  info.reads = fmt::format("blocks.{}.{}", layer, in);
  info.hookpoint = fmt::format("blocks.{}.{}", layer, out);
}

CoderData start(std::string_view format, const Shape& encoder) {
  CoderData data;
  data.info.format = format;
  data.info.activation = "relu";
  data.info.selection = Selection::threshold;
  data.info.subtract_bias = false;
  data.info.latents = static_cast<std::uint32_t>(encoder[0]);
  data.info.input_width = static_cast<std::uint32_t>(encoder[1]);
  return data;
}

bool is_layer(const std::filesystem::path& file) { return layer_of(file, "layer_").has_value(); }

CoderData load(const std::filesystem::path& path, const CoderOptions& /*options*/) {
  const std::filesystem::path name = only_file(path, is_layer).front();
  CoderWeights file = CoderWeights::open(name);
  const Shape shape = file.matrix_shape("W_enc", "F x D");
  file.set_reason(fmt::format("'W_enc' is {}", formats::format_shape(shape)));
  refuse_others(file, {"W_enc", "b_enc", "W_dec", "b_dec", "W_skip"});
  CoderData data = start("circuit-tracer", shape);
  const std::uint64_t out = file.matrix_shape("W_dec", "F x O")[1];
  data.info.output_width = static_cast<std::uint32_t>(out);
  data.w_enc = file.read("W_enc", shape, "F x D");
  data.b_enc = file.read("b_enc", {shape[0]}, "F");
  data.w_dec = file.read("W_dec", {shape[0], out}, "F x O");
  data.b_dec = file.read("b_dec", {out}, "O");
  data.info.skip_connection = file.contains("W_skip");
  if (data.info.skip_connection) data.w_skip = file.read("W_skip", {out, shape[1]}, "O x D");
  read_place(name.parent_path(), *layer_of(name, "layer_"), data.info);
  return data;
}

bool is_cross_layer(const std::filesystem::path& file) { return layer_of(file, "W_enc_").has_value(); }

/// A latent writes to its own layer and all later ones, so there is no W_dec [F, O].
CoderData load_cross_layer(const std::filesystem::path& path, const CoderOptions& /*options*/) {
  const std::filesystem::path name = only_file(path, is_cross_layer).front();
  const std::uint32_t layer = *layer_of(name, "W_enc_");
  CoderWeights file = CoderWeights::open(name);
  const auto of_layer = [&](std::string_view tensor) { return fmt::format("{}_{}", tensor, layer); };
  const Shape shape = file.matrix_shape(of_layer("W_enc"), "F x D");
  file.set_reason(fmt::format("'{}' is {}", of_layer("W_enc"), formats::format_shape(shape)));
  refuse_others(file, {of_layer("W_enc"), of_layer("b_enc"), of_layer("b_dec"), of_layer("threshold")});
  CoderData data = start("circuit-tracer-clt", shape);
  data.info.output_width = data.info.input_width;
  data.w_enc = file.read(of_layer("W_enc"), shape, "F x D");
  data.b_enc = file.read(of_layer("b_enc"), {shape[0]}, "F");
  data.b_dec = file.read(of_layer("b_dec"), {shape[1]}, "D");
  if (file.contains(of_layer("threshold"))) {
    data.threshold = file.read(of_layer("threshold"), {shape[0]}, "F");
    for (float& v : data.threshold) v = std::max(v, 0.0F);  // relu(z) where z > threshold
    data.info.activation = "jumprelu";
  }
  data.info.remarks.emplace_back("it writes to several layers: its firings are used, nothing is reconstructed");
  read_place(name.parent_path(), layer, data.info);
  return data;
}

}  // namespace

Format circuit_tracer_format() {
  return {"circuit-tracer", "layer_L.safetensors, with config.yaml",
          [](const std::filesystem::path& path) { return with_config(only_file(path, is_layer)); }, load};
}

Format circuit_tracer_clt_format() {
  return {"circuit-tracer-clt", "W_enc_L.safetensors, with config.yaml",
          [](const std::filesystem::path& path) { return with_config(only_file(path, is_cross_layer)); },
          load_cross_layer};
}

}  // namespace gloss::sparse
