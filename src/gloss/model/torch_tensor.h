#pragma once
/// The torch side of model::Tensor. Only for .cpp files of modules that are built on libtorch.
#include <torch/types.h>

#include <memory>
#include <utility>

#include "gloss/model/tensor.h"

namespace gloss::model {

struct TensorHolder {
  torch::Tensor value;
};

inline Tensor wrap(torch::Tensor value) {
  return Tensor(std::make_shared<const TensorHolder>(TensorHolder{std::move(value)}));
}
/// Requires: the handle is not empty.
inline const torch::Tensor& unwrap(const Tensor& tensor) { return tensor.holder()->value; }

}  // namespace gloss::model
