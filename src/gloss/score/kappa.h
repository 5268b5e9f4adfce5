#pragma once
/// How far two judges say the same beyond what chance gives. Method: docs/methods.md 7.
#include <cstdint>
#include <span>

#include "gloss/score/judgement.h"

namespace gloss::score {

/// Windows that both judged, by what each of them said; failed ones are left out.
struct YesNo {
  std::uint64_t both_yes = 0, only_a = 0, only_b = 0, both_no = 0;

  std::uint64_t windows() const { return both_yes + only_a + only_b + both_no; }
  std::uint64_t agreed() const { return both_yes + both_no; }
};
/// Matched by (start, kind).
YesNo match_verdicts(std::span<const Judgement> a, std::span<const Judgement> b);

/// Cohen's kappa over all windows, with a 95 % bootstrap interval over latents as clusters (2,000 resamples); none for
/// one latent. NaN where it is not defined: no windows, or both say the same of all of them.
/// Shapes: latents [n], the windows of each. Source: (p_o - p_e) / (1 - p_e), Cohen 1960, "A coefficient of agreement
/// for nominal scales".
Interval kappa(std::span<const YesNo> latents, std::uint64_t seed);

}  // namespace gloss::score
