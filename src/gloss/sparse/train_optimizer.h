#pragma once
/// What a training step does with the gradients.
#include <cstddef>
#include <cstdint>

#include "gloss/sparse/train_step.h"

namespace gloss::sparse {

/// Step number `step` (from 1) of Adam, gradients times `scale`. Source: Kingma & Ba 2015, algorithm 1.
void adam_update(TrainState& state, const Parameters& gradient, std::uint64_t step, double rate, double scale,
                 std::size_t threads);

/// Step number `step` (from 1) of schedule-free sign descent: z -= rate sign(g), x = mean of all z so far, and the next
/// gradient is taken at 0.95 x + 0.05 z. state.first holds z, state.second x, state.weights the point between.
/// Decoder rows of z are brought back to unit norm when asked for. Source: Defazio et al. 2024 (arXiv 2405.15682),
/// with the sign of the gradient as the step, as sparsify's default has it.
void signum_update(TrainState& state, const Parameters& gradient, std::uint64_t step, double rate,
                   bool normalize_decoder, std::size_t threads);
/// Where sign descent ends up: x, with unit decoder rows when asked for. Requires: a step was made.
Parameters signum_result(const TrainState& state, bool normalize_decoder, std::size_t threads);

/// Scales every row of [rows, D] to unit norm; rows of norm 0 stay.
void normalize_rows(AlignedFloats& values, std::size_t width, std::size_t threads);

}  // namespace gloss::sparse
