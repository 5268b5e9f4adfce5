#pragma once
/// What a circuit is measured by. Private to the module; only for .cpp files built on torch.
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

#include "gloss/circuit/graph.h"

namespace gloss::circuit {

/// Sum over contexts of logit(clean_answer) - logit(patch_answer). Shapes: logits [B, V].
at::Tensor metric_of(const at::Tensor& logits, const Pair& pair);

/// Errors: as find_circuit() says of pairs.
void check_pairs(std::span<const Pair> pairs, std::uint32_t vocabulary, bool one_length);

}  // namespace gloss::circuit
