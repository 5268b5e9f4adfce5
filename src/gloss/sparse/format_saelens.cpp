// SAELens: cfg.json + sae_weights.safetensors, of 3.x to 5.x (one flat object) and 6.x (origin in `metadata`).
// Source: docs/formats/coders.md; jbloomAus/SAELens 3.0 to 6.18.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "gloss/base/error.h"
#include "gloss/formats/json_file.h"
#include "gloss/sparse/coder_weights.h"
#include "gloss/sparse/format.h"

namespace gloss::sparse {
namespace {

using formats::Fields;

constexpr std::string_view kConfig = "cfg.json";
constexpr std::string_view kWeights = "sae_weights.safetensors";
constexpr std::string_view kWrittenVersion = "6.18.0";  // the layout that save_saelens() follows
constexpr std::uint64_t kDefaultK = 100;
constexpr std::uint64_t kDefaultOut = 768;

/// What cfg.json says, of either generation.
struct Config {
  std::string where, architecture, activation, normalise, dtype, hook, hook_out, model;
  std::uint64_t width = 0, latents = 0, out = 0, k = 0;
  bool subtract = true, rescale = false, finetuned = false, transcoder = false;

  std::string reason() const { return fmt::format("cfg.json says d_in = {} and d_sae = {}", width, latents); }
};

bool is_any_of(std::string_view value, std::initializer_list<std::string_view> of) {
  return std::find(of.begin(), of.end(), value) != of.end();
}

/// Whether `sae_lens_version` is 6 or later.
bool is_new(const Fields& top, const Fields& metadata) {
  std::string version = top.string("sae_lens_version", metadata.string("sae_lens_version", ""));
  unsigned major = 0;
  std::from_chars(version.data(), version.data() + version.size(), major);
  return major >= 6;
}

/// The first of these keys that is there.
std::string any_string(const Fields& fields, std::initializer_list<std::string_view> keys, std::string fallback) {
  for (const std::string_view key : keys) {
    if (fields.has(key)) return fields.string(key);
  }
  return fallback;
}

std::string normalisation_name(const Fields& fields) {
  if (!fields.has("normalize_activations")) return "none";
  const nlohmann::json& value = fields.at("normalize_activations");
  if (value.is_boolean()) return value.get<bool>() ? "expected_average_only_in" : "none";
  return fields.string("normalize_activations");
}

void refuse_heads(const Fields& fields) {
  for (const std::string_view key : {"hook_head_index", "hook_point_head_index"}) {
    if (fields.has(key))
      fail_input(
          fields.where(),
          fmt::format("'{}' is {}: the coder reads one head's slice of its hookpoint", key, fields.at(key).dump()),
          "only coders of whole hookpoints are supported");
  }
}

/// TransformerLens gives a norm's value without gain and bias where it folded those into the weights that follow, as it
/// did for this coder when it says so; without folding, that name is read by the model's kind of norm.
std::string without_gain(std::string hook, const Fields& origin) {
  constexpr std::string_view kBlocks = "blocks.";
  constexpr std::string_view kNormed = ".ln2.hook_normalized";
  if (!hook.starts_with(kBlocks) || !hook.ends_with(kNormed) || !origin.has("model_from_pretrained_kwargs"))
    return hook;
  const Fields kwargs(origin.at("model_from_pretrained_kwargs"), origin.where() + ": model_from_pretrained_kwargs");
  if (!kwargs.boolean("fold_ln", false)) return hook;
  return fmt::format("layers.{}.mlp.normed",
                     hook.substr(kBlocks.size(), hook.size() - kBlocks.size() - kNormed.size()));
}

std::uint64_t read_k(const Fields& fields, std::uint64_t latents, std::uint64_t fallback) {
  if (!fields.has("k")) return std::min(fallback, latents);
  const double k = fields.number("k");  // batchtopk has a float, the mean over a batch
  if (!(k >= 1 && k <= static_cast<double>(latents)))
    fail_input(fields.where(), fmt::format("'k' is {}, wanted a number from 1 to {}", k, latents));
  return static_cast<std::uint64_t>(std::llround(k));
}

Config read_config(const std::filesystem::path& file) {
  const nlohmann::json json = formats::read_json(file);
  const Fields top(json, file.string());
  const nlohmann::json none = nlohmann::json::object();
  const Fields metadata(top.has("metadata") ? top.at("metadata") : none, file.string() + ": metadata");
  const Fields& origin = is_new(top, metadata) ? metadata : top;
  Config c;
  c.where = file.string();
  c.architecture = top.string("architecture", "standard");
  c.width = top.integer("d_in", 1, kMaxWidth);
  c.latents = top.integer("d_sae", 1, kMaxLatents);
  c.activation = any_string(top, {"activation_fn_str", "activation_fn"}, "relu");
  c.k = read_k(top, c.latents, kDefaultK);
  if (c.activation == "topk" && top.has("activation_fn_kwargs")) {  // whatever `architecture` says
    const Fields kwargs(top.at("activation_fn_kwargs"), c.where + ": activation_fn_kwargs");
    if (kwargs.has("k")) {
      c.architecture = "topk";
      c.k = read_k(kwargs, c.latents, kDefaultK);
    }
  }
  c.transcoder = c.architecture.ends_with("transcoder");
  c.out = c.transcoder ? top.integer("d_out", 1, kMaxWidth, kDefaultOut) : c.width;
  c.subtract = !c.transcoder && top.boolean("apply_b_dec_to_input", true);
  c.normalise = normalisation_name(top);
  const bool training_only = is_any_of(c.architecture, {"batchtopk", "matryoshka_batchtopk"});
  c.rescale = top.boolean("rescale_acts_by_decoder_norm", training_only);
  c.finetuned = top.boolean("finetuning_scaling_factor", false);
  c.dtype = top.string("dtype", "float32");
  c.hook = any_string(origin, {"hook_name", "hook_point"}, "");
  c.hook_out = any_string(origin, {"hook_name_out"}, "");
  c.model = any_string(origin, {"model_name"}, "");
  for (std::string* hook : {&c.hook, &c.hook_out}) *hook = without_gain(std::move(*hook), origin);
  refuse_heads(origin);
  return c;
}

std::string known_architectures() {
  return "standard, gated, topk, jumprelu, batchtopk, matryoshka_batchtopk, transcoder, skip_transcoder, "
         "jumprelu_transcoder, jumprelu_skip_transcoder";
}

/// Why coders of an architecture that SAELens has are not supported; "" for all others.
std::string_view why_not(std::string_view architecture) {
  if (architecture == "temporal") return "which latents fire on a token depends on the tokens before it";
  if (architecture == "matching_pursuit") return "its latents are found one after another, not by one product";
  if (architecture == "abstopk") return "it keeps the largest absolute values, so that activations are negative too";
  return "";
}

/// The encoder's part that differs by architecture: biases, thresholds, how latents are chosen.
void read_selection(const Config& c, const CoderWeights& file, CoderData& data) {
  const Shape each = {c.latents};
  data.info.selection = Selection::threshold;
  if (c.architecture == "gated") {
    // f = relu(e exp(r_mag) + b_mag) where e + b_gate > 0, e = u W_enc.
    data.b_enc.assign(c.latents, 0.0F);
    data.threshold = file.read("b_gate", each, "F");
    for (float& v : data.threshold) v = -v;
    data.gain = file.read("r_mag", each, "F");
    for (float& v : data.gain) v = std::exp(v);
    data.offset = file.read("b_mag", each, "F");
    data.info.activation = "gated";
    return;
  }
  data.b_enc = file.read("b_enc", each, "F");
  if (c.architecture == "topk") {
    data.info.selection = Selection::topk;
    data.info.k = static_cast<std::uint32_t>(c.k);
    data.info.activation = "topk";
  } else if (c.architecture.starts_with("jumprelu")) {
    if (!file.contains("threshold") && file.contains("log_threshold")) {  // a training checkpoint
      data.threshold = file.read("log_threshold", each, "F");
      for (float& v : data.threshold) v = std::exp(v);
    } else {
      data.threshold = file.read("threshold", each, "F");
    }
    data.info.activation = "jumprelu";
  } else if (is_any_of(c.architecture, {"batchtopk", "matryoshka_batchtopk"})) {
    data.threshold.assign(c.latents, static_cast<float>(file.read_number("topk_threshold")));
    data.info.k = static_cast<std::uint32_t>(c.k);
    data.info.activation = "batchtopk";
  } else {
    data.info.activation = c.activation;
    data.tanh = c.activation == "tanh-relu";
    if (!data.tanh && c.activation != "relu")
      fail_input(c.where, fmt::format("'activation_fn' is '{}', supported: relu, tanh-relu, topk", c.activation));
  }
  // relu(z) where z > threshold: with a negative threshold, what is above 0.
  for (float& v : data.threshold) v = std::max(v, 0.0F);
}

/// The factor that a checkpoint of a training still keeps beside its weights.
double scale_beside(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "activation_scaler.json";
  if (!std::filesystem::exists(file)) return 0;
  const nlohmann::json json = formats::read_json(file);
  const Fields fields(json, file.string());
  return fields.has("scaling_factor") ? fields.number("scaling_factor") : 0;
}

void set_normalisation(const Config& c, const std::filesystem::path& folder, double given, CoderData& data) {
  if (given != 0 && c.normalise != "expected_average_only_in")
    fail_input(c.where, fmt::format("'normalize_activations' is '{}', which takes no --sae-scale", c.normalise));
  if (c.normalise == "layer_norm") {
    data.info.normalisation = Normalisation::layer_norm;
  } else if (c.normalise == "constant_norm_rescale") {
    data.info.normalisation = Normalisation::constant_norm;
  } else if (c.normalise == "expected_average_only_in") {
    const double s = given != 0 ? given : scale_beside(folder);
    if (!(s > 0 && std::isfinite(s)))
      fail_input(
          c.where,
          "'normalize_activations' is expected_average_only_in: the coder was trained on scaled activations, and "
          "the factor is in none of its files",
          "give it with --sae-scale S: sqrt(d_in) / mean norm of the activations (in SAELens' registry: "
          "norm_scaling_factor)");
    for (float& v : data.w_enc) v = static_cast<float>(v * s);
    for (std::vector<float>* values : {&data.w_dec, &data.b_dec}) {
      for (float& v : *values) v = static_cast<float>(v / s);
    }
  } else if (c.normalise != "none") {
    fail_input(c.where, fmt::format("'normalize_activations' is '{}', supported: none, expected_average_only_in, "
                                    "constant_norm_rescale, layer_norm",
                                    c.normalise));
  }
  data.denormalise = !c.transcoder;  // their output is of another place: SAELens leaves it as it is
}

/// Factors of a fine-tuning (3.x to 5.x), which count in decoding only.
void fold_finetuning(const Config& c, const CoderWeights& file, CoderData& data) {
  if (!file.contains("scaling_factor")) return;
  const std::vector<float> factor = file.read("scaling_factor", {c.latents}, "F");
  if (std::all_of(factor.begin(), factor.end(), [](float v) { return v == 1.0F; })) return;
  if (!c.finetuned)
    fail_input(file.file_name(),
               "has a tensor 'scaling_factor' that is not all ones, but cfg.json does not say "
               "finetuning_scaling_factor = true");
  for (std::size_t i = 0; i < data.w_dec.size(); ++i) data.w_dec[i] *= factor[i / c.out];
}

CoderData load(const std::filesystem::path& folder, const CoderOptions& options) {
  const Config c = read_config(folder / kConfig);
  if (const std::string_view why = why_not(c.architecture); !why.empty())
    fail_input(c.where, fmt::format("'architecture' is '{}': {}", c.architecture, why),
               fmt::format("supported: {}", known_architectures()));
  if (!is_any_of(c.architecture, {"standard", "gated", "topk", "jumprelu", "batchtopk", "matryoshka_batchtopk",
                                  "transcoder", "skip_transcoder", "jumprelu_transcoder", "jumprelu_skip_transcoder"}))
    fail_input(c.where, fmt::format("'architecture' is '{}', supported: {}", c.architecture, known_architectures()));
  CoderWeights file = CoderWeights::open(folder / kWeights);
  file.set_reason(c.reason());
  CoderData data;
  CoderInfo& info = data.info;
  info.format = "saelens";
  info.input_width = static_cast<std::uint32_t>(c.width);
  info.output_width = static_cast<std::uint32_t>(c.out);
  info.latents = static_cast<std::uint32_t>(c.latents);
  info.subtract_bias = c.subtract;
  info.transcoder = c.transcoder;
  info.skip_connection = c.transcoder && c.architecture.find("skip") != std::string::npos;
  info.hookpoint = c.transcoder ? c.hook_out : c.hook;
  info.reads = c.transcoder ? c.hook : "";
  info.trained_on = c.model;
  if (c.dtype.find("float32") == std::string::npos && c.dtype.find("float64") == std::string::npos)
    info.remarks.push_back(fmt::format(
        "SAELens would round weights and inputs to {}; here they are float32 from the stored values", c.dtype));
  data.w_enc = file.read_turned("W_enc", c.width, c.latents, "D x F");
  data.w_dec = file.read("W_dec", {c.latents, c.out}, c.transcoder ? "F x O" : "F x D");
  data.b_dec = file.read("b_dec", {c.out}, c.transcoder ? "O" : "D");
  if (info.skip_connection) data.w_skip = file.read("W_skip", {c.out, c.width}, "O x D");
  read_selection(c, file, data);
  if (c.rescale) fold_decoder_norms(data);
  fold_finetuning(c, file, data);
  set_normalisation(c, folder, options.activation_scale, data);
  return data;
}

std::vector<std::filesystem::path> files(const std::filesystem::path& path) {
  return all_present(path, {kConfig, kWeights});
}

}  // namespace

void save_saelens(const std::filesystem::path& folder, const CoderData& data) {
  using formats::Dtype;
  const CoderInfo& info = data.info;
  const std::uint64_t width = info.input_width;
  const std::uint64_t latents = info.latents;
  const std::uint64_t out = info.output_width;
  formats::SafeTensorsWriter writer(folder / kWeights,
                                    {{"W_dec", Dtype::f32, {latents, out}},
                                     {"W_enc", Dtype::f32, {width, latents}},
                                     {"b_dec", Dtype::f32, {out}},
                                     {"b_enc", Dtype::f32, {latents}},
                                     {"threshold", Dtype::f32, {latents}}},
                                    {{"format", "pt"}});
  writer.write_values<float>(data.w_dec);
  writer.write_values<float>(transposed(data.w_enc, latents, width));
  for (const std::vector<float>* values : {&data.b_dec, &data.b_enc, &data.threshold})
    writer.write_values<float>(*values);
  writer.commit();
  nlohmann::ordered_json config = {{"architecture", info.transcoder ? "jumprelu_transcoder" : "jumprelu"},
                                   {"d_in", width},
                                   {"d_sae", latents},
                                   {"dtype", "float32"},
                                   {"device", "cpu"},
                                   {"apply_b_dec_to_input", !info.transcoder},
                                   {"normalize_activations", "none"},
                                   {"reshape_activations", "none"}};
  if (info.transcoder) config["d_out"] = out;
  nlohmann::ordered_json& metadata = config["metadata"];
  metadata = {{"sae_lens_version", kWrittenVersion},
              {"hook_name", info.transcoder ? info.reads : info.hookpoint},
              {"trained_activation", info.activation}};
  if (info.transcoder) metadata["hook_name_out"] = info.hookpoint;
  write_file(folder / kConfig, config.dump() + "\n");
}

Format saelens_format() { return {"saelens", "cfg.json and sae_weights.safetensors", files, load}; }

}  // namespace gloss::sparse
