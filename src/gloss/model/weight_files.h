#pragma once
/// The safetensors files of a Hugging Face folder, seen as one set of named tensors.
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "gloss/base/hash.h"
#include "gloss/formats/safetensors.h"
#include "gloss/model/architecture.h"

namespace gloss::model {

/// Files stay mapped as long as this lives.
class WeightFiles {
 public:
  /// Maps model.safetensors, or the shards that model.safetensors.index.json names.
  /// Errors: bad_input: neither is there; a shard is missing, cut, lacks a tensor the index puts there, or lies outside
  /// the folder.
  static WeightFiles open(const std::filesystem::path& folder);

  bool has(std::string_view name) const { return entries_.contains(name); }
  /// The tensor, checked to be of the planned shape and a float type.
  /// Errors: bad_input: missing (with the nearest name), misshapen (found, wanted and the keys that say so), not
  /// floats.
  const formats::TensorView& find(const PlannedTensor& planned) const;

 private:
  struct Entry {
    std::size_t file;
    formats::TensorView view;
  };

  void add_single(const std::filesystem::path& file);
  void add_index(const std::filesystem::path& folder, const std::filesystem::path& index);

  std::string source_;  // the file that says which tensors there are
  std::vector<formats::SafeTensors> files_;
  std::map<std::string, Entry, std::less<>> entries_;
};

/// Adds name, type, shape and bytes of every planned tensor, in the plan's order: the same for one file and for shards.
void add_to_fingerprint(Hasher& hasher, const WeightFiles& files, const std::vector<PlannedTensor>& plan);

}  // namespace gloss::model
