#include "gloss/exchange/explanation_lines.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/formats/json_file.h"
#include "gloss/report/summary.h"
#include "gloss/score/judge.h"

namespace gloss::exchange {
namespace {

using Json = nlohmann::json;
using Ordered = nlohmann::ordered_json;

Ordered score_json(const store::ScoreRow& row) {
  const score::LatentScore& s = row.score;
  const score::Headline number = score::headline(row.scorer, s);
  Ordered json = {{"scorer", row.scorer},
                  {"judge", row.judge},
                  {"score_name", number.name},
                  {"score", report::interval_json(number.value, "value")},
                  {"tp", s.tp},
                  {"fp", s.fp},
                  {"tn", s.tn},
                  {"fn", s.fn},
                  {"failed", s.failed}};
  if (!std::isnan(s.f1)) json["f1"] = s.f1;
  if (!std::isnan(s.auc)) json["auc"] = s.auc;
  for (const score::Interval& part : s.per_quantile)
    json["per_decile"].emplace_back(report::interval_json(part, "value"));
  for (const score::Measure& m : s.measures) json["measures"][m.name] = report::interval_json(m.value, "value");
  return json;
}

double real_of(const Json& json, std::string_view key, const std::string& where) {
  return formats::Fields(json, where).number(key, std::numeric_limits<double>::quiet_NaN());
}

score::Interval interval_of(const Json& json, const std::string& where) {
  return {real_of(json, "value", where), real_of(json, "low", where), real_of(json, "high", where)};
}

GivenScore score_of(const Json& json, const std::string& where) {
  const formats::Fields fields(json, where);
  GivenScore given{fields.string("scorer"), fields.string("judge"), {}};
  score::LatentScore& s = given.score;
  const auto count = [&](std::string_view key) {
    return static_cast<std::uint32_t>(fields.integer(key, 0, std::numeric_limits<std::uint32_t>::max(), 0));
  };
  s.tp = count("tp");
  s.fp = count("fp");
  s.tn = count("tn");
  s.fn = count("fn");
  s.failed = count("failed");
  score::add_rates(s);
  s.auc = real_of(json, "auc", where);
  if (fields.has("measures")) {
    for (const auto& [name, value] : fields.at("measures").items())
      s.measures.push_back({name, interval_of(value, fmt::format("{}: measure {}", where, name))});
  }
  if (fields.has("per_decile")) {
    for (const Json& part : fields.at("per_decile"))
      s.per_quantile.push_back(interval_of(part, where + ": per_decile"));
  }
  if (fields.has("score")) score::set_headline(given.scorer, s, interval_of(fields.at("score"), where + ": score"));
  return given;
}

}  // namespace

LeftOut each_explanation_line(const std::filesystem::path& file, const TakeExplanation& take) {
  LeftOut left_out;
  each_json_line(file, [&](const Json& json, const std::string& where) {
    const formats::Fields fields(json, where);
    GivenExplanation line{{fields.string("hookpoint"), fields.string("explainer"), {}}, where};
    explain::Explanation& e = line.row.explanation;
    e.latent = latent_of(fields.at("latent"), where);
    e.failure = fields.string("failure", "");
    e.text = fields.string("explanation", "");
    e.program = fields.string("program", "");
    if (!e.ok()) {
      ++left_out.explanations;
      return;
    }
    if (is_blank(e.text)) fail_input(where, "the explanation is empty");
    if (fields.has("scores")) {
      const Json& scores = list_of(fields, "scores");
      for (std::size_t i = 0; i < scores.size(); ++i) {
        const std::string place = fmt::format("{}: scores {}", where, i);
        if (!add_score(line, score_of(scores[i], place), place)) ++left_out.scores;
      }
    }
    take(line);
  });
  return left_out;
}

LeftOut each_neuronpedia_line(const std::filesystem::path& file, std::string_view hookpoint,
                              const TakeExplanation& take) {
  LeftOut left_out;
  each_json_line(file, [&](const Json& json, const std::string& where) {
    const formats::Fields fields(json, where);
    std::string explainer = "neuronpedia:" + fields.string("typeName", "unknown");
    const std::string model = fields.string("explanationModelName", "");
    if (!model.empty()) explainer += ":" + model;
    GivenExplanation line{{std::string(hookpoint), std::move(explainer), {}}, where};
    line.row.explanation.latent = latent_of(fields.at("index"), where);
    line.row.explanation.text = fields.string("description");
    if (is_blank(line.row.explanation.text)) {
      ++left_out.explanations;
      return;
    }
    take(line);
  });
  return left_out;
}

std::size_t write_explanation_lines(const store::Store& store, const std::vector<std::string>& hookpoints,
                                    const std::function<void(std::string_view text)>& write) {
  return each_explained(
      store, hookpoints, [&](const store::ExplanationRow& row, const std::vector<store::ScoreRow>& scores) {
        const explain::Explanation& e = row.explanation;
        Ordered json = {{"hookpoint", row.hookpoint}, {"latent", to_index(e.latent)}, {"explainer", row.explainer}};
        json["explanation"] = e.text;
        if (!e.program.empty()) json["program"] = e.program;
        if (!e.ok()) json["failure"] = e.failure;
        if (const auto latent = store.latent(row.hookpoint, e.latent)) {
          json["firings"] = latent->firing_count;
          json["density"] = latent->density;
          json["max_activation"] = latent->max_activation;
          json["windows"] = latent->window_count;
        }
        json["scores"] = Ordered::array();
        for (const store::ScoreRow& score : scores) json["scores"].push_back(score_json(score));
        write(json.dump(-1, ' ', false, Ordered::error_handler_t::replace) + "\n");
      });
}

}  // namespace gloss::exchange
