#pragma once
/// Activations in random order, for training.
#include <cstdint>
#include <span>
#include <vector>

#include "gloss/sparse/aligned.h"
#include "gloss/sparse/train.h"

namespace gloss::sparse {

/// Reads whole batches of a source into a buffer of at least 64 training batches (fewer when they would need more than
/// kBufferBytes, or the training is shorter) and hands its rows out in random order. The order depends on the seed and
/// the buffer's number alone, so that a resumed training reads the very rows it would have read. What is left of a
/// buffer after its last whole batch is not used.
class ShuffledRows {
 public:
  static constexpr std::uint64_t kBufferBytes = std::uint64_t{512} << 20;

  /// Lifetime: borrows source. Requires: batch_tokens > 0, source.rows_per_batch > 0, source.width > 0.
  ShuffledRows(const Source& source, std::uint64_t batch_tokens, std::uint64_t steps, std::uint64_t seed);

  /// Steps that one buffer serves.
  std::uint64_t steps_per_buffer() const { return steps_; }

  /// Shapes: input, target [batch_tokens, width]; target is empty for an autoencoder. Lifetime: until the next call.
  struct Rows {
    std::span<const float> input, target;
  };
  /// Errors: bad_input when an activation is not finite; failed when the source gives another number of values than it
  /// promised.
  Rows rows_of(std::uint64_t step);

 private:
  void fill(std::uint64_t number);
  void read(const std::function<std::vector<float>(std::uint64_t)>& from, std::uint64_t batch, std::uint64_t slot,
            AlignedFloats& to) const;
  void gather(const AlignedFloats& from, std::uint64_t first, AlignedFloats& to) const;

  const Source& source_;
  std::uint64_t batch_tokens_, seed_;
  std::uint64_t batches_ = 0;  // of the source, in one buffer
  std::uint64_t steps_ = 0;
  std::uint64_t number_ = 0;  // of the buffer held
  AlignedFloats inputs_, targets_;
  AlignedFloats input_, target_;  // of one training batch
  std::vector<std::uint32_t> order_;
};

}  // namespace gloss::sparse
