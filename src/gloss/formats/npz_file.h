#pragma once
/// NumPy archives: arrays by name. Source: numpy/lib/format.py (the header of .npy, versions 1 to 3); an .npz is a zip
/// archive of such files.
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/formats/safetensors.h"
#include "gloss/formats/zip_file.h"

namespace gloss::formats {

/// An open .npz; copies share the mapping. Every header, shape and size is checked at opening.
class NpzFile {
 public:
  /// Stored arrays in row order are views of the mapping; deflated ones and those in column order are copied.
  /// Errors: bad_input naming file and array: no archive, damaged or cut, no .npy inside, big-endian numbers, Python
  /// objects (pickles: never read), a shape that disagrees with the bytes.
  static NpzFile open(const std::filesystem::path& path);
  static NpzFile parse(MappedFile file);

  bool contains(std::string_view name) const;
  /// Errors: bad_input with the nearest name when there is none such. Lifetime: the bytes, as long as any copy of this.
  const TensorView& tensor(std::string_view name) const;
  std::span<const TensorView> tensors() const { return tensors_; }  // in the archive's order, without ".npy"
  const std::string& file_name() const { return file_.name(); }

 private:
  MappedFile file_;
  std::vector<TensorView> tensors_;
  std::vector<std::shared_ptr<const std::vector<std::byte>>> owned_;
};

}  // namespace gloss::formats
