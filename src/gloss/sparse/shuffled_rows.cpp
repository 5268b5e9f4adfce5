#include "gloss/sparse/shuffled_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "gloss/base/error.h"
#include "gloss/base/random.h"

namespace gloss::sparse {
namespace {

constexpr std::uint64_t kBufferSteps = 64;

std::uint64_t divide_up(std::uint64_t a, std::uint64_t b) { return (a + b - 1) / b; }

}  // namespace

ShuffledRows::ShuffledRows(const Source& source, std::uint64_t batch_tokens, std::uint64_t steps, std::uint64_t seed)
    : source_(source), batch_tokens_(batch_tokens), seed_(seed) {
  const std::uint64_t row_bytes = std::uint64_t{source.width} * sizeof(float) * (source.targets ? 2 : 1);
  const std::uint64_t most = std::max(kBufferBytes / row_bytes, batch_tokens);
  const std::uint64_t rows = std::min(std::min(kBufferSteps, steps) * batch_tokens, most);
  batches_ = divide_up(rows, source.rows_per_batch);
  steps_ = batches_ * source.rows_per_batch / batch_tokens;
}

ShuffledRows::Rows ShuffledRows::rows_of(std::uint64_t step) {
  if (const std::uint64_t wanted = step / steps_; order_.empty() || wanted != number_) fill(wanted);
  const std::uint64_t first = step % steps_ * batch_tokens_;
  gather(inputs_, first, input_);
  if (source_.targets) gather(targets_, first, target_);
  return {input_, target_};
}

void ShuffledRows::gather(const AlignedFloats& from, std::uint64_t first, AlignedFloats& to) const {
  const std::size_t width = source_.width;
  to.resize(batch_tokens_ * width);
  for (std::uint64_t r = 0; r < batch_tokens_; ++r)
    std::copy_n(from.data() + order_[first + r] * width, width, to.data() + r * width);
}

void ShuffledRows::read(const std::function<std::vector<float>(std::uint64_t)>& from, std::uint64_t batch,
                        std::uint64_t slot, AlignedFloats& to) const {
  const std::vector<float> rows = from(batch);
  const std::size_t wanted = source_.rows_per_batch * source_.width;
  if (rows.size() != wanted)
    fail_system("training", fmt::format("a batch of the source holds {} values, wanted {}", rows.size(), wanted));
  const auto bad = std::find_if(rows.begin(), rows.end(), [](float v) { return !std::isfinite(v); });
  if (bad != rows.end())
    fail_input("training",
               fmt::format("the model's activations hold {} (batch {}, row {})", *bad, batch,
                           (bad - rows.begin()) / source_.width),
               "the model's weights or its precision are at fault");
  std::copy(rows.begin(), rows.end(), to.data() + slot * wanted);
}

void ShuffledRows::fill(std::uint64_t number) {
  order_.clear();  // nothing is held until all is read
  const std::uint64_t rows = batches_ * source_.rows_per_batch;
  inputs_.resize(rows * source_.width);
  if (source_.targets) targets_.resize(inputs_.size());
  for (std::uint64_t slot = 0; slot < batches_; ++slot) {
    read(source_.batch, number * batches_ + slot, slot, inputs_);
    if (source_.targets) read(source_.targets, number * batches_ + slot, slot, targets_);
  }
  order_.resize(rows);
  std::iota(order_.begin(), order_.end(), 0U);
  Random::for_purpose(seed_, "training rows", number).shuffle(std::span(order_));
  number_ = number;
}

}  // namespace gloss::sparse
