#include "gloss/explain/pattern_search.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <tuple>
#include <utility>

namespace gloss::explain {
namespace {

using Feature = Evidence::Feature;

constexpr std::size_t kBeam = 32;
constexpr double kPerTest = 1e-5;   // of equal rules the shorter is better
constexpr double kSameGain = 2e-5;  // rules that differ by less and match as much are one to the beam

}  // namespace

RuleSearch::RuleSearch(const Evidence& evidence, Worth worth)
    : evidence_(evidence),
      worth_(worth),
      activating_(static_cast<double>(evidence.activating_count())),
      silent_windows_(static_cast<double>(evidence.window_count() - evidence.activating_count())),
      silent_tokens_(static_cast<double>(std::max<std::size_t>(1, evidence.silent_token_count()))),
      window_tokens_(static_cast<double>(evidence.token_count()) /
                     static_cast<double>(std::max<std::size_t>(1, evidence.window_count()))),
      predicted_(evidence.token_count(), 0),
      hit_(evidence.window_count(), 0),
      tallies_(evidence.feature_count()) {}

inline void RuleSearch::count(Tally& tally, std::uint32_t token) const {
  const Evidence::Token& t = evidence_.token(token);
  if (predicted_[token] != 0 || t.label == Label::weak) return;
  if (t.label == Label::marked) {
    tally.hits += t.weight;
    ++tally.marked;
  } else if (t.window < evidence_.activating_count()) {
    ++tally.own_silent;
  } else {
    ++tally.silent;
    if (hit_[t.window] == 0 && tally.last_window != t.window) {
      tally.last_window = t.window;
      ++tally.silent_windows;
    }
  }
}

/// Hits: share of the activating windows. Alarms: share of silent windows, half as counted there, half from the rate at
/// which silent tokens of all windows match.
double RuleSearch::gain_of(const Tally& tally, std::size_t tests, double cost) const {
  const double added = worth_.alarms + worth_.alarms_per_test * static_cast<double>(tests - 1);
  const double rate = (tally.own_silent + tally.silent + added) / silent_tokens_ * window_tokens_;
  const double seen = silent_windows_ > 0.0 ? (tally.silent_windows + added) / silent_windows_ : rate;
  const double hits = static_cast<double>(tally.hits) - worth_.hit_shrink - cost;
  const double alarms = 0.5 * seen + 0.5 * rate;
  return hits / activating_ - alarms * (worth_.alarm_cost + worth_.alarm_square * alarms) -
         kPerTest * static_cast<double>(tests);
}

double RuleSearch::cost_of(Feature context) const {
  const Evidence::Kind& kind = evidence_.kind(context);
  const double steps = kind.distance - 1.0;
  switch (kind.where) {
    case Where::here:
      return worth_.here;
    case Where::before:
      return std::min(worth_.before + worth_.before_step * steps, worth_.before_most);
    case Where::word_before:
      return worth_.word_before + worth_.word_before_step * steps;
    case Where::within:
      return kind.distance > kWidest / 2 ? worth_.within_16 : worth_.within_8;
  }
  return 0.0;
}

/// Whether the node, or what extends it, can be worth more than `gain`: no extension is worth more than one that loses
/// nothing but the false alarms.
bool RuleSearch::may_lead_beyond(double gain, const Node& node) const {
  if (node.gain > gain) return true;
  if (node.count == kMaxTests) return false;
  Tally ideal;
  ideal.hits = node.tally.hits;
  return gain_of(ideal, node.count + 1, node.cost + worth_.here) > gain;
}

std::vector<RuleSearch::Node> RuleSearch::pivots(const Allowed& allowed) const {
  std::vector<Node> nodes;
  for (Feature f = 0; f < evidence_.feature_count(); ++f) {
    if (!evidence_.is_pivot(f)) continue;
    Node node;
    for (const std::uint32_t i : evidence_.tokens_with(f)) count(node.tally, i);
    if (node.tally.marked == 0) continue;
    node.tests[0] = f;
    node.count = 1;
    node.gain = gain_of(node.tally, 1, 0.0);
    if (!may_lead_beyond(0.0, node) || (allowed && !allowed(tests_of(node)))) continue;
    nodes.push_back(std::move(node));
  }
  return nodes;
}

/// Appends to `out` what may become better than `best`.
void RuleSearch::extend(const Node& node, std::size_t parent, double best, const Allowed& allowed,
                        std::vector<Node>& out) {
  touched_.clear();
  for (const std::uint32_t i : node.cover) {
    if (predicted_[i] != 0 || evidence_.token(i).label == Label::weak) continue;
    for (const Feature f : evidence_.contexts_of(i)) {
      Tally& tally = tallies_[f];
      if (tally.empty()) touched_.push_back(f);
      count(tally, i);
    }
  }
  for (const Feature f : touched_) {
    const Tally tally = std::exchange(tallies_[f], {});
    if (tally.marked == 0 || tally.same_as(node.tally)) continue;
    Node next;
    next.tests = node.tests;
    next.tests[node.count] = f;
    next.count = node.count + 1;
    next.parent = static_cast<std::uint32_t>(parent);
    next.cost = node.cost + cost_of(f);
    next.gain = gain_of(tally, next.count, next.cost);
    next.tally = tally;
    if (!may_lead_beyond(best, next) || (allowed && !allowed(tests_of(next)))) continue;
    out.push_back(std::move(next));
  }
}

/// The 32 best in order, of those that match equally much only the first.
std::vector<RuleSearch::Node> RuleSearch::keep_best(std::vector<Node> nodes) {
  std::vector<std::uint32_t> heap(nodes.size());
  std::iota(heap.begin(), heap.end(), 0U);
  const auto worse = [&](std::uint32_t a, std::uint32_t b) {
    return nodes[a].gain != nodes[b].gain ? nodes[a].gain < nodes[b].gain : a > b;
  };
  std::make_heap(heap.begin(), heap.end(), worse);
  std::vector<Node> kept;
  while (!heap.empty() && kept.size() < kBeam) {
    std::pop_heap(heap.begin(), heap.end(), worse);
    Node& node = nodes[heap.back()];
    heap.pop_back();
    const bool same = std::any_of(kept.begin(), kept.end(), [&](const Node& k) {
      return k.gain > node.gain - kSameGain && k.tally.same_as(node.tally);
    });
    if (!same) kept.push_back(std::move(node));
  }
  return kept;
}

/// The pivots to begin with. The token itself may say nothing and the one before it all, but "any token" is never good
/// enough to be kept; what it leads to is a latent's main rule or none, so it is tried for the first only.
std::vector<RuleSearch::Node> RuleSearch::first_beam(const Allowed& allowed) const {
  std::vector<Node> nodes = pivots(allowed);
  const auto is_any = [&](const Node& n) { return evidence_.kind(n.tests[0]).what == What::any; };
  const auto widest = std::find_if(nodes.begin(), nodes.end(), is_any);
  const bool try_any = first_ && widest != nodes.end();
  Node any = try_any ? *widest : Node{};
  std::vector<Node> beam = keep_best(std::move(nodes));
  if (try_any && std::none_of(beam.begin(), beam.end(), is_any)) beam.push_back(std::move(any));
  for (Node& node : beam) node.cover = evidence_.tokens_with(node.tests[0]);
  return beam;
}

Conjunction RuleSearch::best(const Allowed& allowed) {
  Conjunction best;
  std::vector<Node> beam = first_beam(allowed);
  while (!beam.empty()) {
    // The beam is sorted: its first is its best.
    if (beam[0].gain > best.gain) {
      const auto tests = tests_of(beam[0]);
      best = {{tests.begin(), tests.end()}, {}, beam[0].cover, beam[0].gain};
    }
    if (beam[0].count == kMaxTests) break;
    std::vector<Node> next;
    for (std::size_t i = 0; i < beam.size(); ++i) {
      if (may_lead_beyond(best.gain, beam[i])) extend(beam[i], i, best.gain, allowed, next);
    }
    next = keep_best(std::move(next));
    // Only what is the best or may be extended needs to know its tokens.
    const double bar = next.empty() ? best.gain : std::max(best.gain, next[0].gain);
    for (Node& node : next) {
      if (&node != &next[0] && (node.count == kMaxTests || !may_lead_beyond(bar, node))) continue;
      for (const std::uint32_t i : beam[node.parent].cover) {
        if (evidence_.holds(node.tests[node.count - 1], i)) node.cover.push_back(i);
      }
    }
    beam = std::move(next);
  }
  return best;
}

Conjunction RuleSearch::with_exceptions(const Conjunction& rule) {
  struct Value {
    double silent = 0.0, silent_window = 0.0, hits = 0.0;
  };
  std::map<Feature, Value> values;
  for (const std::uint32_t i : rule.cover) {
    const Evidence::Token& token = evidence_.token(i);
    if (predicted_[i] != 0 || token.label == Label::weak) continue;
    for (const Feature f : evidence_.features_of(i)) {
      if (!may_except(evidence_.kind(f))) continue;
      Value& value = values[f];
      value.hits += static_cast<double>(token.weight);
      if (token.label != Label::silent) continue;
      value.silent += 1.0;
      value.silent_window += token.window >= evidence_.activating_count() ? 1.0 : 0.0;
    }
  }
  // The kind whose values are worth most together.
  using Shape = std::tuple<Where, std::uint8_t, What>;
  std::map<Shape, std::pair<double, std::vector<Feature>>> shapes;
  for (const auto& [f, value] : values) {
    const double rate = value.silent / silent_tokens_ * window_tokens_;
    const double seen = silent_windows_ > 0.0 ? value.silent_window / silent_windows_ : rate;
    const double worth = worth_.alarm_cost * (0.5 * seen + 0.5 * rate) - value.hits / activating_ - worth_.exception;
    if (worth <= 0.0) continue;
    const Evidence::Kind& kind = evidence_.kind(f);
    auto& [total, members] = shapes[{kind.where, kind.distance, kind.what}];
    total += worth;
    if (members.size() < kMaxValues) members.push_back(f);
  }
  const auto most = std::max_element(shapes.begin(), shapes.end(),
                                     [](const auto& a, const auto& b) { return a.second.first < b.second.first; });
  if (most == shapes.end()) return rule;

  Conjunction out{rule.tests, most->second.second, {}, 0.0};
  Tally tally;
  double cost = 0.0;
  for (std::size_t i = 1; i < rule.tests.size(); ++i) cost += cost_of(rule.tests[i]);
  for (const std::uint32_t i : rule.cover) {
    const auto holds = [&](Feature f) { return evidence_.holds(f, i); };
    if (std::any_of(out.exceptions.begin(), out.exceptions.end(), holds)) continue;
    out.cover.push_back(i);
    count(tally, i);
  }
  out.gain = gain_of(tally, rule.tests.size(), cost);
  return out.gain > rule.gain ? out : rule;
}

std::vector<Conjunction> RuleSearch::by_words(const Conjunction& rule) const {
  constexpr std::size_t kFew = 2;
  for (std::size_t at = 1; at < rule.tests.size(); ++at) {
    const Evidence::Kind& kind = evidence_.kind(rule.tests[at]);
    if (kind.where != Where::word_before || kind.what != What::suffix) continue;
    const Evidence::Kind wanted{kind.where, kind.distance, What::word};
    std::vector<Conjunction> out;
    bool all = true;
    for (const std::uint32_t i : rule.cover) {
      if (evidence_.token(i).label != Label::marked || predicted_[i] != 0) continue;
      const auto held = evidence_.contexts_of(i);
      const auto word = std::find_if(held.begin(), held.end(), [&](Feature f) { return evidence_.kind(f) == wanted; });
      all = all && word != held.end();
      if (!all) break;
      const auto known = [&](const Conjunction& c) { return c.tests[at] == *word; };
      if (std::any_of(out.begin(), out.end(), known)) continue;
      out.push_back(rule);
      out.back().tests[at] = *word;
    }
    if (!all || out.empty() || out.size() > kFew) continue;
    for (Conjunction& c : out) {
      std::erase_if(c.cover, [&](std::uint32_t i) { return !evidence_.holds(c.tests[at], i); });
    }
    return out;
  }
  return {rule};
}

void RuleSearch::take(const Conjunction& rule) {
  first_ = false;
  for (const std::uint32_t i : rule.cover) {
    predicted_[i] = 1;
    hit_[evidence_.token(i).window] = 1;
  }
}

}  // namespace gloss::explain
