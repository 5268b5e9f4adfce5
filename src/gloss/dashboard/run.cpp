#include "gloss/dashboard/run.h"

#include <utility>

namespace gloss::dashboard {

Run::Run(RunInput input, Reporter& reporter)
    : input_(std::move(input)), table_(input_.hookpoints, *input_.store, input_.tokenizer, reporter, input_.meaning) {}

const std::vector<std::uint32_t>& Run::token_counts() const {
  std::call_once(counted_, [this] {
    token_counts_.assign(input_.tokenizer.vocabulary_size(), 0);
    for (const TokenId token : input_.tokens.tokens()) {
      if (to_index(token) < token_counts_.size()) ++token_counts_[to_index(token)];
    }
  });
  return token_counts_;
}

}  // namespace gloss::dashboard
