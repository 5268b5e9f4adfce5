#include "gloss/circuit/metric.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "gloss/base/error.h"

namespace gloss::circuit {

at::Tensor metric_of(const at::Tensor& logits, const Pair& pair) {
  const auto of = [&](TokenId id) { return logits.select(1, static_cast<std::int64_t>(to_index(id))); };
  return (of(pair.clean_answer) - of(pair.patch_answer)).sum();
}

void check_pairs(std::span<const Pair> pairs, std::uint32_t vocabulary, bool one_length) {
  if (pairs.empty()) throw Error(ErrorKind::usage, "circuit", "there is no pair of prompts");
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const Pair& pair = pairs[i];
    const auto where = fmt::format("pair {}", i + 1);
    if (pair.clean.empty() || pair.clean.size() != pair.patch.size())
      fail_input(where,
                 fmt::format("its prompts have {} and {} tokens, wanted as many", pair.clean.size(), pair.patch.size()),
                 "the prompts of a pair are compared token by token");
    if (to_index(pair.clean_answer) >= vocabulary || to_index(pair.patch_answer) >= vocabulary)
      fail_input(where, fmt::format("an answer is not below the vocabulary of {}", vocabulary));
    if (one_length && pair.clean.size() != pairs[0].clean.size())
      throw Error(ErrorKind::usage, where,
                  fmt::format("has {} tokens, and the first pair {}: nodes by position want pairs of one length",
                              pair.clean.size(), pairs[0].clean.size()));
  }
}

}  // namespace gloss::circuit
