#pragma once
/// Private to `pattern`: finds the next rule of a list.
#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "gloss/explain/pattern_evidence.h"

namespace gloss::explain {

constexpr std::size_t kMaxTests = 4;    // of a rule: the pivot and three of context
constexpr std::size_t kMaxValues = 64;  // of a test

/// What a rule is worth, in activating windows. The numbers are what rules chosen on 40 + 50 windows were found to keep
/// on windows they had not seen (400 latents of a small Llama): a literal seen once is right less than half as often as
/// it looks, and a context test far away is mostly chance. False alarms, a share of the silent windows,
/// cost alarms * (alarm_cost + alarm_square * alarms): few are cheap, since fuzzing pays for missed tokens only; many
/// are not, since a rule that always matches says nothing.
struct Worth {
  double alarm_cost = 0.4, alarm_square = 0.5;  // against 1 for a hit in every activating window
  double hit_shrink = 0.4;                      // windows that a rule of one test loses
  double here = 0.35, before = 0.4, before_step = 0.15, before_most = 1.3;  // further windows lost, by test
  double word_before = 0.5, word_before_step = 0.3, within_8 = 1.3, within_16 = 1.6;
  double alarms = 0.2, alarms_per_test = 0.2;  // false alarms added to those seen
  double exception = 0.01;                     // an exception of less worth is not made
};

/// Tests that must all hold, the first a pivot; and values of one kind at which the rule does not hold.
struct Conjunction {
  std::vector<Evidence::Feature> tests, exceptions;
  std::vector<std::uint32_t> cover;  // tokens it matches, ascending
  double gain = 0.0;
};

/// Beam search over conjunctions. Keeps work memory; one list at a time.
class RuleSearch {
 public:
  explicit RuleSearch(const Evidence& evidence, Worth worth = {});

  using Allowed = std::function<bool(std::span<const Evidence::Feature>)>;
  /// The conjunction that adds most to what is predicted already; a gain of 0 or less is no rule. `allowed` may refuse
  /// (empty: all are).
  Conjunction best(const Allowed& allowed);
  /// The same rule with exceptions where that is worth more, else as it was.
  Conjunction with_exceptions(const Conjunction& rule);
  /// The rule, or, where a test of how a word before ends rests on one or two words, the rules of those words.
  std::vector<Conjunction> by_words(const Conjunction& rule) const;
  /// From now on the rule's tokens are predicted.
  void take(const Conjunction& rule);

 private:
  struct Tally {
    float hits = 0.0F;  // share of the marked tokens of each window, added up
    std::uint32_t marked = 0, own_silent = 0, silent = 0, silent_windows = 0;
    std::uint32_t last_window = 0xFFFFFFFF;
    bool empty() const { return marked + own_silent + silent == 0; }
    bool same_as(const Tally& o) const {
      return marked == o.marked && own_silent == o.own_silent && silent == o.silent &&
             silent_windows == o.silent_windows;
    }
  };
  /// Made by the thousand, so it allocates nothing until it is kept.
  struct Node {
    std::array<Evidence::Feature, kMaxTests> tests{};
    std::uint32_t count = 0;           // of tests
    std::uint32_t parent = 0;          // in the beam it was extended from
    std::vector<std::uint32_t> cover;  // tokens, once it is kept
    double cost = 0.0, gain = 0.0;
    Tally tally;
  };
  void count(Tally& tally, std::uint32_t token) const;
  double gain_of(const Tally& tally, std::size_t tests, double cost) const;
  double cost_of(Evidence::Feature context) const;
  bool may_lead_beyond(double gain, const Node& node) const;
  static std::span<const Evidence::Feature> tests_of(const Node& node) {
    return std::span(node.tests).first(node.count);
  }
  std::vector<Node> pivots(const Allowed& allowed) const;
  std::vector<Node> first_beam(const Allowed& allowed) const;
  static std::vector<Node> keep_best(std::vector<Node> nodes);
  void extend(const Node& node, std::size_t parent, double best, const Allowed& allowed, std::vector<Node>& out);

  const Evidence& evidence_;
  Worth worth_;
  double activating_, silent_windows_, silent_tokens_;
  double window_tokens_;                 // chances for a false alarm in a window
  bool first_ = true;                    // nothing is predicted yet
  std::vector<std::uint8_t> predicted_;  // by token
  std::vector<std::uint8_t> hit_;        // by window: any of its tokens is predicted
  std::vector<Tally> tallies_;           // by feature
  std::vector<Evidence::Feature> touched_;
};

}  // namespace gloss::explain
