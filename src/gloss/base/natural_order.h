#pragma once
/// Names with numbers in the order people expect: layers.2 before layers.10.
#include <string>
#include <string_view>
#include <vector>

namespace gloss {

bool natural_less(std::string_view a, std::string_view b);
void natural_sort(std::vector<std::string>& names);

}  // namespace gloss
