#pragma once
/// Safetensors files: read mapped, written in a stream.
/// Source: huggingface/safetensors README, "Format": u64 header size, JSON header, tensor bytes.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/base/mapped_file.h"
#include "gloss/base/output_file.h"

namespace gloss::formats {

enum class Dtype { boolean, u8, i8, u16, i16, f16, bf16, u32, i32, f32, u64, i64, f64 };

std::size_t size_bytes(Dtype dtype);
/// "F32", "U64", ... as the file spells it.
std::string_view name_of(Dtype dtype);

/// One tensor of an open file. Row-major; bytes are little-endian and may be unaligned in foreign files.
struct TensorView {
  std::string name;
  Dtype dtype = Dtype::f32;
  std::vector<std::uint64_t> shape;
  std::span<const std::byte> bytes;

  std::uint64_t element_count() const;
};

/// "[768, 32768]".
std::string format_shape(std::span<const std::uint64_t> shape);

/// An open file; copies share the mapping. Every offset, shape and size is checked at opening.
class SafeTensors {
 public:
  /// Errors: bad_input naming file, tensor and byte: too short, header not JSON, unknown dtype, ranges that overlap,
  /// leave holes, pass the end, or disagree with dtype x shape.
  static SafeTensors open(const std::filesystem::path& path);
  static SafeTensors parse(MappedFile file);

  bool contains(std::string_view name) const;
  /// Errors: bad_input listing the nearest name when there is none such.
  const TensorView& tensor(std::string_view name) const;
  /// The tensor, checked to have this dtype and shape. Errors: bad_input with both shapes.
  const TensorView& tensor(std::string_view name, Dtype dtype, std::span<const std::uint64_t> shape) const;
  std::span<const TensorView> tensors() const { return tensors_; }  // in the order of their bytes
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::string& file_name() const { return file_.name(); }
  /// Size and JSON, as they stand in the file. Lifetime: as long as any copy of this object.
  std::span<const std::byte> header_bytes() const& { return header_; }
  std::span<const std::byte> header_bytes() && = delete;

  /// A tensor's elements in place. Errors: bad_input when dtype differs or the bytes are not aligned for T.
  /// Lifetime: as long as any copy of this object.
  template <class T>
  std::span<const T> view(std::string_view name, Dtype dtype) const& {
    const TensorView& t = tensor(name);
    check_view(t, dtype, sizeof(T), alignof(T));
    return {reinterpret_cast<const T*>(t.bytes.data()), t.bytes.size() / sizeof(T)};
  }
  template <class T>
  std::span<const T> view(std::string_view name, Dtype dtype) && = delete;

 private:
  void check_view(const TensorView& t, Dtype dtype, std::size_t element_bytes, std::size_t alignment) const;

  MappedFile file_;
  std::span<const std::byte> header_;
  std::vector<TensorView> tensors_;
  std::map<std::string, std::string> metadata_;
};

/// Any float tensor (F32, F16, BF16, F64) as f32 values. Errors: bad_input for other dtypes.
std::vector<float> to_floats(const TensorView& tensor);

/// Writes a file whose tensors' shapes are known in advance and whose bytes come in order. Data begin at a multiple
/// of 64 bytes, so that arrays declared widest dtype first are aligned when mapped.
class SafeTensorsWriter {
 public:
  struct Declared {
    std::string name;
    Dtype dtype;
    std::vector<std::uint64_t> shape;
  };
  SafeTensorsWriter(const std::filesystem::path& path, const std::vector<Declared>& tensors,
                    const std::map<std::string, std::string>& metadata);

  /// Appends bytes of the tensors, in the order declared; calls may split anywhere.
  void write(std::span<const std::byte> bytes);
  template <class T>
  void write_values(std::span<const T> values) {
    write(std::as_bytes(values));
  }
  /// Errors: std::logic_error when not exactly the declared bytes were written.
  void commit();

 private:
  OutputFile file_;
  std::uint64_t wanted_bytes_ = 0;
  std::uint64_t given_bytes_ = 0;
};

}  // namespace gloss::formats
