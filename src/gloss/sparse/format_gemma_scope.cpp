// Gemma Scope: params.npz and no config, sizes from shapes, the place from the folders' names; and Gemma Scope 2:
// params.safetensors, usually with a config.json. z = x W_enc + b_enc, kept where z > threshold; nothing is subtracted.
// Source: docs/formats/coders.md.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "gloss/base/error.h"
#include "gloss/formats/json_file.h"
#include "gloss/sparse/coder_weights.h"
#include "gloss/sparse/format.h"

namespace gloss::sparse {
namespace {

/// Where a kind of coder reads and what it reconstructs; the second empty when they are one.
struct SiteRow {
  std::string_view word;
  std::string_view place, reads;  // after "layers.L"
};
/// Gemma Scope's repositories end in these: google/gemma-scope-2b-pt-res.
constexpr std::array<SiteRow, 4> kRepositories{
    {{"-res", "", ""},
     {"-mlp", ".post_feedforward_layernorm", ""},
     {"-att", ".attn.heads", ""},
     {"-transcoders", ".post_feedforward_layernorm", ".pre_feedforward_layernorm"}}};
/// Gemma Scope 2's folders begin with these.
constexpr std::array<SiteRow, 4> kFolders{
    {{"resid_post", "", ""},
     {"attn_out", ".attn.heads", ""},
     {"mlp_out", ".post_feedforward_layernorm", ""},
     {"transcoder", ".post_feedforward_layernorm", ".pre_feedforward_layernorm"}}};

void place(CoderInfo& info, std::uint32_t layer, const SiteRow& site) {
  info.hookpoint = fmt::format("layers.{}{}", layer, site.place);
  if (site.reads.empty()) return;
  info.reads = fmt::format("layers.{}{}", layer, site.reads);
  info.transcoder = true;
}

std::vector<std::string> parts_of(const std::filesystem::path& path) {
  std::vector<std::string> parts;
  for (const auto& part : std::filesystem::absolute(path).lexically_normal()) parts.push_back(part.string());
  return parts;
}

/// .../gemma-scope-2b-pt-res/layer_20/width_16k/average_l0_71
void read_path(const std::filesystem::path& folder, CoderInfo& info) {
  if (const auto l0 = number_in_path(folder, "average_l0_")) info.published_l0 = *l0;
  const auto layer = number_in_path(folder, "layer_");
  for (const std::string& part : parts_of(folder)) {
    if (part.find("gemma-scope") == std::string::npos) continue;
    info.trained_on = part;
    for (const SiteRow& site : kRepositories) {
      if (layer && part.ends_with(site.word)) place(info, *layer, site);
    }
  }
}

/// "layer_12_width_16k_l0_small" under "resid_post_all".
void read_path_2(const std::filesystem::path& folder, CoderInfo& info) {
  std::optional<std::uint32_t> layer;
  const SiteRow* site = nullptr;
  for (const std::string& part : parts_of(folder)) {
    std::uint32_t number = 0;
    if (std::sscanf(part.c_str(), "layer_%9u_", &number) == 1) layer = number;  // NOLINT(cert-err34-c)
    for (const SiteRow& row : kFolders) {
      if (part.starts_with(row.word)) site = &row;
    }
  }
  if (layer && site != nullptr) place(info, *layer, *site);
}

/// "model.layers.5.self_attn.o_proj.input" and "model.layers.5.output" as Hookpoint::parse knows them.
std::string plain_hook(std::string name) {
  constexpr std::string_view kOutput = ".output";
  constexpr std::string_view kHeads = ".self_attn.o_proj.input";
  if (name.ends_with(kOutput)) name.resize(name.size() - kOutput.size());
  if (name.ends_with(kHeads)) name.replace(name.size() - kHeads.size(), kHeads.size(), ".attn.heads");
  return name;
}

void read_config(const std::filesystem::path& file, CoderInfo& info) {
  const nlohmann::json json = formats::read_json(file);
  const formats::Fields fields(json, file.string());
  const std::string architecture = fields.string("architecture", "jump_relu");
  if (architecture != "jump_relu")
    fail_input(file.string(), fmt::format("'architecture' is '{}', supported: jump_relu", architecture));
  info.trained_on = fields.string("model_name", "");
  if (fields.has("l0") && fields.at("l0").is_number()) info.published_l0 = fields.number("l0");
  if (!fields.has("hf_hook_point_in")) return;
  const std::string in = plain_hook(fields.string("hf_hook_point_in"));
  const std::string out = fields.has("hf_hook_point_out") ? plain_hook(fields.string("hf_hook_point_out")) : in;
  info.hookpoint = out;
  info.transcoder = in != out;
  info.reads = info.transcoder ? in : "";
}

/// The tensor's name as the file has it: some of these files write it in lower case.
std::string name_in(const CoderWeights& file, std::string_view wanted) {
  for (const std::string& name : file.names()) {
    if (std::equal(name.begin(), name.end(), wanted.begin(), wanted.end(), [](char a, char b) {
          return std::tolower(static_cast<unsigned char>(a)) == std::tolower(static_cast<unsigned char>(b));
        }))
      return name;
  }
  return std::string(wanted);
}

CoderData load_weights(CoderWeights& file, CoderInfo info) {
  const std::string w_enc = name_in(file, "W_enc");
  const Shape shape = file.matrix_shape(w_enc, "D x F");
  const std::uint64_t width = shape[0];
  const std::uint64_t latents = shape[1];
  file.set_reason(fmt::format("'{}' is {}", w_enc, formats::format_shape(shape)));
  CoderData data;
  info.input_width = static_cast<std::uint32_t>(width);
  info.latents = static_cast<std::uint32_t>(latents);
  info.activation = "jumprelu";
  info.selection = Selection::threshold;
  info.subtract_bias = false;
  data.w_enc = file.read_turned(w_enc, width, latents, "D x F");
  data.b_enc = file.read(name_in(file, "b_enc"), {latents}, "F");
  data.threshold = file.read(name_in(file, "threshold"), {latents}, "F");
  for (float& v : data.threshold) v = std::max(v, 0.0F);  // relu(z) where z > threshold
  const std::string w_dec = name_in(file, "W_dec");
  const std::string b_dec = name_in(file, "b_dec");
  if (file.tensor(w_dec).shape.size() == 3) {  // a cross-layer transcoder: [F, layers, D]
    info.output_width = info.input_width;
    info.remarks.emplace_back("it writes to several layers: its firings are used, nothing is reconstructed");
    data.b_dec.assign(width, 0.0F);
  } else {
    const std::uint64_t out = file.matrix_shape(w_dec, "F x O")[1];
    info.output_width = static_cast<std::uint32_t>(out);
    data.w_dec = file.read(w_dec, {latents, out}, "F x O");
    data.b_dec = file.read(b_dec, {out}, "O");
    if (file.contains("affine_skip_connection")) {  // y += x A, not transposed
      data.w_skip = file.read_turned("affine_skip_connection", width, out, "D x O");
      info.skip_connection = true;
      info.transcoder = true;
    }
  }
  data.info = std::move(info);
  return data;
}

CoderData load(const std::filesystem::path& folder, const CoderOptions& /*options*/) {
  CoderInfo info;
  info.format = "gemma-scope";
  read_path(folder, info);
  CoderWeights file = CoderWeights::open(folder / "params.npz");
  CoderData data = load_weights(file, std::move(info));
  for (const std::string& part : parts_of(folder)) {
    if (part != "embedding") continue;  // trained on what Gemma has before it multiplies by sqrt(D)
    const float root = std::sqrt(static_cast<float>(data.info.input_width));
    for (float& v : data.w_enc) v /= root;
    for (float& v : data.w_dec) v *= root;
  }
  return data;
}

CoderData load_2(const std::filesystem::path& folder, const CoderOptions& /*options*/) {
  CoderInfo info;
  info.format = "gemma-scope-2";
  read_path_2(folder, info);
  if (std::filesystem::exists(folder / "config.json")) read_config(folder / "config.json", info);
  CoderWeights file = CoderWeights::open(folder / "params.safetensors");
  return load_weights(file, std::move(info));
}

std::vector<std::filesystem::path> files(const std::filesystem::path& path) {
  return all_present(path, {"params.npz"});
}

std::vector<std::filesystem::path> files_2(const std::filesystem::path& path) {
  std::vector<std::filesystem::path> found = all_present(path, {"params.safetensors", "config.json"});
  return found.empty() ? all_present(path, {"params.safetensors"}) : found;
}

}  // namespace

Format gemma_scope_format() { return {"gemma-scope", "params.npz", files, load}; }

Format gemma_scope_2_format() {
  return {"gemma-scope-2", "params.safetensors, usually with config.json", files_2, load_2};
}

}  // namespace gloss::sparse
