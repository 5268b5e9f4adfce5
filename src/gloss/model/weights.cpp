#include "gloss/model/weights.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <stdexcept>
#include <utility>
#include <vector>

namespace gloss::model {
namespace {

at::ScalarType type_of(formats::Dtype dtype) {
  switch (dtype) {
    case formats::Dtype::f16:
      return at::kHalf;
    case formats::Dtype::bf16:
      return at::kBFloat16;
    case formats::Dtype::f32:
      return at::kFloat;
    case formats::Dtype::f64:
      return at::kDouble;
    default:
      throw std::logic_error("not a type of weights");
  }
}

bool is_gain(Part part) {
  switch (part) {
    case Part::final_norm:
    case Part::attn_norm:
    case Part::q_norm:
    case Part::k_norm:
    case Part::attn_post_norm:
    case Part::mlp_norm:
    case Part::mlp_post_norm:
      return true;
    default:
      return false;
  }
}

bool is_of_norm(Part part) {
  return is_gain(part) || part == Part::final_norm_bias || part == Part::attn_norm_bias || part == Part::mlp_norm_bias;
}

bool is_bias(Part part) {
  return part == Part::qkv_bias || part == Part::attn_out_bias || part == Part::mlp_in_bias || part == Part::down_bias;
}

using Place = std::pair<Part, std::uint32_t>;

/// What the parts will be, from all tensors that fill them.
struct Form {
  std::uint64_t rows = 0;
  at::ScalarType type = at::kFloat;
  bool mixed = false;  // filled by tensors of several types
};

std::map<Place, Form> forms_of(const std::vector<PlannedTensor>& plan, const WeightFiles& files,
                               at::ScalarType compute) {
  std::map<Place, Form> forms;
  for (const PlannedTensor& planned : plan) {
    const at::ScalarType type = type_of(files.find(planned).dtype);
    Form& form = forms[{planned.part, planned.layer}];
    form.mixed = form.mixed || (form.rows > 0 && form.type != type);
    form.type = type;
    form.rows = std::max(form.rows, planned.first_row + planned.rows());
  }
  for (auto& [place, form] : forms) {
    const bool smaller = at::elementSize(form.type) < at::elementSize(compute);
    if (is_of_norm(place.first)) {
      form.type = at::kFloat;
    } else if (form.mixed || is_bias(place.first) || !smaller) {
      form.type = compute;
    }
  }
  return forms;
}

/// The tensor as the file has it. The copy is because the bytes need not be aligned.
at::Tensor read_stored(const formats::TensorView& view) {
  const std::vector<std::int64_t> shape(view.shape.begin(), view.shape.end());
  at::Tensor stored = at::empty(shape, at::TensorOptions(type_of(view.dtype)));
  if (!view.bytes.empty()) std::memcpy(stored.data_ptr(), view.bytes.data(), view.bytes.size());
  return stored;
}

/// The rows of the part that `planned` fills. Shapes: result [planned.rows(), ...].
at::Tensor arrange(const at::Tensor& stored, const PlannedTensor& planned) {
  const at::Tensor rows = planned.transposed ? stored.t() : stored;
  const PlannedTensor::Pick& pick = planned.pick;
  if (pick.block == 0) return rows;
  std::vector<std::int64_t> blocks = rows.sizes().vec();
  blocks[0] /= static_cast<std::int64_t>(pick.stride);
  blocks.insert(blocks.begin() + 1, static_cast<std::int64_t>(pick.stride));
  const at::Tensor picked =
      rows.view(blocks).narrow(1, static_cast<std::int64_t>(pick.offset), static_cast<std::int64_t>(pick.block));
  return picked.flatten(0, 1);
}

}  // namespace

Weights load_weights(const Config& config, const std::vector<PlannedTensor>& plan, const WeightFiles& files,
                     at::Device device, at::ScalarType compute) {
  const std::map<Place, Form> forms = forms_of(plan, files, compute);
  Weights weights;
  weights.compute = compute;
  weights.layers.resize(config.layers);
  for (const PlannedTensor& planned : plan) {
    const auto part = static_cast<std::size_t>(planned.part);
    at::Tensor& place = is_of_layer(planned.part) ? weights.layers.at(planned.layer).at(part) : weights.model.at(part);
    const at::Tensor rows = arrange(read_stored(files.find(planned)), planned);
    if (!place.defined()) {
      const Form& form = forms.at({planned.part, planned.layer});
      std::vector<std::int64_t> shape = rows.sizes().vec();
      shape[0] = static_cast<std::int64_t>(form.rows);
      place = at::empty(shape, at::TensorOptions(form.type));
    }
    place.narrow(0, static_cast<std::int64_t>(planned.first_row), rows.size(0)).copy_(rows);
    if (is_gain(planned.part) && config.gain_offset != 0.0) place.add_(config.gain_offset);
  }
  const auto move = [&](Parts& parts) {
    for (at::Tensor& part : parts) {
      if (part.defined()) part = part.to(device);
    }
  };
  move(weights.model);
  std::for_each(weights.layers.begin(), weights.layers.end(), move);
  if (config.tied_embeddings) weights.model[static_cast<std::size_t>(Part::head)] = weights.of(Part::embedding);
  return weights;
}

}  // namespace gloss::model
