#pragma once
/// `promoted-tokens`: what a latent writes, as the plain list of the tokens it promotes. No language model.
/// Source: Gur-Arieh et al. 2025 (arXiv 2501.08319), VocabProj without its language model; docs/methods.md 5.
#include <span>
#include <string>

#include "gloss/explain/explanation.h"
#include "gloss/index/latent_weights.h"
#include "gloss/text/tokenizer.h"

namespace gloss::explain {

/// `[" side", " shore"]`: the tokens' texts as JSON strings, in their order.
std::string token_list(const text::Tokenizer& tokenizer, std::span<const index::WeightEntry> entries);

/// `writes " side", " shore"`. Failed when nothing is promoted. Shapes: promoted best first.
Explanation explain_promoted_tokens(const text::Tokenizer& tokenizer, LatentId latent,
                                    std::span<const index::WeightEntry> promoted);

}  // namespace gloss::explain
