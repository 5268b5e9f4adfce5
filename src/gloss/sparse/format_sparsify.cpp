// EleutherAI/sparsify: cfg.json + sae.safetensors. Source: docs/formats.md 1 (sparsify 1.3.0 and its history).
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/formats/json_file.h"
#include "gloss/formats/safetensors.h"
#include "gloss/sparse/format.h"

namespace gloss::sparse {
namespace {

using formats::SafeTensors;
using formats::TensorView;
using Shape = std::vector<std::uint64_t>;

constexpr std::uint64_t kMaxWidth = std::uint64_t{1} << 20;
constexpr std::uint64_t kMaxLatents = std::uint64_t{1} << 28;
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
  if (config.info.activation != "topk")
    fail_input(fields.where(), fmt::format("'activation' is '{}', supported: topk", config.info.activation));
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

bool is_float(formats::Dtype dtype) {
  using enum formats::Dtype;
  return dtype == f32 || dtype == f16 || dtype == bf16 || dtype == f64;
}

/// Values of a tensor of this shape. `letters` names the shape: "F x D".
std::vector<float> read_tensor(const SafeTensors& file, std::string_view name, const Shape& shape,
                               std::string_view letters, const Config& config) {
  const TensorView& t = file.tensor(name);
  const std::string subject = fmt::format("tensor '{}'", name);
  if (t.shape != shape) {
    const bool turned = t.shape.size() == 2 && shape.size() == 2 && t.shape[0] == shape[1] && t.shape[1] == shape[0];
    fail_input(file.file_name(),
               fmt::format("{} is {}, wanted {} ({}) because {}", subject, formats::format_shape(t.shape),
                           formats::format_shape(shape), letters, config.reason),
               turned ? "it is transposed: do cfg.json and sae.safetensors come from the same program?" : "");
  }
  if (!is_float(t.dtype))
    fail_input(file.file_name(),
               fmt::format("{} is {}, wanted a float type (F32, F16, BF16, F64)", subject, formats::name_of(t.dtype)));
  std::vector<float> values = formats::to_floats(t);
  const auto bad = std::find_if(values.begin(), values.end(), [](float v) { return !std::isfinite(v); });
  if (bad != values.end())
    fail_input(file.file_name(),
               fmt::format("{} holds {} as its value {}, wanted finite numbers", subject, *bad, bad - values.begin()));
  return values;
}

/// [rows, columns] to [columns, rows].
std::vector<float> transposed(const std::vector<float>& values, std::size_t rows, std::size_t columns) {
  std::vector<float> out(values.size());
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < columns; ++c) out[c * rows + r] = values[r * columns + c];
  }
  return out;
}

void read_encoder(const SafeTensors& file, const Config& config, CoderData& data) {
  const std::uint64_t width = config.info.input_width;
  const std::uint64_t latents = config.info.latents;
  if (!file.contains("encoder.weight") && file.contains("W_enc")) {  // the first release
    data.w_enc = transposed(read_tensor(file, "W_enc", {width, latents}, "D x F", config), width, latents);
    data.b_enc = read_tensor(file, "b_enc", {latents}, "F", config);
    return;
  }
  data.w_enc = read_tensor(file, "encoder.weight", {latents, width}, "F x D", config);
  data.b_enc = read_tensor(file, "encoder.bias", {latents}, "F", config);
}

}  // namespace

CoderData load_sparsify(const std::filesystem::path& folder) {
  const Config config = read_config(folder / "cfg.json");
  const SafeTensors file = SafeTensors::open(folder / "sae.safetensors");
  const std::uint64_t width = config.info.input_width;
  const std::uint64_t latents = config.info.latents;
  CoderData data;
  data.info = config.info;
  read_encoder(file, config, data);
  // An encoder-only file still encodes; b_dec is part of that.
  if (file.contains("W_dec")) data.w_dec = read_tensor(file, "W_dec", {latents, width}, "F x D", config);
  data.b_dec = read_tensor(file, "b_dec", {width}, "D", config);
  if (config.skip) data.w_skip = read_tensor(file, "W_skip", {width, width}, "D x D", config);
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
