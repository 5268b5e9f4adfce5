#pragma once
/// The tensors of a coder, from whichever kind of file, checked as they are read.
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "gloss/formats/npz_file.h"
#include "gloss/formats/safetensors.h"
#include "gloss/formats/torch_file.h"

namespace gloss::sparse {

using Shape = std::vector<std::uint64_t>;

inline constexpr std::uint64_t kMaxWidth = std::uint64_t{1} << 20;
inline constexpr std::uint64_t kMaxLatents = std::uint64_t{1} << 28;

class CoderWeights {
 public:
  /// By the name's ending: .safetensors, .npz, else a PyTorch checkpoint. Errors: as those readers.
  static CoderWeights open(const std::filesystem::path& file);

  bool contains(std::string_view name) const;
  const formats::TensorView& tensor(std::string_view name) const;
  const std::string& file_name() const;
  std::vector<std::string> names() const;
  /// Plain values beside the tensors of a PyTorch checkpoint; null for the other kinds.
  const nlohmann::json* values() const;

  /// Where sizes come from, for messages: "cfg.json says d_in = 2 and num_latents = 3".
  void set_reason(std::string reason) { reason_ = std::move(reason); }
  /// Values of a float tensor of this shape, all finite. `letters` names the shape: "F x D". Errors: bad_input naming
  /// the tensor, what was found and wanted, and why.
  std::vector<float> read(std::string_view name, const Shape& shape, std::string_view letters) const;
  /// The same of [rows, columns], as [columns, rows].
  std::vector<float> read_turned(std::string_view name, std::uint64_t rows, std::uint64_t columns,
                                 std::string_view letters) const;
  /// A single whole number or float of any width. Errors: bad_input when it is not one element of such a type.
  double read_number(std::string_view name) const;
  /// Sizes of a matrix in bounds (columns or rows up to kMaxLatents). Errors: bad_input when it is none.
  Shape matrix_shape(std::string_view name, std::string_view letters) const;

 private:
  using Any = std::variant<formats::SafeTensors, formats::NpzFile, formats::TorchFile>;
  explicit CoderWeights(Any file) : file_(std::move(file)) {}

  Any file_;
  std::string reason_;
};

}  // namespace gloss::sparse
