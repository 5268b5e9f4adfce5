#pragma once
/// How scores come out on each kind of silent window: easy and hard negatives are two different numbers.
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "gloss/store/store.h"

namespace gloss::report {

/// One object for each scorer, explainer, judge and kind: specificity with its Wilson 95 % interval over all
/// judgements, how many, failed ones, mean similarity; and for neighbours the same `by_rank`, the nearest first.
nlohmann::json negatives_json(const store::Store& store);
/// The same in a line each. Empty when all silent windows were random ones.
std::vector<std::string> negatives_lines(const store::Store& store);

}  // namespace gloss::report
