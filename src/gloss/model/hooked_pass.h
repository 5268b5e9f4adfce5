#pragma once
/// A pass that others may look into and change while it runs, with gradients where they want them. Only for .cpp files
/// of modules that are built on libtorch.
#include <ATen/core/Tensor.h>

#include <functional>
#include <span>

#include "gloss/model/hookpoint.h"
#include "gloss/model/subject_model.h"

namespace gloss::model {

/// Threads: as the model.
class HookedPass {
 public:
  /// Called at every place with its activation [B*T, width], in the order of a pass. May keep the tensor, or put
  /// another of its shape, type and device in its place.
  using Visit = std::function<void(Hookpoint, at::Tensor& activation)>;

  explicit HookedPass(SubjectModel model) : model_(std::move(model)) {}

  /// Logits [B, V] f32 after the last token of each context. Steps are recorded for gradients as at::GradMode says,
  /// from the first tensor on that a visit left wanting them: the weights want none. Shapes: tokens [B, T] row-major.
  /// Errors: bad_input as SubjectModel::logits; failed (no memory).
  at::Tensor last_logits(std::span<const TokenId> tokens, std::uint32_t batch, const Visit& visit) const;

  const SubjectModel& model() const { return model_; }

 private:
  SubjectModel model_;
};

}  // namespace gloss::model
