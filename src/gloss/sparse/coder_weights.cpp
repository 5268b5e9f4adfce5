#include "gloss/sparse/coder_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "gloss/base/error.h"
#include "gloss/sparse/format.h"

namespace gloss::sparse {
namespace {

using formats::Dtype;
using formats::TensorView;

bool is_float(Dtype dtype) {
  using enum Dtype;
  return dtype == f32 || dtype == f16 || dtype == bf16 || dtype == f64;
}

template <class T>
double number_at(const TensorView& t) {
  T value{};
  std::memcpy(&value, t.bytes.data(), sizeof(T));
  return static_cast<double>(value);
}

}  // namespace

CoderWeights CoderWeights::open(const std::filesystem::path& file) {
  if (file.extension() == ".safetensors") return CoderWeights(formats::SafeTensors::open(file));
  if (file.extension() == ".npz") return CoderWeights(formats::NpzFile::open(file));
  return CoderWeights(formats::TorchFile::open(file));
}

bool CoderWeights::contains(std::string_view name) const {
  return std::visit([&](const auto& file) { return file.contains(name); }, file_);
}

const TensorView& CoderWeights::tensor(std::string_view name) const {
  return std::visit([&](const auto& file) -> const TensorView& { return file.tensor(name); }, file_);
}

const std::string& CoderWeights::file_name() const {
  return std::visit([](const auto& file) -> const std::string& { return file.file_name(); }, file_);
}

std::vector<std::string> CoderWeights::names() const {
  std::vector<std::string> names;
  std::visit(
      [&](const auto& file) {
        for (const TensorView& t : file.tensors()) names.push_back(t.name);
      },
      file_);
  return names;
}

const nlohmann::json* CoderWeights::values() const {
  const auto* torch = std::get_if<formats::TorchFile>(&file_);
  return torch == nullptr ? nullptr : &torch->values();
}

std::vector<float> CoderWeights::read(std::string_view name, const Shape& shape, std::string_view letters) const {
  const TensorView& t = tensor(name);
  const std::string subject = fmt::format("tensor '{}'", name);
  if (t.shape != shape) {
    const bool turned = t.shape.size() == 2 && shape.size() == 2 && t.shape[0] == shape[1] && t.shape[1] == shape[0];
    fail_input(file_name(),
               fmt::format("{} is {}, wanted {} ({}) because {}", subject, formats::format_shape(t.shape),
                           formats::format_shape(shape), letters, reason_),
               turned
                   ? "it is transposed: do the files come from the same program? --sae-format NAME reads another layout"
                   : "");
  }
  if (!is_float(t.dtype))
    fail_input(file_name(),
               fmt::format("{} is {}, wanted a float type (F32, F16, BF16, F64)", subject, formats::name_of(t.dtype)));
  std::vector<float> values = formats::to_floats(t);
  const auto bad = std::find_if(values.begin(), values.end(), [](float v) { return !std::isfinite(v); });
  if (bad != values.end())
    fail_input(file_name(),
               fmt::format("{} holds {} as its value {}, wanted finite numbers", subject, *bad, bad - values.begin()));
  return values;
}

std::vector<float> CoderWeights::read_turned(std::string_view name, std::uint64_t rows, std::uint64_t columns,
                                             std::string_view letters) const {
  return transposed(read(name, {rows, columns}, letters), rows, columns);
}

double CoderWeights::read_number(std::string_view name) const {
  const TensorView& t = tensor(name);
  if (t.element_count() == 1) {
    if (is_float(t.dtype)) return static_cast<double>(formats::to_floats(t).front());
    if (t.dtype == Dtype::i32) return number_at<std::int32_t>(t);
    if (t.dtype == Dtype::i64) return number_at<std::int64_t>(t);
  }
  fail_input(file_name(), fmt::format("tensor '{}' is {} of {}, wanted one number", name, formats::name_of(t.dtype),
                                      formats::format_shape(t.shape)));
}

Shape CoderWeights::matrix_shape(std::string_view name, std::string_view letters) const {
  const TensorView& t = tensor(name);
  const bool bounded = t.shape.size() == 2 && std::all_of(t.shape.begin(), t.shape.end(),
                                                          [](std::uint64_t n) { return n >= 1 && n <= kMaxLatents; });
  if (!bounded)
    fail_input(file_name(), fmt::format("tensor '{}' is {}, wanted a matrix ({}) with 1 to {} rows and columns", name,
                                        formats::format_shape(t.shape), letters, kMaxLatents));
  return t.shape;
}

}  // namespace gloss::sparse
