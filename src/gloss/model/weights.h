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
  Parts model;  // parts of no layer
  std::vector<Parts> layers;
  at::ScalarType compute = at::kFloat;  // what products are computed in

  /// As stored: norms f32; other parts in the type that the pass computes in, or in the file's where that is smaller.
  const at::Tensor& of(Part part, std::uint32_t layer = 0) const {
    return (is_of_layer(part) ? layers[layer] : model)[static_cast<std::size_t>(part)];
  }
  /// In the type that the pass computes in; undefined when the model has no such part.
  at::Tensor use(Part part, std::uint32_t layer = 0) const {
    const at::Tensor& stored = of(part, layer);
    return stored.defined() ? stored.to(compute) : stored;
  }
};

/// Copies the planned tensors to where the plan puts them; adds config.gain_offset to the norms. All are checked before
/// anything is allocated. A part whose files hold it in a smaller type than `compute` keeps that type, so that a bf16
/// model takes the memory of its files. Errors: as WeightFiles::find.
Weights load_weights(const Config& config, const std::vector<PlannedTensor>& plan, const WeightFiles& files,
                     at::Device device, at::ScalarType compute);

}  // namespace gloss::model
