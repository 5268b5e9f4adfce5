#pragma once
/// The weights of a model as torch tensors, in the parts the forward pass works with. Only for .cpp files built on
/// torch.
#include <ATen/core/Tensor.h>

#include <array>
#include <vector>

#include "gloss/model/architecture.h"
#include "gloss/model/weight_files.h"

namespace gloss::model {

/// Every part of one layer, or of the model outside its layers; parts that it does not have stay undefined.
using Parts = std::array<at::Tensor, kPartCount>;

struct Weights {
  Parts model;  // embedding, final_norm, head
  std::vector<Parts> layers;

  const at::Tensor& of(Part part) const { return model[static_cast<std::size_t>(part)]; }
  const at::Tensor& of(Part part, std::uint32_t layer) const { return layers[layer][static_cast<std::size_t>(part)]; }
};

/// Copies the planned tensors, as f32, to where the plan puts them. All are checked before anything is allocated, so
/// the memory is at most twice the size of the files. Errors: as WeightFiles::find.
Weights load_weights(const Config& config, const std::vector<PlannedTensor>& plan, const WeightFiles& files,
                     at::Device device);

}  // namespace gloss::model
