#include "gloss/circuit/splice.h"

#include <algorithm>
#include <tuple>

#include "gloss/base/error.h"
#include "gloss/model/subject_model.h"

namespace gloss::circuit {

Weights::Weights(const Place& place) : place_(&place) {
  const sparse::CoderInfo& info = place.coder.info();
  if (!info.has_decoder)
    fail_input(place.hookpoint, "its coder has no decoder, so what its latents write is not known");
  if (info.normalisation != sparse::Normalisation::none)
    fail_input(
        place.hookpoint,
        "its coder normalises its input: what its latents write depends on the token, which circuits cannot take");
  sparse::Encoded nothing;
  nothing.offsets.push_back(0);
  const std::vector<float> origin(info.input_width, 0.0F);
  bias_ = model::to_host(place.coder.decode(nothing, model::from_host(origin, 1, info.input_width)));
}

double Weights::written(std::uint32_t latent, std::span<const float> with) const {
  const std::size_t width = with.size();
  if (place_->coder.info().neurons) return latent < width ? double{with[latent]} : -double{with[latent - width]};
  const float* row = place_->coder.decoder().data() + latent * width;
  double sum = 0.0;
  for (std::size_t i = 0; i < width; ++i) sum += double{with[i]} * double{row[i]};
  return sum;
}

void Weights::write(std::uint32_t latent, double scale, std::span<float> row) const {
  const std::size_t width = row.size();
  if (place_->coder.info().neurons) {
    row[latent % width] += static_cast<float>(latent < width ? scale : -scale);
    return;
  }
  const float* weight = place_->coder.decoder().data() + latent * width;
  for (std::size_t i = 0; i < width; ++i) row[i] += static_cast<float>(scale * double{weight[i]});
}

void Weights::read_back(std::uint32_t latent, float value, double scale, std::span<float> row) const {
  std::vector<float> gradient(row.size());
  place_->coder.value_gradient(LatentId{latent}, value, gradient);
  for (std::size_t i = 0; i < row.size(); ++i) row[i] += static_cast<float>(scale * double{gradient[i]});
}

Spliced Weights::splice(const model::Tensor& read, const model::Tensor& y) const {
  const sparse::Encoded encoded = place_->coder.encode(read);
  Spliced s;
  s.rows = encoded.rows();
  s.width = static_cast<std::size_t>(y.columns());
  s.y = model::to_host(y);
  s.rest = s.y;
  s.latents.resize(s.rows);
  for (std::size_t row = 0; row < s.rows; ++row) {
    const std::span<float> rest = std::span(s.rest).subspan(row * s.width, s.width);
    for (std::uint64_t i = encoded.offsets[row]; i < encoded.offsets[row + 1]; ++i) {
      s.latents[row].emplace(encoded.latent[i], encoded.value[i]);
      write(encoded.latent[i], -double{encoded.value[i]}, rest);
    }
  }
  return s;
}

bool comes_before(model::Hookpoint a, model::Hookpoint b) {
  const auto order = [](model::Hookpoint h) {
    return std::tuple(h.layer, h.site == model::Site::layer_output, h.site);
  };
  return order(a) < order(b);
}

}  // namespace gloss::circuit
