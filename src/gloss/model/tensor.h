#pragma once
/// A handle to a libtorch tensor that other modules can hold without including torch (model/torch_tensor.h opens it).
#include <cstdint>
#include <memory>
#include <utility>

namespace gloss::model {

struct TensorHolder;

/// Activations [N, D] f32 on the model's device; copies share the memory. Empty when default-constructed.
class Tensor {
 public:
  Tensor() = default;
  explicit Tensor(std::shared_ptr<const TensorHolder> holder) : holder_(std::move(holder)) {}

  std::int64_t rows() const;
  std::int64_t columns() const;
  const TensorHolder* holder() const { return holder_.get(); }

 private:
  std::shared_ptr<const TensorHolder> holder_;
};

}  // namespace gloss::model
