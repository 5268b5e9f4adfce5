#include "gloss/model/weight_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <system_error>

#include "gloss/base/error.h"
#include "gloss/formats/json_file.h"

namespace gloss::model {
namespace {

constexpr std::string_view kSingle = "model.safetensors";
constexpr std::string_view kIndex = "model.safetensors.index.json";

bool is_there(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

[[noreturn]] void fail_no_weights(const std::filesystem::path& folder) {
  const bool old_format = is_there(folder / "pytorch_model.bin") || is_there(folder / "pytorch_model.bin.index.json");
  fail_input(folder.string(), fmt::format("has neither {} nor {}", kSingle, kIndex),
             old_format
                 ? "its pytorch_model.bin must be converted: load the model with transformers and save_pretrained it"
                 : "the folder must be a Hugging Face model with its weights");
}

/// A shard's name must be the name of a file in the folder, not a way out of it.
void check_shard_name(const std::string& name, const std::string& tensor, const std::string& where) {
  if (name.empty() || name == "." || name == ".." || name.find_first_of("/\\") != std::string::npos ||
      name.find('\0') != std::string::npos)
    fail_input(where, fmt::format("'weight_map' puts tensor '{}' into '{}', wanted the name of a file beside the index",
                                  tensor, name));
}

bool is_weight_dtype(formats::Dtype dtype) {
  return dtype == formats::Dtype::f32 || dtype == formats::Dtype::f16 || dtype == formats::Dtype::bf16;
}

}  // namespace

WeightFiles WeightFiles::open(const std::filesystem::path& folder) {
  WeightFiles result;
  if (is_there(folder / kSingle)) {
    result.add_single(folder / kSingle);
  } else if (is_there(folder / kIndex)) {
    result.add_index(folder, folder / kIndex);
  } else {
    fail_no_weights(folder);
  }
  return result;
}

void WeightFiles::add_single(const std::filesystem::path& file) {
  source_ = file.string();
  files_.push_back(formats::SafeTensors::open(file));
  for (const formats::TensorView& view : files_[0].tensors()) entries_.emplace(view.name, Entry{0, view});
}

void WeightFiles::add_index(const std::filesystem::path& folder, const std::filesystem::path& index) {
  source_ = index.string();
  const nlohmann::json json = formats::read_json(index);
  const formats::Fields fields(json, source_);
  const nlohmann::json& map = fields.at("weight_map");
  if (!map.is_object()) fail_input(source_, fmt::format("'weight_map' is {}, wanted an object", map.type_name()));
  std::map<std::string, std::size_t> opened;
  for (const auto& [tensor, shard] : map.items()) {
    if (!shard.is_string())
      fail_input(source_, fmt::format("'weight_map' entry '{}' is {}, wanted a file name", tensor, shard.type_name()));
    const std::string name = shard.get<std::string>();
    check_shard_name(name, tensor, source_);
    if (!opened.contains(name)) {
      if (!is_there(folder / name))
        fail_input(source_, fmt::format("names the shard '{}', which is not there", name),
                   "the download of the model is not complete");
      opened.emplace(name, files_.size());
      files_.push_back(formats::SafeTensors::open(folder / name));
    }
    const std::size_t file = opened.at(name);
    entries_.emplace(tensor, Entry{file, files_[file].tensor(tensor)});
  }
}

const formats::TensorView& WeightFiles::find(const PlannedTensor& planned) const {
  const auto it = entries_.find(planned.name);
  if (it == entries_.end()) {
    std::vector<std::string> names;
    for (const auto& [name, entry] : entries_) names.push_back(name);
    const std::string nearest = nearest_name(planned.name, names);
    fail_input(source_,
               fmt::format("has no tensor '{}' among its {}, wanted {} because config.json says {}", planned.name,
                           names.size(), formats::format_shape(planned.shape), planned.because),
               nearest.empty() ? std::string() : fmt::format("the nearest name in it is '{}'", nearest));
  }
  const formats::TensorView& view = it->second.view;
  const std::string& file = files_[it->second.file].file_name();
  if (!std::ranges::equal(view.shape, planned.shape))
    fail_input(fmt::format("{}: tensor '{}'", file, view.name),
               fmt::format("is {}, wanted {} because config.json says {}", formats::format_shape(view.shape),
                           formats::format_shape(planned.shape), planned.because));
  if (!is_weight_dtype(view.dtype))
    fail_input(fmt::format("{}: tensor '{}'", file, view.name),
               fmt::format("is stored as {}, wanted F32, F16 or BF16", formats::name_of(view.dtype)),
               "quantised models are not supported");
  return view;
}

void add_to_fingerprint(Hasher& hasher, const WeightFiles& files, const std::vector<PlannedTensor>& plan) {
  std::string_view before;  // one tensor may fill several parts
  for (const PlannedTensor& planned : plan) {
    if (planned.name == before) continue;
    before = planned.name;
    const formats::TensorView& view = files.find(planned);
    hasher.add(view.name);
    hasher.add(formats::name_of(view.dtype));
    hasher.add_number(view.shape.size());
    for (const std::uint64_t n : view.shape) hasher.add_number(n);
    hasher.add_bytes(view.bytes);
  }
}

}  // namespace gloss::model
