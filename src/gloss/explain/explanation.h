#pragma once
/// What an explainer says of a latent.
#include <string>

#include "gloss/base/ids.h"

namespace gloss::explain {

/// `text` is for people; `program` is JSON that a PatternJudge can execute, empty for explanations in prose.
/// Failed: text empty, `failure` says why; a failed explanation is counted and never scored.
struct Explanation {
  LatentId latent{};
  std::string text;
  std::string program;
  std::string failure;
  std::string call_hash;  // the LLM call it came from, if any

  bool ok() const { return failure.empty(); }
};

}  // namespace gloss::explain
