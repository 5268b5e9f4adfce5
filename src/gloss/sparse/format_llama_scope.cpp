// Llama Scope (fnlp, trained with OpenMOSS Language-Model-SAEs): hyperparams.json + checkpoints/final.safetensors, one
// threshold for all latents; and the form of Llama-Scope-R1-Distill: config.json + sae_weights.safetensors, a threshold
// each. Both read activations scaled to norm sqrt(D) on average and scale what they give back.
// Source: docs/formats/coders.md; SAELens' loaders; Language-Model-SAEs, standardize_parameters_of_dataset_norm.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "gloss/base/error.h"
#include "gloss/formats/json_file.h"
#include "gloss/sparse/coder_weights.h"
#include "gloss/sparse/format.h"

namespace gloss::sparse {
namespace {

using formats::Fields;

constexpr std::string_view kHyperparameters = "hyperparams.json";
constexpr std::string_view kWeights = "checkpoints/final.safetensors";
constexpr std::string_view kConfig = "config.json";
constexpr std::string_view kWeightsR1 = "sae_weights.safetensors";
constexpr std::string_view kLogThreshold = "log_jumprelu_threshold";

/// sqrt(D) / mean norm, of what is read and of what is written.
struct Factors {
  double in = 1, out = 1;
};

void refuse_variants(const Fields& fields) {
  const std::string activation = fields.string("act_fn", "jumprelu");
  if (activation != "jumprelu")
    fail_input(fields.where(), fmt::format("'act_fn' is '{}', supported: jumprelu", activation));
  for (const std::string_view key : {"use_glu_encoder", "apply_decoder_bias_to_pre_encoder"}) {
    if (fields.boolean(key, false))
      fail_input(fields.where(), fmt::format("'{}' is true, which no published coder of this layout has", key),
                 "such coders are not supported");
  }
}

void read_place(const Fields& fields, CoderInfo& info) {
  const std::string in = fields.string("hook_point_in", "");
  const std::string out = fields.string("hook_point_out", in);
  info.hookpoint = out;
  info.transcoder = in != out;
  info.reads = info.transcoder ? in : "";
}

double factor_of(double norm, std::uint64_t width, const std::string& where, std::string_view name) {
  if (!(norm > 0 && std::isfinite(norm)))
    fail_input(where, fmt::format("{} is {}, wanted a number above 0", name, norm),
               "it is the mean norm of activations");
  return std::sqrt(static_cast<double>(width)) / norm;
}

/// What 'norm_activation' asks for. True when the factors are to be folded in.
bool is_scaled(const Fields& fields, CoderInfo& info) {
  const std::string how = fields.string("norm_activation", "dataset-wise");
  if (how == "token-wise") info.normalisation = Normalisation::constant_norm;
  if (how == "dataset-wise" || how == "inference" || how == "token-wise") return how == "dataset-wise";
  fail_input(fields.where(),
             fmt::format("'norm_activation' is '{}', supported: dataset-wise, token-wise, inference", how),
             how == "batch-wise" ? "activations of one token would depend on the others" : "");
}

void fold(const Factors& s, CoderData& data) {
  for (float& v : data.w_enc) v = static_cast<float>(v * s.in);
  for (std::vector<float>* values : {&data.w_dec, &data.b_dec}) {
    for (float& v : *values) v = static_cast<float>(v / s.out);
  }
}

CoderData start(const Fields& fields, std::string_view format, std::uint64_t width, std::uint64_t latents) {
  refuse_variants(fields);
  CoderData data;
  data.info.format = format;
  data.info.activation = "jumprelu";
  data.info.selection = Selection::threshold;
  data.info.subtract_bias = false;
  data.info.input_width = static_cast<std::uint32_t>(width);
  data.info.latents = static_cast<std::uint32_t>(latents);
  data.info.k = static_cast<std::uint32_t>(fields.integer("top_k", 0, kMaxLatents, 0));
  data.info.trained_on = fields.string("model_name", "");
  read_place(fields, data.info);
  return data;
}

void refuse_scale(const Fields& fields, double given, std::string_view why) {
  if (given != 0) fail_input(fields.where(), fmt::format("takes no --sae-scale: {}", why));
}

CoderData load(const std::filesystem::path& folder, const CoderOptions& options) {
  const nlohmann::json json = formats::read_json(folder / kHyperparameters);
  const Fields fields(json, (folder / kHyperparameters).string());
  const std::uint64_t width = fields.integer("d_model", 1, kMaxWidth);
  const std::uint64_t latents = fields.integer("d_sae", 1, kMaxLatents);
  CoderData data = start(fields, "llama-scope", width, latents);
  CoderWeights file = CoderWeights::open(folder / kWeights);
  file.set_reason(fmt::format("hyperparams.json says d_model = {} and d_sae = {}", width, latents));
  read_linear_layers(file, {"encoder", "decoder"}, data);
  Factors s;
  if (is_scaled(fields, data.info)) {
    refuse_scale(fields, options.activation_scale, "it has 'dataset_average_activation_norm'");
    const Fields norms(fields.at("dataset_average_activation_norm"),
                       fields.where() + ": dataset_average_activation_norm");
    s.in = factor_of(norms.number("in"), width, norms.where(), "'in'");
    s.out =
        data.info.transcoder ? factor_of(norms.number("out"), data.info.output_width, norms.where(), "'out'") : s.in;
  }
  // Their threshold is of unscaled activations, z of scaled ones.
  const double threshold = fields.number("jump_relu_threshold") * s.in;
  if (!std::isfinite(threshold) || threshold < 0)
    fail_input(fields.where(), fmt::format("'jump_relu_threshold' is {}, wanted a number that is not below 0",
                                           fields.number("jump_relu_threshold")));
  data.threshold.assign(latents, static_cast<float>(threshold));
  fold(s, data);
  return data;
}

/// The mean norm at a hookpoint, where the training kept it among the weights.
double kept_norm(const CoderWeights& file, const std::string& hook) {
  const std::string name = "dataset_average_activation_norm." + hook;
  return file.contains(name) ? file.read_number(name) : 0;
}

Factors factors_r1(const Fields& fields, const CoderWeights& file, const CoderOptions& options, const CoderInfo& info) {
  Factors s;
  s.in = options.activation_scale;
  const double in = kept_norm(file, info.transcoder ? info.reads : info.hookpoint);
  if (s.in == 0 && in != 0) s.in = factor_of(in, info.input_width, file.file_name(), "the kept norm of the input");
  if (!(s.in > 0 && std::isfinite(s.in)))
    fail_input(
        fields.where(),
        "'norm_activation' is dataset-wise: the coder was trained on scaled activations, and the factor is in none "
        "of its files",
        "give it with --sae-scale S: sqrt(d_model) / mean norm of the activations (in SAELens' registry: "
        "norm_scaling_factor)");
  s.out = s.in;
  if (!info.transcoder) return s;
  const double out = kept_norm(file, info.hookpoint);
  if (out == 0)
    fail_input(file.file_name(),
               fmt::format("reads '{}' and writes '{}', but has no norm of what it writes", info.reads, info.hookpoint),
               "wanted a tensor 'dataset_average_activation_norm." + info.hookpoint + "'");
  s.out = factor_of(out, info.output_width, file.file_name(), "the kept norm of the output");
  return s;
}

CoderData load_r1(const std::filesystem::path& folder, const CoderOptions& options) {
  const nlohmann::json json = formats::read_json(folder / kConfig);
  const Fields fields(json, (folder / kConfig).string());
  const std::uint64_t width = fields.integer("d_model", 1, kMaxWidth);
  const std::uint64_t expansion = fields.integer("expansion_factor", 1, kMaxLatents / width);
  CoderData data = start(fields, "llama-scope-r1", width, width * expansion);
  CoderWeights file = CoderWeights::open(folder / kWeightsR1);
  file.set_reason(fmt::format("config.json says d_model = {} and expansion_factor = {}", width, expansion));
  read_linear_layers(file, {"encoder", "decoder"}, data);
  data.threshold = file.read(kLogThreshold, {data.info.latents}, "F");
  for (float& v : data.threshold) v = std::exp(v);
  if (is_scaled(fields, data.info))
    fold(factors_r1(fields, file, options, data.info), data);
  else
    refuse_scale(fields, options.activation_scale, "its 'norm_activation' is not dataset-wise");
  return data;
}

std::vector<std::filesystem::path> files(const std::filesystem::path& path) {
  return all_present(path, {kHyperparameters, kWeights});
}

std::vector<std::filesystem::path> files_r1(const std::filesystem::path& path) {
  return all_present(path, {kConfig, kWeightsR1});
}

}  // namespace

Format llama_scope_format() {
  return {"llama-scope", "hyperparams.json and checkpoints/final.safetensors", files, load};
}

Format llama_scope_r1_format() {
  return {"llama-scope-r1", "config.json and sae_weights.safetensors", files_r1, load_r1};
}

}  // namespace gloss::sparse
