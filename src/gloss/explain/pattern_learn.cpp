#include "gloss/explain/pattern_learn.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>

namespace gloss::explain {
namespace {

using Feature = Evidence::Feature;

constexpr std::size_t kMaxConjunctions = 60;  // before they are joined to rules

/// A rule being made. All members have the same tests, except that the one at `slot` differs.
struct Draft {
  std::vector<Conjunction> members;
  std::optional<std::size_t> slot;  // open while there is one member
};

bool same_kind(const Evidence& evidence, Feature a, Feature b) { return evidence.kind(a) == evidence.kind(b); }

/// Where `tests` differ from the draft's in one value only, if they do and may join.
std::optional<std::size_t> joins(const Evidence& evidence, const Draft& draft, std::span<const Feature> tests) {
  const std::vector<Feature>& mine = draft.members[0].tests;
  if (mine.size() != tests.size() || !draft.members[0].exceptions.empty() || draft.members.size() >= kMaxValues) {
    return std::nullopt;
  }
  // Context tests may come in any order, so compare as sets.
  const auto missing = [](std::span<const Feature> from, std::span<const Feature> in) {
    std::vector<std::size_t> out;
    for (std::size_t i = 0; i < from.size(); ++i) {
      if (std::find(in.begin(), in.end(), from[i]) == in.end()) out.push_back(i);
    }
    return out;
  };
  const std::vector<std::size_t> old_only = missing(mine, tests), new_only = missing(tests, mine);
  if (old_only.size() != 1 || new_only.size() != 1) return std::nullopt;
  const std::size_t slot = old_only[0];
  if (draft.slot && *draft.slot != slot) return std::nullopt;
  if (!same_kind(evidence, mine[slot], tests[new_only[0]])) return std::nullopt;
  return slot;
}

/// Puts the rule into the draft it joins, or a draft of its own.
void place(const Evidence& evidence, std::vector<Draft>& drafts, Conjunction rule) {
  for (Draft& draft : drafts) {
    if (!rule.exceptions.empty()) break;
    if (const auto slot = joins(evidence, draft, rule.tests)) {
      draft.slot = slot;
      draft.members.push_back(std::move(rule));
      return;
    }
  }
  Draft fresh;
  fresh.members.push_back(std::move(rule));
  drafts.push_back(std::move(fresh));
}

bool joins_any(const Evidence& evidence, const std::vector<Draft>& drafts, std::span<const Feature> tests) {
  return std::any_of(drafts.begin(), drafts.end(),
                     [&](const Draft& draft) { return joins(evidence, draft, tests).has_value(); });
}

std::vector<Draft> learn_drafts(const Evidence& evidence) {
  RuleSearch search(evidence);
  std::vector<Draft> drafts;
  for (std::size_t n = 0; n < kMaxConjunctions; ++n) {
    const bool full = drafts.size() >= kMaxRules;
    RuleSearch::Allowed allowed;
    if (full) allowed = [&](std::span<const Feature> tests) { return joins_any(evidence, drafts, tests); };
    Conjunction rule = search.best(allowed);
    if (rule.gain <= 0.0) break;
    if (full) {
      search.take(rule);
      place(evidence, drafts, std::move(rule));
      continue;
    }
    // A rule with exceptions joins no other.
    std::vector<Conjunction> parts = search.by_words(rule);
    if (parts.size() == 1) parts[0] = search.with_exceptions(parts[0]);
    for (Conjunction& part : parts) {
      search.take(part);
      place(evidence, drafts, std::move(part));
    }
  }
  return drafts;
}

void add_value(Test& test, Test value) {
  test.ids.insert(test.ids.end(), value.ids.begin(), value.ids.end());
  for (std::string& text : value.texts) test.texts.push_back(std::move(text));
}

Rule rule_of(const Evidence& evidence, const Draft& draft) {
  Rule rule;
  const Conjunction& first = draft.members[0];
  for (const Feature f : first.tests) rule.tests.push_back(evidence.test(f));
  for (std::size_t m = 1; m < draft.members.size(); ++m) {
    for (const Feature f : draft.members[m].tests) {
      if (std::find(first.tests.begin(), first.tests.end(), f) == first.tests.end()) {
        add_value(rule.tests[*draft.slot], evidence.test(f));
      }
    }
  }
  for (const Feature f : first.exceptions) {
    if (rule.exceptions.empty()) {
      rule.exceptions.push_back(evidence.test(f));
    } else {
      add_value(rule.exceptions[0], evidence.test(f));
    }
  }
  return rule;
}

}  // namespace

bool matches(const Rule& rule, const WindowText& window, std::size_t t) {
  const auto at_token = [&](const Test& test) { return holds(test, window, t); };
  return std::all_of(rule.tests.begin(), rule.tests.end(), at_token) &&
         std::none_of(rule.exceptions.begin(), rule.exceptions.end(), at_token);
}

std::vector<Rule> learn_rules(const Vocabulary::Impl& vocabulary, std::span<const LearnWindow> activating,
                              std::span<const LearnWindow> silent, float tau, double max_activation) {
  if (activating.empty()) return {};
  const Evidence evidence(vocabulary, activating, silent, tau);
  std::vector<bool> taken(evidence.token_count(), false);
  std::vector<Rule> rules;
  for (const Draft& draft : learn_drafts(evidence)) {
    Rule rule = rule_of(evidence, draft);
    double sum = 0.0;
    for (const Conjunction& member : draft.members) {
      for (const std::uint32_t i : member.cover) {
        if (taken[i]) continue;
        taken[i] = true;
        const Evidence::Token& token = evidence.token(i);
        if (token.label == Label::weak) continue;
        rule.support += token.label == Label::marked ? 1 : 0;
        ++rule.matched;
        sum += static_cast<double>(token.activation) / max_activation;
      }
    }
    // Values that joined earlier rules later may have left it nothing.
    if (rule.support == 0) continue;
    if (rules.size() == kMaxRules) break;
    rule.level = std::min(1.0, sum / rule.matched);
    rules.push_back(std::move(rule));
  }
  return rules;
}

}  // namespace gloss::explain
