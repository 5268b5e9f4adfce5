#include "gloss/report/calibration.h"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>
#include <tuple>

#include "gloss/report/summary.h"
#include "gloss/score/judge.h"

namespace gloss::report {

std::vector<store::CalibrationTally> calibration_tallies(
    const std::vector<store::ScoreRow>& scores,
    const std::function<std::vector<score::Judgement>(const store::ScoreRow&)>& judgements) {
  std::map<std::tuple<std::string, std::string, std::string>, score::CalibrationBins> tallies;
  for (const store::ScoreRow& row : scores) {
    if (!score::has_probabilities(row.scorer)) continue;
    score::CalibrationBins& bins = tallies[{row.scorer, row.explainer, row.judge}];
    for (const score::Judgement& j : judgements(row)) score::add_to(bins, j);
  }
  std::vector<store::CalibrationTally> list;
  list.reserve(tallies.size());
  for (const auto& [key, bins] : tallies) list.push_back({std::get<1>(key), std::get<0>(key), std::get<2>(key), bins});
  return list;
}

nlohmann::json calibration_json(const store::Store& store) { return calibration_json(store.calibration_tallies()); }

nlohmann::json calibration_json(const std::vector<store::CalibrationTally>& tallies) {
  nlohmann::json list = nlohmann::json::array();
  for (const store::CalibrationTally& t : tallies) {
    if (!score::has_probabilities(t.scorer)) continue;
    const score::Calibration calibration = score::calibrate(t.bins);
    nlohmann::json entry{{"scorer", t.scorer},
                         {"explainer", t.explainer},
                         {"judge", t.judge},
                         {"judgements", calibration.judgements},
                         {"expected_error", calibration.expected_error},
                         {"brier", calibration.brier},
                         {"bins", nlohmann::json::array()}};
    for (const score::CalibrationBin& bin : calibration.bins) {
      nlohmann::json one{{"judgements", bin.count}, {"positive", interval_json(bin.positive, "share")}};
      one["mean_probability"] = bin.count == 0 ? nlohmann::json(nullptr) : nlohmann::json(bin.mean_probability);
      entry["bins"].push_back(std::move(one));
    }
    list.push_back(std::move(entry));
  }
  return list;
}

std::vector<std::string> calibration_lines(const store::Store& store) {
  std::vector<std::string> lines;
  for (const store::CalibrationTally& t : store.calibration_tallies()) {
    if (!score::has_probabilities(t.scorer)) continue;
    const score::Calibration c = score::calibrate(t.bins);
    lines.push_back(fmt::format(
        "{:<10} {:<22} probabilities of {} judgements: expected calibration error {:.3f}, Brier score {:.3f}", t.scorer,
        t.explainer, c.judgements, c.expected_error, c.brier));
  }
  return lines;
}

}  // namespace gloss::report
