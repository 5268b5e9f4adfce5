// Two explanations of one latent beside each other.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "gloss/dashboard/routes.h"
#include "gloss/score/paired.h"

namespace gloss::dashboard {
namespace {

using Json = nlohmann::json;

/// One explanation with its scores and, beside each, its judgements.
struct Side {
  store::ExplanationRow explanation;
  std::vector<store::ScoreRow> scores;
  std::vector<std::vector<score::Judgement>> judgements;
};

Side side_of(const Run& run, const Place& place, const std::string& explainer) {
  const auto lock = run.lock();
  std::optional<store::ExplanationRow> found = run.store().explanation(place.name, place.latent, explainer);
  if (!found) throw Fault(404, fmt::format("no explanation by '{}'", explainer), "one of the latent's explainers");
  Side side{*std::move(found), {}, {}};
  for (store::ScoreRow& row : run.store().scores_of(place.name, place.latent)) {
    if (row.explainer != explainer) continue;
    side.judgements.push_back(run.store().judgements(place.name, place.latent, explainer, row.scorer, row.judge));
    side.scores.push_back(std::move(row));
  }
  return side;
}

Json side_json(const Run& run, const Side& side) {
  return {{"run", run.input().name},
          {"explainer", side.explanation.explainer},
          {"text", side.explanation.explanation.text}};
}

Json value_json(const store::ScoreRow& row) {
  const score::Interval value = score::headline(row.scorer, row.score).value;
  return {{"value", number(value.value)}, {"low", number(value.low)}, {"high", number(value.high)}};
}

/// Positions of windows mean the same only in the same tokens.
void want_same_tokens(const Run& run, const Run& other) {
  if (run.input().tokens.fingerprint() != other.input().tokens.fingerprint())
    throw Fault(409, "runs of different tokens", "runs that were made from the same tokens", "other");
}

/// The place of that scorer and judge among the keys of a run's table.
std::optional<std::size_t> place_of_key(const Run& run, const ScoreKey& wanted) {
  const std::vector<ScoreKey>& keys = run.table().score_keys();
  for (std::size_t k = 0; k < keys.size(); ++k) {
    if (keys[k].scorer == wanted.scorer && keys[k].judge == wanted.judge) return k;
  }
  return std::nullopt;
}

std::string explainer_of(const Run& run, const Target& target, std::string_view name) {
  const std::vector<std::string> known = run.table().explainers();
  std::string explainer = target.text(name);
  if (std::find(known.begin(), known.end(), explainer) == known.end())
    throw Fault(404, fmt::format("no explanation by '{}'", explainer), fmt::format("{}", fmt::join(known, ", ")),
                std::string(name));
  return explainer;
}

/// A latent that both sides have a score for.
struct Pair {
  LatentTable::Row a, b;
  LatentTable::Score score_a, score_b;
  double difference() const { return score_b.value - score_a.value; }
};

Json pair_side_json(const Run& run, const std::string& explainer, LatentTable::Row row, const LatentTable::Score& s) {
  return {{"text", run.table().explanation(explainer, row)},
          {"value", number(s.value)},
          {"low", number(s.low)},
          {"high", number(s.high)},
          {"n", s.answered}};
}

double mean_of(const std::vector<Pair>& pairs, LatentTable::Score Pair::*side) {
  double sum = 0;
  for (const Pair& pair : pairs) sum += (pair.*side).value;
  return sum / static_cast<double>(pairs.size());  // NaN of none
}

}  // namespace

Json differences_json(const Run& run, const Run& other, const Target& target) {
  want_same_tokens(run, other);
  const std::string explainer_a = explainer_of(run, target, "a");
  const std::string explainer_b = explainer_of(other, target, "b");
  const std::uint64_t offset = target.number("offset", 0, 0, std::uint64_t{1} << 32);
  const std::uint64_t limit = target.number("limit", 50, 1, 500);
  const std::vector<ScoreKey>& keys = run.table().score_keys();
  const auto key = std::find_if(keys.begin(), keys.end(), [&](const auto& k) { return k.key == target.text("score"); });
  if (key == keys.end()) throw Fault(404, fmt::format("score '{}'", target.text("score")), "a score's key", "score");
  const auto key_a = static_cast<std::size_t>(key - keys.begin());
  const std::optional<std::size_t> key_b = place_of_key(other, *key);
  std::vector<Pair> pairs;
  for (LatentTable::Row row = 0; key_b && row < run.table().row_count(); ++row) {
    const auto score_a = run.table().score(explainer_a, key_a, row);
    if (!score_a || std::isnan(score_a->value)) continue;
    const auto [h, latent] = run.table().latent_of(row);
    const auto row_b = other.table().find(run.table().hookpoints()[h].name, to_index(latent));
    const auto score_b = row_b ? other.table().score(explainer_b, *key_b, *row_b) : std::nullopt;
    if (score_b && !std::isnan(score_b->value)) pairs.push_back({row, *row_b, *score_a, *score_b});
  }
  std::stable_sort(pairs.begin(), pairs.end(),
                   [](const Pair& x, const Pair& y) { return std::abs(x.difference()) > std::abs(y.difference()); });
  Json rows = Json::array();
  for (std::size_t i = offset; i < pairs.size() && rows.size() < limit; ++i) {
    const Pair& pair = pairs[i];
    const auto [h, latent] = run.table().latent_of(pair.a);
    rows.push_back({{"hookpoint", run.table().hookpoints()[h].name},
                    {"latent", to_index(latent)},
                    {"a", pair_side_json(run, explainer_a, pair.a, pair.score_a)},
                    {"b", pair_side_json(other, explainer_b, pair.b, pair.score_b)},
                    {"difference", number(pair.difference())}});
  }
  return {{"total", pairs.size()},
          {"offset", offset},
          {"mean_a", number(mean_of(pairs, &Pair::score_a))},
          {"mean_b", number(mean_of(pairs, &Pair::score_b))},
          {"rows", std::move(rows)}};
}

Json compare_json(const Run& run, const Run& other, const Target& target) {
  want_same_tokens(run, other);
  const std::string hookpoint = target.text("hookpoint");
  const std::string latent = target.text("latent");
  const Place place = place_of(run, hookpoint, latent);
  const Place other_place = place_of(other, hookpoint, latent);
  // One lock at a time: two that are taken together in two orders could wait for each other.
  const Side a = side_of(run, place, target.text("a"));
  const Side b = side_of(other, other_place, target.text("b"));
  Json scores = Json::array();
  for (std::size_t i = 0; i < a.scores.size(); ++i) {
    for (std::size_t k = 0; k < b.scores.size(); ++k) {
      if (a.scores[i].scorer != b.scores[k].scorer || a.scores[i].judge != b.scores[k].judge) continue;
      const score::Agreement windows = score::match(a.judgements[i], b.judgements[k]);
      scores.push_back({{"scorer", a.scores[i].scorer},
                        {"judge", a.scores[i].judge},
                        {"a", value_json(a.scores[i])},
                        {"b", value_json(b.scores[k])},
                        {"windows", windows.windows()},
                        {"both_right", windows.both_right},
                        {"only_a", windows.only_a},
                        {"only_b", windows.only_b},
                        {"both_wrong", windows.both_wrong},
                        {"p", number(score::mcnemar(windows.only_a, windows.only_b))}});
    }
  }
  return {{"a", side_json(run, a)}, {"b", side_json(other, b)}, {"scores", std::move(scores)}};
}

}  // namespace gloss::dashboard
