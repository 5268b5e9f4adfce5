#include "gloss/report/calibration.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "gloss/report/summary.h"
#include "gloss/score/judge.h"

namespace gloss::report {

nlohmann::json calibration_json(const store::Store& store) {
  nlohmann::json list = nlohmann::json::array();
  for (const store::CalibrationTally& t : store.calibration_tallies()) {
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
