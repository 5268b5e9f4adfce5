#include "gloss/app/explanation_lines.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <tuple>

#include "gloss/app/exchange.h"
#include "gloss/base/error.h"
#include "gloss/base/mapped_file.h"
#include "gloss/formats/json_file.h"
#include "gloss/report/summary.h"
#include "gloss/score/baselines.h"
#include "gloss/score/judge.h"
#include "gloss/text/byte_source.h"

namespace gloss::app {
namespace {

using Json = nlohmann::json;
using Ordered = nlohmann::ordered_json;

constexpr std::uint64_t kMostLatents = std::numeric_limits<std::uint32_t>::max();

void each_line(const std::filesystem::path& file,
               const std::function<void(const Json&, const std::string& where)>& take) {
  const auto packing = file.extension() == ".gz" ? text::Packing::gzip : text::Packing::none;
  text::LineReader lines(text::open_source(MappedFile::open(file), packing), file.string());
  while (const auto line = lines.next()) {
    if (line->find_first_not_of(" \t") == std::string_view::npos) continue;
    const std::string where = fmt::format("{}: line {}", file.string(), lines.line());
    take(formats::parse_json(*line, where), where);
  }
}

bool is_blank(std::string_view text) { return text.find_first_not_of(" \t\r\n") == std::string_view::npos; }

/// A number, or its digits as text.
LatentId latent_of(const Json& value, const std::string& where) {
  std::uint64_t number = kMostLatents + 1;
  if (value.is_number_unsigned()) number = value.get<std::uint64_t>();
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    const char* end = text.data() + text.size();
    if (text.empty() || std::from_chars(text.data(), end, number).ptr != end) number = kMostLatents + 1;
  }
  if (number > kMostLatents) fail_input(where, fmt::format("{} is not a latent's number", value.dump()));
  return LatentId{static_cast<std::uint32_t>(number)};
}

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
  for (const score::Measure& m : s.measures) json["measures"][m.name] = report::interval_json(m.value, "value");
  return json;
}

}  // namespace

std::size_t each_explanation_line(const std::filesystem::path& file, const TakeLine& take) {
  std::size_t failed = 0;
  each_line(file, [&](const Json& json, const std::string& where) {
    const formats::Fields fields(json, where);
    ExplanationLine line{{fields.string("hookpoint"), fields.string("explainer"), {}}, where};
    explain::Explanation& e = line.row.explanation;
    e.latent = latent_of(fields.at("latent"), where);
    e.failure = fields.string("failure", "");
    e.text = fields.string("explanation", "");
    e.program = fields.string("program", "");
    if (!e.ok()) {
      ++failed;
      return;
    }
    if (is_blank(e.text)) fail_input(where, "the explanation is empty");
    take(line);
  });
  return failed;
}

std::size_t each_neuronpedia_line(const std::filesystem::path& file, std::string_view hookpoint, const TakeLine& take) {
  std::size_t empty = 0;
  each_line(file, [&](const Json& json, const std::string& where) {
    const formats::Fields fields(json, where);
    std::string explainer = "neuronpedia:" + fields.string("typeName", "unknown");
    const std::string model = fields.string("explanationModelName", "");
    if (!model.empty()) explainer += ":" + model;
    ExplanationLine line{{std::string(hookpoint), std::move(explainer), {}}, where};
    line.row.explanation.latent = latent_of(fields.at("index"), where);
    line.row.explanation.text = fields.string("description");
    if (is_blank(line.row.explanation.text)) {
      ++empty;
      return;
    }
    take(line);
  });
  return empty;
}

std::size_t each_openai_line(const std::filesystem::path& file, const std::string& hookpoint, const TakeLine& take) {
  const std::uint32_t layer = layer_of(hookpoint);
  std::size_t empty = 0;
  each_line(file, [&](const Json& json, const std::string& where) {
    const formats::Fields fields(json, where);
    const formats::Fields neuron(fields.at("neuron_id"), where + ": neuron_id");
    const std::uint64_t found = neuron.integer("layer_index", 0, kMostLatents);
    if (found != layer)
      fail_input(neuron.where(), fmt::format("layer_index {}, wanted {} because of {}", found, layer, hookpoint),
                 "name the hookpoint of those neurons with --hookpoint");
    const LatentId latent = latent_of(neuron.at("neuron_index"), neuron.where());
    const Json& scored = fields.at("scored_explanations");
    if (!scored.is_array())
      fail_input(where, fmt::format("'scored_explanations' is {}, wanted a list", scored.type_name()));
    for (std::size_t i = 0; i < scored.size(); ++i) {
      const formats::Fields one(scored[i], fmt::format("{}: scored_explanations {}", where, i));
      ExplanationLine line{{hookpoint, i == 0 ? "openai" : fmt::format("openai:{}", i + 1), {}}, one.where()};
      line.row.explanation.latent = latent;
      line.row.explanation.text = one.string("explanation");
      if (is_blank(line.row.explanation.text)) {
        ++empty;
      } else {
        take(line);
      }
    }
  });
  return empty;
}

std::size_t write_explanation_lines(const store::Store& store, const std::vector<std::string>& hookpoints,
                                    const std::function<void(std::string_view text)>& write) {
  std::size_t count = 0;
  for (const std::string& hookpoint : hookpoints) {
    std::map<LatentId, store::LatentRow> latents;
    for (store::LatentRow& row : store.latents(hookpoint)) latents.emplace(row.latent, std::move(row));
    std::map<std::pair<LatentId, std::string>, Ordered> scores;
    store.each_score(hookpoint, "", "", [&](const store::ScoreRow& row) {
      if (!score::is_shuffled_name(row.explainer)) scores[{row.score.latent, row.explainer}].push_back(score_json(row));
    });
    for (const store::ExplanationRow& row : store.explanations(hookpoint, "")) {
      if (score::is_shuffled_name(row.explainer)) continue;
      const explain::Explanation& e = row.explanation;
      Ordered json = {{"hookpoint", hookpoint}, {"latent", to_index(e.latent)}, {"explainer", row.explainer}};
      json["explanation"] = e.text;
      if (!e.program.empty()) json["program"] = e.program;
      if (!e.ok()) json["failure"] = e.failure;
      if (const auto latent = latents.find(e.latent); latent != latents.end()) {
        json["firings"] = latent->second.firing_count;
        json["density"] = latent->second.density;
        json["max_activation"] = latent->second.max_activation;
        json["windows"] = latent->second.window_count;
      }
      const auto found = scores.find({e.latent, row.explainer});
      json["scores"] = found == scores.end() ? Ordered::array() : found->second;
      write(json.dump(-1, ' ', false, Ordered::error_handler_t::replace) + "\n");
      ++count;
    }
  }
  return count;
}

}  // namespace gloss::app
