#pragma once
/// Arrays in what a language model writes, whatever stands around them. Private to the module.
#include <functional>
#include <nlohmann/json.hpp>
#include <string_view>

namespace gloss::score {

/// Calls `take` with each JSON array of a reply, from its beginning on, until 64 were tried; behind one that it takes
/// (returns true) the search goes on, in one that it does not take it looks for arrays inside.
void each_array(std::string_view reply, const std::function<bool(const nlohmann::json& array)>& take);

}  // namespace gloss::score
