#pragma once
/// PyTorch checkpoints (.bin, .pt, .pth) as data: tensors by name, and the plain values beside them. Nothing in the
/// file is executed. Source: pytorch docs/source/notes/serialization.rst (the zip form) and torch/serialization.py (the
/// older one, a row of pickles).
#include <cstddef>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/base/mapped_file.h"
#include "gloss/formats/safetensors.h"

namespace gloss::formats {

/// An open checkpoint; copies share the mapping. Every offset, shape and size is checked at opening.
class TorchFile {
 public:
  /// Reads a dict (of dicts, lists ...) of tensors. Names of nested ones are joined with '.': {"model": {"w": t}} gives
  /// "model.w"; an element of a list has its number for a name; a tensor on its own is named "".
  /// Memory: tensors that lie row by row in the file are views of the mapping. Others (a saved transpose) are copied,
  /// as many bytes in all as the file has at most; so are storages that the archive holds deflated.
  /// Errors: bad_input naming file, entry and byte or tensor: neither form, TorchScript, big-endian, damaged or cut, a
  /// pickle that wants anything but tensors and plain values (by name), a tensor that leaves its storage, a dtype we
  /// have not, two tensors of one name.
  static TorchFile open(const std::filesystem::path& path);
  static TorchFile parse(MappedFile file);

  bool contains(std::string_view name) const;
  /// Errors: bad_input with the nearest name when there is none such. Lifetime: the bytes, as long as any copy of this.
  const TensorView& tensor(std::string_view name) const;
  std::span<const TensorView> tensors() const { return tensors_; }  // in the order of the dict
  /// The same structure without its tensors: numbers, strings, lists and dicts as they stand; in a list a tensor is
  /// null; dtypes, devices and the like are strings. For settings that lie beside weights.
  const nlohmann::json& values() const { return *values_; }
  const std::string& file_name() const { return file_.name(); }

 private:
  MappedFile file_;
  std::vector<TensorView> tensors_;
  std::vector<std::shared_ptr<const std::vector<std::byte>>> owned_;  // what some tensors view instead of the mapping
  std::shared_ptr<const nlohmann::json> values_;
};

}  // namespace gloss::formats
