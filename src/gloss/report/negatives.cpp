#include "gloss/report/negatives.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>

#include "gloss/report/summary.h"
#include "gloss/score/judgement.h"

namespace gloss::report {
namespace {

using Json = nlohmann::json;

Json numbers_of(const store::NegativeTally& t) {
  return {{"judgements", t.answered + t.failed},
          {"failed", t.failed},
          {"specificity", interval_json(score::wilson(t.right, t.answered), "value")},
          {"mean_similarity", t.mean_similarity}};
}

bool same_group(const store::NegativeTally& a, const store::NegativeTally& b) {
  return std::tie(a.scorer, a.explainer, a.judge, a.kind) == std::tie(b.scorer, b.explainer, b.judge, b.kind);
}

}  // namespace

Json negatives_json(const store::Store& store) {
  const std::vector<store::NegativeTally> by_rank = store.negative_tallies(true);
  Json list = Json::array();
  for (const store::NegativeTally& t : store.negative_tallies(false)) {
    Json entry = numbers_of(t);
    entry["scorer"] = t.scorer;
    entry["explainer"] = t.explainer;
    entry["judge"] = t.judge;
    entry["kind"] = name_of(t.kind);
    if (t.kind == examples::WindowKind::silent_neighbour) {
      entry["by_rank"] = Json::array();
      for (const store::NegativeTally& r : by_rank) {
        if (!same_group(t, r)) continue;
        Json one = numbers_of(r);
        one["rank"] = r.rank;
        entry["by_rank"].push_back(std::move(one));
      }
    }
    list.push_back(std::move(entry));
  }
  return list;
}

std::vector<std::string> negatives_lines(const store::Store& store) {
  const std::vector<store::NegativeTally> tallies = store.negative_tallies(false);
  std::vector<std::string> lines;
  const bool only_random = std::all_of(tallies.begin(), tallies.end(), [](const store::NegativeTally& t) {
    return t.kind == examples::WindowKind::silent_random;
  });
  if (only_random) return lines;
  for (const store::NegativeTally& t : tallies) {
    const score::Interval s = score::wilson(t.right, t.answered);
    lines.push_back(
        fmt::format("{:<10} {:<22} silent windows: {:<10} {:>8} judgements {:>5} failed   specificity "
                    "{:.3f} [{:.3f}, {:.3f}]",
                    t.scorer, t.explainer, name_of(t.kind), t.answered + t.failed, t.failed, s.value, s.low, s.high));
  }
  return lines;
}

}  // namespace gloss::report
