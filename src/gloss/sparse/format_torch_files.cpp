// Coders that are published as one .pt or .pth file without the training library around it: Goodfire's and the
// DeepSeek-R1 one of the same form, Qwen Scope, and the attention coders of Kissane and Krzyzanowski (hook_z).
// Source: docs/formats/coders.md; SAELens' loaders goodfire, deepseek_r1, qwen_scope and connor_rob_hook_z.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "gloss/base/error.h"
#include "gloss/formats/json_file.h"
#include "gloss/sparse/coder_weights.h"
#include "gloss/sparse/format.h"

namespace gloss::sparse {
namespace {

bool is_torch_name(const std::filesystem::path& file) {
  return file.extension() == ".pt" || file.extension() == ".pth";
}

bool has_all(const std::filesystem::path& file, std::initializer_list<std::string_view> tensors) {
  try {
    const CoderWeights weights = CoderWeights::open(file);
    return std::all_of(tensors.begin(), tensors.end(), [&](std::string_view name) { return weights.contains(name); });
  } catch (const Error&) {
    return false;
  }
}

/// "Llama-3.1-8B-Instruct-SAE-l19" is of layer 19.
std::optional<std::uint32_t> layer_at_end(const std::string& stem) {
  constexpr std::string_view kMark = "-SAE-l";
  const std::size_t at = stem.rfind(kMark);
  if (at == std::string::npos) return std::nullopt;
  return whole_number(std::string_view(stem).substr(at + kMark.size()));
}

/// Fills in what these have in common. Requires: read_linear_layers or the like after it.
CoderData start(std::string_view format) {
  CoderData data;
  data.info.format = format;
  data.info.activation = "relu";
  data.info.selection = Selection::threshold;
  data.info.subtract_bias = false;
  return data;
}

// Goodfire: f = relu(x W_enc + b_enc); nothing is subtracted.

bool is_goodfire(const std::filesystem::path& file) {
  return is_torch_name(file) &&
         (has_all(file, {"encoder_linear.weight", "decoder_linear.weight"}) || is_named_like_goodfire(file));
}

CoderData load_goodfire(const std::filesystem::path& path, const CoderOptions& /*options*/) {
  CoderWeights file = CoderWeights::open(only_file(path, is_goodfire).front());
  CoderData data = start("goodfire");
  const bool named_linear = file.contains("encoder_linear.weight");
  read_linear_layers(file, named_linear ? LinearNames{"encoder_linear", "decoder_linear"} : LinearNames{}, data);
  const std::string stem = std::filesystem::path(file.file_name()).stem().string();
  if (const auto layer = layer_at_end(stem)) {
    data.info.hookpoint = fmt::format("layers.{}", *layer);
    data.info.trained_on = stem.substr(0, stem.rfind("-SAE-l"));
  }
  return data;
}

// Qwen Scope: layer7.sae.pt in SAE-Res-MODEL-W32K-L0_50; W_enc [F, D], W_dec [D, F]; K is in the folder's name only.

constexpr std::string_view kQwenSuffix = ".sae.pt";

std::optional<std::uint32_t> qwen_layer(const std::filesystem::path& file) {
  constexpr std::string_view kLayer = "layer";
  const std::string name = file.filename().string();
  if (!name.starts_with(kLayer) || !name.ends_with(kQwenSuffix)) return std::nullopt;
  return whole_number(std::string_view(name).substr(kLayer.size(), name.size() - kLayer.size() - kQwenSuffix.size()));
}

bool is_qwen(const std::filesystem::path& file) {
  return qwen_layer(file).has_value() && has_all(file, {"W_enc", "W_dec", "b_enc", "b_dec"});
}

void read_qwen_name(const std::filesystem::path& file, CoderInfo& info) {
  constexpr std::string_view kModel = "SAE-Res-";
  constexpr std::string_view kL0 = "-L0_";
  for (const std::filesystem::path& part : std::filesystem::absolute(file).lexically_normal()) {
    const std::string name = part.string();
    const std::size_t l0 = name.rfind(kL0);
    const std::size_t model = name.find(kModel);
    if (l0 == std::string::npos || model == std::string::npos) continue;
    const std::size_t width = name.rfind("-W", l0);
    info.k = whole_number(std::string_view(name).substr(l0 + kL0.size())).value_or(0);
    if (width != std::string::npos && width >= model + kModel.size())
      info.trained_on = name.substr(model + kModel.size(), width - model - kModel.size());
  }
  if (info.k < 1 || info.k > info.latents)
    fail_input(
        file.string(),
        fmt::format("its K is in no file, and no folder above it ends in -L0_K with K from 1 to {}", info.latents),
        "keep the repository's name: .../SAE-Res-Qwen3-1.7B-Base-W32K-L0_50/layer0.sae.pt");
}

CoderData load_qwen(const std::filesystem::path& path, const CoderOptions& /*options*/) {
  const std::filesystem::path name = only_file(path, is_qwen).front();
  CoderWeights file = CoderWeights::open(name);
  CoderData data = start("qwen-scope");
  CoderInfo& info = data.info;
  const Shape shape = file.matrix_shape("W_enc", "F x D");
  file.set_reason(fmt::format("'W_enc' is {}", formats::format_shape(shape)));
  info.latents = static_cast<std::uint32_t>(shape[0]);
  info.input_width = info.output_width = static_cast<std::uint32_t>(shape[1]);
  info.activation = "topk";
  info.selection = Selection::topk;
  info.hookpoint = fmt::format("layers.{}", *qwen_layer(name));
  read_qwen_name(name, info);
  data.w_enc = file.read("W_enc", shape, "F x D");
  data.w_dec = file.read_turned("W_dec", shape[1], shape[0], "D x F");
  data.b_enc = file.read("b_enc", {shape[0]}, "F");
  data.b_dec = file.read("b_dec", {shape[1]}, "D");
  return data;
}

// hook_z: X.pt with X_cfg.json beside it; f = relu((x - b_dec) W_enc + b_enc).

std::filesystem::path config_of(const std::filesystem::path& file) {
  return file.parent_path() / (file.stem().string() + "_cfg.json");
}

bool is_hook_z(const std::filesystem::path& file) {
  std::error_code ignored;
  return file.extension() == ".pt" && std::filesystem::is_regular_file(config_of(file), ignored);
}

CoderData load_hook_z(const std::filesystem::path& path, const CoderOptions& /*options*/) {
  const std::filesystem::path name = only_file(path, is_hook_z).front();
  const nlohmann::json json = formats::read_json(config_of(name));
  const formats::Fields fields(json, config_of(name).string());
  const std::uint64_t width = fields.integer("act_size", 1, kMaxWidth);
  const std::uint64_t latents = fields.integer("dict_size", 1, kMaxLatents);
  CoderWeights file = CoderWeights::open(name);
  file.set_reason(
      fmt::format("{} says act_size = {} and dict_size = {}", config_of(name).filename().string(), width, latents));
  CoderData data = start("hook-z");
  CoderInfo& info = data.info;
  info.latents = static_cast<std::uint32_t>(latents);
  info.input_width = info.output_width = static_cast<std::uint32_t>(width);
  info.subtract_bias = true;
  info.hookpoint = fields.string("act_name");
  info.trained_on = fields.string("model_name", "");
  data.w_enc = file.read_turned("W_enc", width, latents, "D x F");
  data.b_enc = file.read("b_enc", {latents}, "F");
  data.w_dec = file.read("W_dec", {latents, width}, "F x D");
  data.b_dec = file.read("b_dec", {width}, "D");
  return data;
}

}  // namespace

bool is_named_like_goodfire(const std::filesystem::path& file) {
  return layer_at_end(file.stem().string()).has_value() &&
         has_all(file, {"encoder.weight", "encoder.bias", "decoder.weight", "decoder.bias"});
}

Format goodfire_format() {
  return {"goodfire", "one .pt or .pth with 'encoder_linear.weight', or NAME-SAE-lLAYER.pt with 'encoder.weight'",
          [](const std::filesystem::path& path) { return only_file(path, is_goodfire); }, load_goodfire};
}

Format qwen_scope_format() {
  return {"qwen-scope", "one layerL.sae.pt with 'W_enc'",
          [](const std::filesystem::path& path) { return only_file(path, is_qwen); }, load_qwen};
}

Format hook_z_format() {
  return {"hook-z", "NAME.pt and NAME_cfg.json",
          [](const std::filesystem::path& path) {
            std::vector<std::filesystem::path> found = only_file(path, is_hook_z);
            if (!found.empty()) found.push_back(config_of(found.front()));
            return found;
          },
          load_hook_z};
}

}  // namespace gloss::sparse
