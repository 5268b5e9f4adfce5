// Two explanations of one latent beside each other.
#include <fmt/format.h>

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

}  // namespace

Json compare_json(const Run& run, const Run& other, const Target& target) {
  // Positions of windows mean the same only in the same tokens.
  if (run.input().tokens.fingerprint() != other.input().tokens.fingerprint())
    throw Fault(409, "runs of different tokens", "runs that were made from the same tokens", "other");
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
