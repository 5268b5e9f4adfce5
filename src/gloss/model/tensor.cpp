#include "gloss/model/tensor.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/version.h>

#include <algorithm>
#include <stdexcept>

#include "gloss/model/subject_model.h"
#include "gloss/model/torch_tensor.h"

namespace gloss::model {

std::int64_t Tensor::rows() const { return holder_ ? holder_->value.size(0) : 0; }
std::int64_t Tensor::columns() const { return holder_ ? holder_->value.size(1) : 0; }

void set_threads(std::size_t threads) {
  constexpr std::size_t kMost = 1024;
  at::set_num_threads(static_cast<int>(std::clamp<std::size_t>(threads, 1, kMost)));
}

std::string libtorch_version() { return fmt::format("{} ({})", TORCH_VERSION, at::hasCUDA() ? "CPU + CUDA" : "CPU"); }

std::vector<float> to_host(const Tensor& tensor) {
  if (tensor.holder() == nullptr) return {};
  const at::Tensor host = unwrap(tensor).to(at::kCPU, at::kFloat).contiguous();
  const float* values = host.data_ptr<float>();
  return {values, values + host.numel()};
}

Tensor from_host(std::span<const float> values, std::int64_t rows, std::int64_t columns) {
  if (rows < 0 || columns < 0 ||
      static_cast<std::uint64_t>(rows) * static_cast<std::uint64_t>(columns) != values.size())
    throw std::invalid_argument(fmt::format("{} values are no [{}, {}]", values.size(), rows, columns));
  at::Tensor tensor = at::empty({rows, columns}, at::kFloat);
  std::copy(values.begin(), values.end(), tensor.data_ptr<float>());
  return wrap(std::move(tensor));
}

}  // namespace gloss::model
