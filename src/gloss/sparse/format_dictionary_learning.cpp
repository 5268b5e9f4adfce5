// saprmarks/dictionary_learning: ae.pt (a state_dict) with the training's config.json beside it, or a checkpoint .pt.
// Which class wrote it is told by the tensors it has; config.json settles what they leave open.
// Source: docs/formats/coders.md; dictionary_learning @ 60ec6bf.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "gloss/base/error.h"
#include "gloss/formats/json_file.h"
#include "gloss/sparse/coder_weights.h"
#include "gloss/sparse/format.h"

namespace gloss::sparse {
namespace {

/// config.json's "trainer"; an empty object when there is none.
struct Trainer {
  nlohmann::json json = nlohmann::json::object();
  std::string where, io;
};

Trainer read_trainer(const std::filesystem::path& folder) {
  Trainer trainer;
  const std::filesystem::path file = folder / "config.json";
  trainer.where = file.string() + ": trainer";
  if (!std::filesystem::exists(file)) return trainer;
  const nlohmann::json json = formats::read_json(file);
  const formats::Fields fields(json, file.string());
  if (fields.has("trainer")) trainer.json = fields.at("trainer");
  if (fields.has("buffer")) {
    const formats::Fields buffer(fields.at("buffer"), file.string() + ": buffer");
    if (buffer.has("io") && buffer.at("io").is_string()) trainer.io = buffer.string("io");
  }
  return trainer;
}

/// The class of a file: what config.json calls it where tensors of two classes are alike, else by what only it has.
std::string class_of(const CoderWeights& file, const std::string& said) {
  if (file.contains("ae.encoder.weight") || file.contains("ae.W_enc"))
    fail_input(file.file_name(), "is the state of an unfinished training: its biases are still divided by a factor",
               "take the ae.pt that the finished training writes, or a checkpoint's ae_<step>.pt");
  if (file.contains("r_mag")) return "GatedAutoEncoder";
  if (file.contains("W_enc")) {
    const bool scalar = file.contains("threshold") && file.tensor("threshold").shape.empty();
    return file.contains("group_sizes") || scalar ? "MatryoshkaBatchTopKSAE" : "JumpReluAutoEncoder";
  }
  if (file.contains("bias")) return "AutoEncoder";
  if (file.contains("decoder.bias")) return "AutoEncoderNew";
  if (file.contains("b_dec")) {
    if (said == "AutoEncoderTopK" || said == "BatchTopKSAE") return said;
    fail_input(file.file_name(),
               "has the tensors of AutoEncoderTopK and of BatchTopKSAE, which choose latents differently",
               "put the training's config.json beside it, whose trainer.dict_class says which");
  }
  fail_input(file.file_name(),
             fmt::format("is of no class of dictionary_learning: it has {}",
                         file.names().empty() ? "no tensors" : file.names().front() + " ..."),
             "known: AutoEncoder, AutoEncoderNew, GatedAutoEncoder, AutoEncoderTopK, BatchTopKSAE, "
             "JumpReluAutoEncoder, MatryoshkaBatchTopKSAE");
}

/// The layout of a class: names of its tensors, torch Linear ones being [out, in].
struct ClassRow {
  std::string_view name, activation;
  Selection selection;
  bool linear;    // encoder.weight [F, D], decoder.weight [D, F]; else W_enc [D, F], W_dec [F, D]
  bool subtract;  // the decoder's bias is taken from the input
  std::string_view decoder_bias;
};
constexpr std::array<ClassRow, 7> kClasses{
    {{"AutoEncoder", "relu", Selection::threshold, true, true, "bias"},
     {"AutoEncoderNew", "relu", Selection::threshold, true, false, "decoder.bias"},
     {"GatedAutoEncoder", "gated", Selection::threshold, true, true, "decoder_bias"},
     {"AutoEncoderTopK", "topk", Selection::topk, true, true, "b_dec"},
     {"BatchTopKSAE", "batchtopk", Selection::threshold, true, true, "b_dec"},
     {"JumpReluAutoEncoder", "jumprelu", Selection::threshold, false, false, "b_dec"},
     {"MatryoshkaBatchTopKSAE", "batchtopk", Selection::threshold, false, true, "b_dec"}}};

std::uint32_t read_k(const CoderWeights& file, const formats::Fields& trainer, std::uint64_t latents) {
  std::optional<double> k;
  if (file.contains("k")) k = file.read_number("k");
  // Old files lack it, and those of an annealed training have the K of their moment: the file's own goes first.
  if (!k && trainer.has("k")) k = trainer.number("k");
  if (!k || !(*k >= 1 && *k <= static_cast<double>(latents)))
    fail_input(file.file_name(), k ? fmt::format("'k' is {}, wanted a number from 1 to {}", *k, latents)
                                   : std::string("has no 'k', and no config.json beside it has trainer.k"));
  return static_cast<std::uint32_t>(*k);
}

/// One threshold for all latents, of what was trained with BatchTopK.
void read_one_threshold(const CoderWeights& file, CoderData& data) {
  if (!file.contains("threshold"))
    fail_input(file.file_name(),
               "has no 'threshold': it is older than thresholds, and chose the K*N largest of a batch",
               "activations of one token would depend on the others: such a file cannot be used");
  const auto threshold = static_cast<float>(file.read_number("threshold"));
  if (!std::isfinite(threshold))
    fail_input(file.file_name(), fmt::format("'threshold' is {}, wanted a finite number", threshold));
  if (threshold < 0)
    data.info.remarks.push_back(
        fmt::format("its threshold is {}: the training ended before it was calibrated, and every positive value counts",
                    threshold));
  data.threshold.assign(data.info.latents, std::max(threshold, 0.0F));
}

void read_gated(const CoderWeights& file, std::uint64_t latents, CoderData& data) {
  data.b_enc.assign(latents, 0.0F);
  data.threshold = file.read("gate_bias", {latents}, "F");
  for (float& v : data.threshold) v = -v;
  data.gain = file.read("r_mag", {latents}, "F");
  for (float& v : data.gain) v = std::exp(v);
  data.offset = file.read("mag_bias", {latents}, "F");
}

/// As AutoEncoder.from_pretrained: unless all rows have norm 1 already.
void normalise_decoder(CoderData& data) {
  constexpr double kClose = 1e-5;
  const std::size_t width = data.info.output_width;
  bool unit = true;
  for (std::size_t f = 0; f < data.info.latents; ++f) {
    double squares = 0;
    for (std::size_t d = 0; d < width; ++d) squares += double{data.w_dec[f * width + d]} * data.w_dec[f * width + d];
    unit = unit && std::abs(std::sqrt(squares) - 1.0) <= kClose;
  }
  if (unit) return;
  fold_decoder_norms(data);
  data.info.remarks.emplace_back(
      "decoder rows were scaled to norm 1 and activations by their norms, as the library does on loading "
      "(--no-normalize-decoder leaves both as stored)");
}

/// "resid_post_layer_8", "mlp_out_layer3", "attn_out_layer3", as submodule_name or as a folder's name.
std::string place_of(const std::string& name, std::optional<std::uint32_t> layer) {
  if (!layer) {
    const std::size_t digits = name.find_last_not_of("0123456789") + 1;
    if (digits >= name.size() || name.find("layer") == std::string::npos || name.size() - digits > 5) return "";
    layer = static_cast<std::uint32_t>(std::stoul(name.substr(digits)));
  }
  if (name.starts_with("resid_pre")) return fmt::format("layers.{}.input", *layer);
  if (name.starts_with("resid")) return fmt::format("layers.{}", *layer);
  if (name.starts_with("mlp")) return fmt::format("layers.{}.mlp", *layer);
  if (name.starts_with("attn")) return fmt::format("layers.{}.attn", *layer);
  return "";
}

void read_place(const std::filesystem::path& folder, const formats::Fields& trainer, CoderInfo& info) {
  std::optional<std::uint32_t> layer;
  if (trainer.has("layer") && trainer.at("layer").is_number_unsigned())
    layer = static_cast<std::uint32_t>(trainer.integer("layer", 0, kMaxWidth));
  if (trainer.has("submodule_name") && trainer.at("submodule_name").is_string())
    info.hookpoint = place_of(trainer.string("submodule_name"), layer);
  if (trainer.has("lm_name") && trainer.at("lm_name").is_string()) info.trained_on = trainer.string("lm_name");
  if (!info.hookpoint.empty()) return;
  for (const auto& part : std::filesystem::absolute(folder).lexically_normal()) {
    const std::string place = place_of(part.string(), std::nullopt);
    if (!place.empty()) info.hookpoint = place;
  }
}

std::filesystem::path weights_of(const std::filesystem::path& path) {
  return std::filesystem::is_directory(path) ? path / "ae.pt" : path;
}

CoderData load(const std::filesystem::path& path, const CoderOptions& options) {
  const std::filesystem::path weights = weights_of(path);
  CoderWeights file = CoderWeights::open(weights);
  const Trainer config = read_trainer(weights.parent_path());
  const formats::Fields trainer(config.json, config.where);
  const std::string name = class_of(file, trainer.string("dict_class", ""));
  const ClassRow& row = *std::find_if(kClasses.begin(), kClasses.end(), [&](const auto& r) { return r.name == name; });
  const std::string w_enc = row.linear ? "encoder.weight" : "W_enc";
  const Shape shape = file.matrix_shape(w_enc, row.linear ? "F x D" : "D x F");
  const std::uint64_t latents = shape[row.linear ? 0 : 1];
  const std::uint64_t width = shape[row.linear ? 1 : 0];
  file.set_reason(fmt::format("'{}' of a {} is {}", w_enc, name, formats::format_shape(shape)));

  CoderData data;
  CoderInfo& info = data.info;
  info.format = "dictionary_learning";
  info.activation = row.activation;
  info.selection = row.selection;
  info.input_width = info.output_width = static_cast<std::uint32_t>(width);
  info.latents = static_cast<std::uint32_t>(latents);
  info.subtract_bias = row.subtract;
  data.b_dec = file.read(row.decoder_bias, {width}, "D");
  if (row.linear) {
    data.w_enc = file.read(w_enc, {latents, width}, "F x D");
    data.w_dec = file.read_turned("decoder.weight", width, latents, "D x F");
  } else {
    data.w_enc = file.read_turned(w_enc, width, latents, "D x F");
    data.w_dec = file.read("W_dec", {latents, width}, "F x D");
  }
  if (name == "GatedAutoEncoder")
    read_gated(file, latents, data);
  else
    data.b_enc = file.read(row.linear ? "encoder.bias" : "b_enc", {latents}, "F");
  if (row.activation == "topk" || row.activation == "batchtopk") info.k = read_k(file, trainer, latents);
  if (row.activation == "batchtopk") read_one_threshold(file, data);
  if (row.activation == "jumprelu") {
    data.threshold = file.read("threshold", {latents}, "F");
    for (float& v : data.threshold) v = std::max(v, 0.0F);
  }
  if (name == "AutoEncoder" && options.normalize_decoder) normalise_decoder(data);
  read_place(weights.parent_path(), trainer, info);
  if (config.io == "in")
    info.remarks.emplace_back("config.json says the buffer held the inputs of the submodule (buffer.io)");
  return data;
}

/// A checkpoint file has any name: it is looked into, unless it is OpenAI's.
bool is_ours(const std::filesystem::path& file) {
  try {
    const CoderWeights weights = CoderWeights::open(file);
    return !weights.contains("latent_bias") && !is_named_like_goodfire(file) &&
           (weights.contains("encoder.weight") || weights.contains("ae.encoder.weight") ||
            (weights.contains("W_enc") && weights.contains("threshold")));
  } catch (const Error&) {
    return false;
  }
}

std::vector<std::filesystem::path> files(const std::filesystem::path& path) {
  std::error_code ignored;
  const std::filesystem::path config = weights_of(path).parent_path() / "config.json";
  std::vector<std::filesystem::path> found;
  if (std::filesystem::is_directory(path, ignored)) {
    found = all_present(path, {"ae.pt"});
  } else if (path.extension() == ".pt" && std::filesystem::is_regular_file(path, ignored) &&
             (path.filename() == "ae.pt" || is_ours(path))) {
    found = {path};
  }
  if (!found.empty() && std::filesystem::is_regular_file(config, ignored)) found.push_back(config);
  return found;
}

}  // namespace

Format dictionary_learning_format() { return {"dictionary_learning", "ae.pt, with config.json", files, load}; }

}  // namespace gloss::sparse
