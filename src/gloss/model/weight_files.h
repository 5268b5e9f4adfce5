#pragma once
/// The weight files of a Hugging Face folder, safetensors or PyTorch's, seen as one set of named tensors.
#include <filesystem>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "gloss/base/hash.h"
#include "gloss/formats/safetensors.h"
#include "gloss/formats/torch_file.h"
#include "gloss/model/architecture.h"

namespace gloss::model {

/// Files stay mapped as long as this lives.
class WeightFiles {
 public:
  /// Maps the first of these that is there: model.safetensors, the shards that model.safetensors.index.json names,
  /// pytorch_model.bin, the shards that pytorch_model.bin.index.json names. The same weights in any of them are the
  /// same model, with the same fingerprint.
  /// Errors: bad_input: none is there; a file is missing, cut or damaged, lacks a tensor the index puts there, or lies
  /// outside the folder; a .bin holds more than tensors and plain values (nothing in it is executed).
  static WeightFiles open(const std::filesystem::path& folder);

  bool has(std::string_view name) const { return entries_.contains(name); }
  /// The tensor, checked to be of the planned shape and a float type.
  /// Errors: bad_input: missing (with the nearest name), misshapen (found, wanted and the keys that say so), not
  /// floats.
  const formats::TensorView& find(const PlannedTensor& planned) const;

 private:
  using File = std::variant<formats::SafeTensors, formats::TorchFile>;
  struct Entry {
    std::size_t file;
    formats::TensorView view;
  };

  static File open_file(const std::filesystem::path& path);
  void add_single(const std::filesystem::path& path);
  void add_index(const std::filesystem::path& folder, const std::filesystem::path& index);

  std::string source_;  // the file that says which tensors there are
  std::vector<File> files_;
  std::map<std::string, Entry, std::less<>> entries_;
};

/// Adds name, type, shape and bytes of every planned tensor, in the plan's order: the same for one file and for shards.
void add_to_fingerprint(Hasher& hasher, const WeightFiles& files, const std::vector<PlannedTensor>& plan);

}  // namespace gloss::model
