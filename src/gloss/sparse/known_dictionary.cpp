#include "gloss/sparse/known_dictionary.h"

#include <algorithm>
#include <cmath>

#include "gloss/base/random.h"

namespace gloss::sparse {

KnownDictionary::KnownDictionary(const Size& size, std::uint64_t seed) : size_(size), seed_(seed) {
  Random random = Random::for_purpose(seed, "known dictionary");
  vectors_.resize(size.vectors * size.width);
  for (std::size_t v = 0; v < size.vectors; ++v) {
    double square = 0.0;
    for (std::size_t d = 0; d < size.width; ++d) {
      vectors_[v * size.width + d] = static_cast<float>(random.normal());
      square += std::pow(double{vectors_[v * size.width + d]}, 2);
    }
    for (std::size_t d = 0; d < size.width; ++d) vectors_[v * size.width + d] /= static_cast<float>(std::sqrt(square));
  }
}

std::vector<float> KnownDictionary::rows(std::uint64_t batch, std::size_t rows) const {
  Random random = Random::for_purpose(seed_, "known dictionary rows", batch);
  std::vector<float> out(rows * size_.width, 0.0F);
  for (std::size_t row = 0; row < rows; ++row) {
    for (const std::uint64_t v : random.sample(size_.vectors, size_.active)) {
      const auto amplitude = static_cast<float>(0.5 + random.uniform());
      for (std::size_t d = 0; d < size_.width; ++d)
        out[row * size_.width + d] += amplitude * vectors_[v * size_.width + d];
    }
  }
  return out;
}

Source KnownDictionary::source(std::size_t rows_per_batch) const {
  Source source;
  source.width = static_cast<std::uint32_t>(size_.width);
  source.rows_per_batch = rows_per_batch;
  source.batch = [this, rows_per_batch](std::uint64_t batch) { return rows(batch, rows_per_batch); };
  source.fingerprint = "known dictionary";
  return source;
}

double KnownDictionary::recovery(std::span<const float> learned) const {
  const std::size_t width = size_.width;
  double sum = 0.0;
  for (std::size_t v = 0; v < size_.vectors; ++v) {
    double best = 0.0;
    for (std::size_t f = 0; f < learned.size() / width; ++f) {
      double dot = 0.0;
      double square = 0.0;
      for (std::size_t d = 0; d < width; ++d) {
        dot += double{vectors_[v * width + d]} * double{learned[f * width + d]};
        square += std::pow(double{learned[f * width + d]}, 2);
      }
      if (square > 0.0) best = std::max(best, dot / std::sqrt(square));
    }
    sum += best;
  }
  return sum / static_cast<double>(size_.vectors);
}

}  // namespace gloss::sparse
