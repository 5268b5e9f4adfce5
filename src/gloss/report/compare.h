#pragma once
/// Two explainers side by side on what both were judged on: `gloss compare`. Method: docs/methods.md 7.
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "gloss/score/paired.h"
#include "gloss/store/store.h"

namespace gloss::report {

/// Whose explanations, and where their scores are.
struct Side {
  const store::Store& store;
  std::string explainer;
};

/// One scorer, over the latents (of all hookpoints) that it scored for both.
struct Comparison {
  std::string scorer, judge_a, judge_b;
  std::uint64_t latents = 0;                 // that both have a score for
  std::uint64_t only_a = 0, only_b = 0;      // scored for one side alone
  score::Interval a, b;                      // mean of score::headline over `latents`
  score::Interval difference;                // b - a, paired
  score::Agreement windows;                  // judged for both; none when the sides do not share their windows
  std::uint64_t a_better = 0, b_better = 0;  // latents with McNemar's p below 0.05
};

/// One row for each scorer and judge that both sides have; where a scorer had one judge on each side, but not the same
/// one, these two are set against each other. `same_windows`: positions mean the same on both sides. Deterministic.
std::vector<Comparison> compare(const Side& a, const Side& b, bool same_windows, std::uint64_t seed);

nlohmann::json to_json(const Comparison& comparison);
/// A few lines for the terminal.
std::string to_text(const Comparison& comparison);

}  // namespace gloss::report
