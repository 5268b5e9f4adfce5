#pragma once
/// How far a judge's probabilities can be believed. Method: docs/methods.md 7.
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "gloss/store/store.h"

namespace gloss::report {

/// One object for each scorer, explainer and judge whose judgements have probabilities: ten bins (how many, mean
/// probability, share whose right answer is yes with its Wilson 95 % interval), expected calibration error, Brier
/// score.
nlohmann::json calibration_json(const store::Store& store);
nlohmann::json calibration_json(const std::vector<store::CalibrationTally>& tallies);
/// Of the judgements behind these scores, where scorers give probabilities. Ordered by scorer, explainer, judge.
std::vector<store::CalibrationTally> calibration_tallies(
    const std::vector<store::ScoreRow>& scores,
    const std::function<std::vector<score::Judgement>(const store::ScoreRow&)>& judgements);
/// The two measures in a line each.
std::vector<std::string> calibration_lines(const store::Store& store);

}  // namespace gloss::report
