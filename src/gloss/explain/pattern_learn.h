#pragma once
/// Private to `pattern`: the rules of a pattern and how they are learned.
#include <cstdint>
#include <span>
#include <vector>

#include "gloss/explain/pattern_search.h"

namespace gloss::explain {

constexpr std::size_t kMaxRules = 8;

/// Matches a token when all tests hold and the exception, if there is one, does not. The first test is of the token
/// itself.
struct Rule {
  std::vector<Test> tests;
  std::vector<Test> exceptions;  // none or one
  std::uint32_t support = 0;     // marked tokens that it is the first to match
  std::uint32_t matched = 0;     // the same and silent tokens: precision is support / matched
  double level = 0.0;            // mean activation of these over M, silent ones being 0

  bool operator==(const Rule&) const = default;
};

bool matches(const Rule& rule, const WindowText& window, std::size_t t);

/// Learns an ordered list of rules; empty when none is worth more than none. Deterministic.
/// Greedy: the next rule is the one that adds most to hits less false alarms, both as they are to be expected on unseen
/// windows (pattern_search.h). A rule that differs from an earlier one in a single value joins it as a further value.
/// Requires: max_activation > 0. Errors: bad_input for tokens that the vocabulary has not.
std::vector<Rule> learn_rules(const Vocabulary::Impl& vocabulary, std::span<const LearnWindow> activating,
                              std::span<const LearnWindow> silent, float tau, double max_activation);

}  // namespace gloss::explain
