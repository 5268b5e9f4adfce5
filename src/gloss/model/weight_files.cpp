#include "gloss/model/weight_files.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <system_error>

#include "gloss/base/error.h"
#include "gloss/formats/json_file.h"

namespace gloss::model {
namespace {

/// How a folder may hold its weights; the first that is there is read.
struct Layout {
  std::string_view file;
  bool index;  // a JSON file that names shards; else the weights themselves
};
constexpr std::array<Layout, 4> kLayouts{{{"model.safetensors", false},
                                          {"model.safetensors.index.json", true},
                                          {"pytorch_model.bin", false},
                                          {"pytorch_model.bin.index.json", true}}};

bool is_there(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

[[noreturn]] void fail_no_weights(const std::filesystem::path& folder) {
  std::vector<std::string_view> names;
  names.reserve(kLayouts.size());
  for (const Layout& layout : kLayouts) names.push_back(layout.file);
  fail_input(folder.string(), fmt::format("has no weights: none of {}", fmt::join(names, ", ")),
             "the folder must be a Hugging Face model with its weights");
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
  for (const Layout& layout : kLayouts) {
    const std::filesystem::path path = folder / layout.file;
    if (!is_there(path)) continue;
    if (layout.index)
      result.add_index(folder, path);
    else
      result.add_single(path);
    return result;
  }
  fail_no_weights(folder);
}

WeightFiles::File WeightFiles::open_file(const std::filesystem::path& path) {
  if (path.extension() == ".bin") return formats::TorchFile::open(path);
  return formats::SafeTensors::open(path);
}

void WeightFiles::add_single(const std::filesystem::path& path) {
  source_ = path.string();
  files_.push_back(open_file(path));
  const auto tensors = std::visit([](const auto& file) { return file.tensors(); }, files_[0]);
  for (const formats::TensorView& view : tensors) entries_.emplace(view.name, Entry{0, view});
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
      files_.push_back(open_file(folder / name));
    }
    const std::size_t file = opened.at(name);
    const formats::TensorView& view = std::visit(
        [&wanted = tensor](const auto& f) -> const formats::TensorView& { return f.tensor(wanted); }, files_[file]);
    entries_.emplace(tensor, Entry{file, view});
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
  const std::string& file =
      std::visit([](const auto& f) -> const std::string& { return f.file_name(); }, files_[it->second.file]);
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
