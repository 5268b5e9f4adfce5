// openai/sparse_autoencoder: one .pt per layer, a state_dict with pre_bias and latent_bias.
// Source: docs/formats/coders.md; openai/sparse_autoencoder @ 4965b94.
#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>
#include <optional>

#include "gloss/base/error.h"
#include "gloss/formats/json_file.h"
#include "gloss/sparse/coder_weights.h"
#include "gloss/sparse/format.h"

namespace gloss::sparse {
namespace {

struct LocationRow {
  std::string_view folder;  // gpt2-small/FOLDER_v5_32k/autoencoders/8.pt
  std::string_view place;   // after "layers.L"
};
constexpr std::array<LocationRow, 5> kLocations{{{"mlp_post_act", ".mlp.hidden"},
                                                 {"resid_delta_attn", ".attn"},
                                                 {"resid_delta_mlp", ".mlp"},
                                                 {"resid_post_attn", ".mid"},
                                                 {"resid_post_mlp", ""}}};

bool is_ours(const std::filesystem::path& file) {
  if (file.extension() != ".pt") return false;
  try {
    const CoderWeights weights = CoderWeights::open(file);
    return weights.contains("pre_bias") && weights.contains("latent_bias");
  } catch (const Error&) {
    return false;
  }
}

std::vector<std::filesystem::path> files(const std::filesystem::path& path) { return only_file(path, is_ours); }

std::string place_of(const std::filesystem::path& file) {
  const std::string stem = file.stem().string();
  const std::optional<std::uint32_t> layer = whole_number(stem);
  if (!layer) return "";
  for (const auto& part : std::filesystem::absolute(file).lexically_normal()) {
    for (const LocationRow& row : kLocations) {
      if (part.string().starts_with(row.folder)) return fmt::format("layers.{}{}", *layer, row.place);
    }
  }
  return "";
}

std::string string_or(const nlohmann::json& object, const char* key, const std::string& fallback) {
  return object.is_object() && object.contains(key) && object.at(key).is_string() ? object.at(key).get<std::string>()
                                                                                  : fallback;
}

void read_activation(const nlohmann::json& values, const std::string& where, CoderInfo& info) {
  const std::string activation = string_or(values, "activation", "ReLU");
  if (activation == "ReLU") {
    info.activation = "relu";
    info.selection = Selection::threshold;
    return;
  }
  if (activation != "TopK") fail_input(where, fmt::format("'activation' is '{}', supported: ReLU, TopK", activation));
  const nlohmann::json none = nlohmann::json::object();
  const formats::Fields state(values.contains("activation_state_dict") ? values.at("activation_state_dict") : none,
                              where + ": activation_state_dict");
  const std::string after = state.string("postact_fn", "ReLU");
  if (after != "ReLU")
    fail_input(where, fmt::format("'postact_fn' is '{}': such coders keep negative activations", after),
               "only coders of non-negative activations are supported");
  info.activation = "topk";
  info.selection = Selection::topk;
  const double k = state.number("k");
  if (!(k >= 1 && k <= static_cast<double>(info.latents)))
    fail_input(where, fmt::format("'k' is {}, wanted a whole number from 1 to {}", k, info.latents));
  info.k = static_cast<std::uint32_t>(k);
  info.normalisation = Normalisation::layer_norm;  // no key says it; theirs always do
}

CoderData load(const std::filesystem::path& path, const CoderOptions& /*options*/) {
  CoderWeights file = CoderWeights::open(files(path).front());
  const Shape shape = file.matrix_shape("encoder.weight", "F x D");
  const std::uint64_t latents = shape[0];
  const std::uint64_t width = shape[1];
  file.set_reason(fmt::format("'encoder.weight' is {}", formats::format_shape(shape)));
  CoderData data;
  CoderInfo& info = data.info;
  info.format = "openai";
  info.input_width = info.output_width = static_cast<std::uint32_t>(width);
  info.latents = static_cast<std::uint32_t>(latents);
  info.hookpoint = place_of(file.file_name());
  read_activation(*file.values(), file.file_name(), info);
  data.w_enc = file.read("encoder.weight", {latents, width}, "F x D");
  data.b_enc = file.read("latent_bias", {latents}, "F");
  if (file.contains("decoder.weight")) {
    data.w_dec = file.read_turned("decoder.weight", width, latents, "D x F");
  } else {
    data.w_dec = data.w_enc;  // tied
  }
  data.b_dec = file.read("pre_bias", {width}, "D");
  return data;
}

}  // namespace

Format openai_format() { return {"openai", "one .pt with 'pre_bias' and 'latent_bias'", files, load}; }

}  // namespace gloss::sparse
