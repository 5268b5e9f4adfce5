#include "gloss/model/weights.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

namespace gloss::model {
namespace {

constexpr std::size_t kChunkElements = std::size_t{1} << 20;

at::Tensor& place_of(Weights& weights, const PlannedTensor& planned) {
  const bool outside =
      planned.part == Part::embedding || planned.part == Part::final_norm || planned.part == Part::head;
  Parts& parts = outside ? weights.model : weights.layers.at(planned.layer);
  return parts.at(static_cast<std::size_t>(planned.part));
}

/// Values of `view` as f32 to `out`, piece by piece, so that the copy needs no second whole tensor.
void copy_values(const formats::TensorView& view, float* out) {
  const std::size_t element = formats::size_bytes(view.dtype);
  for (std::size_t done = 0; done < view.element_count(); done += kChunkElements) {
    const std::size_t count = std::min<std::size_t>(kChunkElements, view.element_count() - done);
    formats::TensorView piece;
    piece.name = view.name;
    piece.dtype = view.dtype;
    piece.bytes = view.bytes.subspan(done * element, count * element);
    const std::vector<float> values = formats::to_floats(piece);
    std::copy(values.begin(), values.end(), out + done);
  }
}

/// Rows that the plan puts into the part of `planned`.
std::uint64_t rows_of_part(const std::vector<PlannedTensor>& plan, const PlannedTensor& planned) {
  std::uint64_t rows = 0;
  for (const PlannedTensor& other : plan) {
    if (other.part == planned.part && other.layer == planned.layer)
      rows = std::max(rows, other.first_row + other.shape[0]);
  }
  return rows;
}

}  // namespace

Weights load_weights(const Config& config, const std::vector<PlannedTensor>& plan, const WeightFiles& files,
                     at::Device device) {
  for (const PlannedTensor& planned : plan) files.find(planned);
  Weights weights;
  weights.layers.resize(config.layers);
  for (const PlannedTensor& planned : plan) {
    at::Tensor& place = place_of(weights, planned);
    if (!place.defined()) {
      std::vector<std::int64_t> shape(planned.shape.begin(), planned.shape.end());
      shape[0] = static_cast<std::int64_t>(rows_of_part(plan, planned));
      place = at::empty(shape, at::kFloat);
    }
    const std::int64_t row = place.numel() / place.size(0);
    copy_values(files.find(planned), place.data_ptr<float>() + static_cast<std::int64_t>(planned.first_row) * row);
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
