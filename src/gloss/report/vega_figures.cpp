#include "gloss/report/vega_figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <set>
#include <string_view>

#include "gloss/base/error.h"
#include "gloss/base/output_file.h"
#include "gloss/base/random.h"
#include "gloss/formats/json_file.h"
#include "gloss/report/csv.h"
#include "gloss/report/figure_tables.h"
#include "gloss/report/filter_tables.h"
#include "gloss/report/terminal.h"
#include "gloss/score/judge.h"

namespace gloss::report {
namespace {

using Json = nlohmann::json;

constexpr int kWidth = 320, kHeight = 220, kMargin = 60;
constexpr const char* kNumber = "number";         // a scorer and what its number is
constexpr const char* kMeasured = "measured_as";  // a kind of latents and what its number is

/// What the builders of figures work from.
struct Source {
  const RunData& data;
  const RunSummary& summary;
  const FigureOptions& options;
};

/// Parts of a specification, written as such.
Json parse(std::string_view text) { return formats::parse_json(text, "figure"); }

/// One panel for each scorer, in two columns. `panel`: JSON text. `head` names the panels.
Json panels(std::string_view panel, std::string_view resolve = "{}", const char* head = "scorer") {
  Json spec = parse(R"({"facet": {"type": "nominal", "title": null}, "columns": 2})");
  spec["facet"]["field"] = head;
  spec["spec"] = parse(panel);
  spec["spec"]["width"] = kWidth;
  if (!spec["spec"].contains("height")) spec["spec"]["height"] = kHeight;
  spec["resolve"] = parse(resolve);
  if (std::string_view(head) == kNumber)
    spec["transform"] = parse(R"([{"calculate": "datum.scorer + ': ' + datum.score_name", "as": "number"}])");
  if (std::string_view(head) == kMeasured) {
    spec["transform"] = parse(R"([{"calculate": "datum.kind + ': ' + datum.measure", "as": "measured_as"}])");
    spec["facet"]["header"] = {{"labelExpr", "split(datum.label, ': ')"}};
  }
  return spec;
}

/// Rows as objects; at most `most` of them, drawn at random and kept in order.
Json values_of(const FigureTable& table, std::size_t most, std::uint64_t seed) {
  std::vector<std::uint64_t> chosen(table.rows.size());
  for (std::size_t i = 0; i < chosen.size(); ++i) chosen[i] = i;
  if (chosen.size() > most) {
    chosen = Random::for_purpose(seed, "figure-points").sample(table.rows.size(), most);
    std::sort(chosen.begin(), chosen.end());
  }
  Json values = Json::array();
  for (const std::uint64_t i : chosen) {
    Json object = Json::object();
    for (std::size_t c = 0; c < table.columns.size(); ++c) object[table.columns[c]] = table.rows[i][c];
    values.push_back(std::move(object));
  }
  return values;
}

Figure finished(std::string name, std::string title, std::string note, FigureTable table, const Json& body,
                const FigureOptions& options, std::size_t most = std::string::npos) {
  if (table.rows.size() > most)
    note += fmt::format("{}{} of {} points are drawn, at random; the CSV has all", note.empty() ? "" : ". ", most,
                        table.rows.size());
  Json spec = {{"$schema", "https://vega.github.io/schema/vega-lite/v5.json"},
               {"title", {{"text", title}, {"anchor", "start"}}}};
  if (!note.empty()) spec["title"]["subtitle"] = note;
  spec["data"] = {{"values", values_of(table, most, options.seed)}};
  for (const auto& [key, value] : body.items()) spec[key] = value;
  return {std::move(name), std::move(title), std::move(table), std::move(spec)};
}

Figure deciles(const Source& s) {
  constexpr std::string_view kPanel = R"({
    "encoding": {
      "x": {"field": "decile", "type": "ordinal", "title": "quantile of the window's largest activation, 1 = weakest",
            "axis": {"labelAngle": 0}},
      "color": {"field": "series", "type": "nominal", "title": "explainer"}},
    "layer": [
      {"mark": {"type": "line", "point": true, "tooltip": {"content": "data"}},
       "encoding": {
         "y": {"field": "accuracy", "type": "quantitative", "title": "share of windows judged rightly", "scale": {"domain": [0, 1]}},
         "strokeDash": {"field": "baseline", "type": "nominal", "legend": null,
                        "scale": {"domain": [false, true], "range": [[1, 0], [5, 4]]}}}},
      {"mark": "rule", "encoding": {"y": {"field": "low", "type": "quantitative"}, "y2": {"field": "high"}}}]})";
  return finished(
      "deciles", "Accuracy by strength of activation",
      "windows in which the latent fires; mean over latents, 95 % bootstrap intervals; dashed: explanations "
      "shuffled among latents",
      decile_table(s.summary), panels(kPanel), s.options);
}

Figure scores(const Source& s) {
  constexpr std::string_view kPanel = R"({
    "height": {"step": 36},
    "encoding": {"y": {"field": "series", "type": "nominal", "title": null}},
    "layer": [
      {"mark": {"type": "rule", "color": "gray", "strokeWidth": 2},
       "encoding": {"x": {"field": "low", "type": "quantitative", "title": "mean over latents", "scale": {"zero": false}}, "x2": {"field": "high"}}},
      {"mark": {"type": "point", "filled": true, "size": 60, "tooltip": {"content": "data"}},
       "encoding": {"x": {"field": "score", "type": "quantitative"},
                    "color": {"field": "series", "type": "nominal", "legend": null}}},
      {"mark": {"type": "tick", "color": "gray", "thickness": 1.5}, "encoding": {"x": {"field": "chance", "type": "quantitative"}}}]})";
  return finished(
      "scores", "Scores by explainer",
      "each scorer's own number, mean over latents, 95 % bootstrap intervals; grey tick: what guessing gives",
      score_table(s.summary), panels(kPanel, R"({"scale": {"x": "independent", "y": "independent"}})", kNumber),
      s.options);
}

Figure histograms(const Source& s) {
  constexpr std::string_view kPanel = R"({
    "mark": {"type": "bar", "opacity": 0.55, "tooltip": {"content": "data"}},
    "encoding": {
      "x": {"field": "from", "type": "quantitative", "title": "of a latent", "bin": {"binned": true}},
      "x2": {"field": "to"},
      "y": {"field": "share", "type": "quantitative", "title": "share of latents", "stack": null},
      "color": {"field": "series", "type": "nominal", "title": "explainer"}}})";
  return finished("histograms", "Scores over latents", "beside them the same explanations shuffled among latents",
                  histogram_table(s.data, s.summary), panels(kPanel, R"({"scale": {"x": "independent"}})", kNumber),
                  s.options);
}

Figure density(const Source& s) {
  constexpr std::string_view kPanel = R"({
    "mark": {"type": "point", "opacity": 0.5, "tooltip": {"content": "data"}},
    "encoding": {
      "x": {"field": "density", "type": "quantitative", "title": "firing rate: share of tokens, logarithmic", "scale": {"type": "log"}},
      "y": {"field": "f1", "type": "quantitative", "title": "F1", "scale": {"domain": [0, 1]}},
      "color": {"field": "series", "type": "nominal", "title": "explainer"}}})";
  return finished("density", "Firing rate and F1", "one point a latent", density_table(s.data, s.summary),
                  panels(kPanel), s.options, s.options.most_points);
}

Figure roc(const Source& s) {
  constexpr std::string_view kPanel = R"({
    "layer": [
      {"mark": {"type": "line", "tooltip": {"content": "data"}},
       "encoding": {
         "x": {"field": "false_positive_rate", "type": "quantitative", "title": "false positive rate", "scale": {"domain": [0, 1]}},
         "y": {"field": "true_positive_rate", "type": "quantitative", "title": "true positive rate", "scale": {"domain": [0, 1]}},
         "order": {"field": "false_positive_rate", "type": "quantitative"},
         "color": {"field": "series", "type": "nominal", "title": "explainer"}}},
      {"data": {"values": [{"x": 0, "y": 0}, {"x": 1, "y": 1}]},
       "mark": {"type": "line", "strokeDash": [2, 2], "color": "gray"},
       "encoding": {"x": {"field": "x", "type": "quantitative"}, "y": {"field": "y", "type": "quantitative"}}}]})";
  return finished("roc", "ROC curves", "all judgements of a scorer pooled, by the judge's probability; dashed: chance",
                  roc_table(s.data, s.summary), panels(kPanel), s.options);
}

Figure calibration(const Source& s) {
  constexpr std::string_view kPanel = R"({
    "encoding": {
      "x": {"field": "mean_probability", "type": "quantitative", "title": "mean probability that the judge gave", "scale": {"domain": [0, 1]}},
      "color": {"field": "series", "type": "nominal", "title": "explainer"}},
    "layer": [
      {"mark": "rule",
       "encoding": {"y": {"field": "low", "type": "quantitative", "title": "share whose answer is yes", "scale": {"domain": [0, 1]}},
                    "y2": {"field": "high"}}},
      {"mark": {"type": "line", "point": true, "tooltip": {"content": "data"}},
       "encoding": {"y": {"field": "positive", "type": "quantitative"}}},
      {"data": {"values": [{"x": 0, "y": 0}, {"x": 1, "y": 1}]},
       "mark": {"type": "line", "strokeDash": [2, 2]},
       "encoding": {"x": {"field": "x", "type": "quantitative"}, "y": {"field": "y", "type": "quantitative"},
                    "color": {"value": "gray"}}}]})";
  return finished("calibration", "Calibration of the judge",
                  "tenths of the probability, 95 % Wilson intervals; dashed: perfectly calibrated",
                  calibration_table(s.data, s.summary), panels(kPanel), s.options);
}

Figure cost(const Source& s) {
  Json body = parse(R"({
    "hconcat": [
      {"transform": [{"fold": ["prompt_tokens", "completion_tokens"], "as": ["kind", "tokens"]}],
       "mark": {"type": "bar", "tooltip": true},
       "encoding": {
         "y": {"field": "stage", "type": "nominal", "title": "stage"},
         "x": {"field": "tokens", "type": "quantitative", "title": "tokens"},
         "color": {"field": "kind", "type": "nominal", "title": null}}},
      {"mark": {"type": "bar", "tooltip": {"content": "data"}},
       "encoding": {
         "y": {"field": "stage", "type": "nominal", "title": "stage"},
         "x": {"field": "dollars", "type": "quantitative", "title": "dollars, by the price table"},
         "color": {"field": "provider", "type": "nominal", "title": "provider"}}}],
    "resolve": {"scale": {"color": "independent"}}})");
  for (Json& panel : body["hconcat"]) panel["width"] = kWidth;
  return finished("cost", "What language models were asked so far",
                  "replies that were paid for; gloss plan says what is to come", cost_table(s.data), body, s.options);
}

/// Scatter with the marginals beside it.
Figure pair_figure(const Source& s, std::string name, const ScorePair& pair, const std::string& a,
                   const std::string& b) {
  FigureTable table = pair_table(s.data, pair);
  std::vector<double> x, y;
  for (const auto& row : table.rows) {
    x.push_back(row[2].get<double>());
    y.push_back(row[3].get<double>());
  }
  const score::Interval pearson = score::pearson(x, y, s.options.seed),
                        spearman = score::spearman(x, y, s.options.seed);
  const std::string note = fmt::format(
      "{}; {} latents; Pearson {:.3f} [{:.3f}, {:.3f}], Spearman {:.3f} [{:.3f}, {:.3f}]", harmless(pair.explainer),
      table.rows.size(), pearson.value, pearson.low, pearson.high, spearman.value, spearman.low, spearman.high);
  Json body = parse(R"({
    "bounds": "flush", "spacing": 8,
    "vconcat": [
      {"mark": "bar",
       "encoding": {"x": {"field": "a", "type": "quantitative", "bin": {"maxbins": 30}, "title": null, "axis": null},
                    "y": {"aggregate": "count", "type": "quantitative", "title": "latents"}}},
      {"bounds": "flush", "spacing": 8,
       "hconcat": [
         {"mark": {"type": "point", "opacity": 0.5, "tooltip": {"content": "data"}},
          "encoding": {"x": {"field": "a", "type": "quantitative", "scale": {"zero": false}},
                       "y": {"field": "b", "type": "quantitative", "scale": {"zero": false}}}},
         {"mark": "bar",
          "encoding": {"y": {"field": "b", "type": "quantitative", "bin": {"maxbins": 30}, "title": null, "axis": null},
                       "x": {"aggregate": "count", "type": "quantitative", "title": "latents"}}}]}]})");
  Json &above = body["vconcat"][0], &points = body["vconcat"][1]["hconcat"][0],
       &beside = body["vconcat"][1]["hconcat"][1];
  above["width"] = points["width"] = points["height"] = beside["height"] = kWidth;
  above["height"] = beside["width"] = kMargin;
  points["encoding"]["x"]["title"] = a;
  points["encoding"]["y"]["title"] = b;
  return finished(std::move(name), fmt::format("{} and {}", a, b), note, std::move(table), body, s.options,
                  s.options.most_points);
}

std::string file_name(std::string_view text) {
  std::string name;
  for (const char c : text) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0;
    if (plain)
      name += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    else if (!name.empty() && name.back() != '-')
      name += '-';
  }
  while (!name.empty() && name.back() == '-') name.pop_back();
  return name;
}

std::string axis_of(const std::string& scorer, const std::string& judge, bool with_judge) {
  const std::string_view number = score::headline(scorer, {}).name;
  return harmless(with_judge ? fmt::format("{} by {}, {}", scorer, judge, number)
                             : fmt::format("{}, {}", scorer, number));
}

/// Two scorers of one explainer ("agreement"), or two judges of one scorer ("judges").
std::vector<Figure> pairs(const Source& s, bool judges) {
  std::vector<Figure> figures;
  std::set<std::string> taken;
  for (const ScorerCorrelation& c : s.summary.correlations) {
    if ((c.scorer_a == c.scorer_b) != judges) continue;
    const ScorePair pair{c.explainer, c.scorer_a, c.judge_a, c.scorer_b, c.judge_b};
    const bool with_judge = judges || c.judge_a != c.judge_b;
    std::string name =
        judges ? file_name("judges-" + c.scorer_a) : file_name("agreement-" + c.scorer_a + "-" + c.scorer_b);
    for (int n = 2; !taken.insert(name).second; ++n)
      name = fmt::format("{}-{}", name.substr(0, name.find("--")), "-" + std::to_string(n));
    figures.push_back(pair_figure(s, name, pair, axis_of(c.scorer_a, c.judge_a, with_judge),
                                  axis_of(c.scorer_b, c.judge_b, with_judge)));
  }
  return figures;
}

Figure outcomes(const Source& s) {
  const auto& [hookpoint, latent] = *s.options.latent;
  Json body = parse(R"({
    "facet": {"column": {"field": "explainer", "type": "nominal", "title": null}},
    "spec": {"vconcat": [
      {"mark": {"type": "bar", "tooltip": {"content": "data"}},
       "encoding": {"y": {"field": "windows", "type": "quantitative", "title": "windows"}}},
      {"mark": {"type": "bar", "tooltip": {"content": "data"}},
       "encoding": {"y": {"field": "share", "type": "quantitative", "title": "share of windows"}}}]}})");
  const Json shared = parse(R"({
    "x": {"field": "from", "type": "quantitative", "title": "largest activation of the window", "bin": {"binned": true}},
    "x2": {"field": "to"},
    "color": {"field": "outcome", "type": "nominal", "title": "judged rightly by",
              "sort": ["both right", "detection only", "fuzz only", "both wrong"]}})");
  for (Json& panel : body["spec"]["vconcat"]) {
    panel["width"] = kWidth;
    panel["encoding"].update(shared);
  }
  body["spec"]["vconcat"][0]["height"] = kMargin;
  body["spec"]["vconcat"][1]["height"] = kHeight;
  return finished("outcomes", fmt::format("Outcomes of {} latent {} by activation", hookpoint, to_index(latent)),
                  "activating test windows that detection and fuzz both judged, in twenty intervals of activation",
                  outcome_table(s.data, hookpoint, latent), body, s.options);
}

Figure filters(const Source& s) {
  constexpr std::string_view kPanel = R"({
    "encoding": {
      "x": {"field": "hookpoint", "type": "nominal", "title": "hookpoint", "sort": {"field": "place"}, "axis": {"labelAngle": -40}},
      "color": {"field": "threshold", "type": "ordinal", "title": "threshold"}},
    "layer": [
      {"mark": {"type": "line"}, "encoding": {
         "y": {"field": "share", "type": "quantitative", "title": "share of measured latents"}}},
      {"mark": {"type": "rule"}, "encoding": {"y": {"field": "low", "type": "quantitative"}, "y2": {"field": "high"}}},
      {"mark": {"type": "point", "filled": true, "size": 50, "tooltip": {"content": "data"}}, "encoding": {
         "y": {"field": "share", "type": "quantitative"},
         "shape": {"field": "told_by", "type": "nominal", "title": "told by it",
                   "scale": {"domain": [true, false], "range": ["diamond", "circle"]}}}}]})";
  return finished(
      "filters", "Kinds of latents by hookpoint and threshold",
      "share of the latents that a filter could measure, Wilson 95 % intervals; what is measured: docs/methods.md 13",
      filter_table(s.data), panels(kPanel, R"({"scale": {"y": "independent", "color": "independent"}})", kMeasured),
      s.options);
}

Figure filters_by_layer(const Source& s) {
  constexpr int kHookpoint = 60;
  FigureTable table = filter_layer_table(s.data);
  Json body = parse(R"({
    "encoding": {
      "x": {"field": "hookpoint", "type": "nominal", "title": "hookpoint", "sort": {"field": "place"}, "axis": {"labelAngle": -40}},
      "xOffset": {"field": "kind", "type": "nominal"},
      "color": {"field": "kind", "type": "nominal", "title": "kind", "scale": {"scheme": "tableau20"}, "legend": {"symbolOpacity": 1}}},
    "layer": [
      {"mark": {"type": "line", "opacity": 0.4}, "encoding": {
         "y": {"field": "share", "type": "quantitative", "title": "share of living latents"}}},
      {"mark": {"type": "rule"}, "encoding": {"y": {"field": "low", "type": "quantitative"}, "y2": {"field": "high"}}},
      {"mark": {"type": "point", "filled": true, "size": 40, "tooltip": {"content": "data"}}, "encoding": {
         "y": {"field": "share", "type": "quantitative"}}}]})");
  std::set<Json> places;
  for (const auto& row : table.rows) places.insert(row[3]);
  body["width"] = std::max(2 * kWidth, kHookpoint * static_cast<int>(places.size()));
  body["height"] = kHeight;
  return finished("filters-by-layer", "Kinds of latents by hookpoint",
                  "of the latents that fire, the share that each filter told; Wilson 95 % intervals; a latent can be "
                  "of several kinds",
                  std::move(table), body, s.options);
}

Figure filter_thresholds(const Source& s) {
  constexpr std::string_view kPanel = R"({
    "encoding": {
      "x": {"field": "threshold", "type": "quantitative", "title": "threshold", "scale": {"zero": false}},
      "color": {"field": "hookpoint", "type": "ordinal", "title": "hookpoint", "sort": {"field": "place"}, "scale": {"scheme": "viridis"},
                "legend": {"symbolOpacity": 1}}},
    "layer": [
      {"mark": {"type": "area", "interpolate": "step-after", "opacity": 0.15}, "encoding": {
         "y": {"field": "low", "type": "quantitative", "title": "share of living latents"}, "y2": {"field": "high"}}},
      {"mark": {"type": "line", "interpolate": "step-after"}, "encoding": {"y": {"field": "share", "type": "quantitative"}}},
      {"transform": [{"filter": "datum.told_by"}], "mark": {"type": "rule"}, "encoding": {
         "y": {"field": "low", "type": "quantitative"}, "y2": {"field": "high"}}},
      {"transform": [{"filter": "datum.told_by"}],
       "mark": {"type": "point", "filled": true, "shape": "diamond", "size": 50, "tooltip": {"content": "data"}},
       "encoding": {"y": {"field": "share", "type": "quantitative"}}}]})";
  return finished("filter-thresholds", "Kinds of latents by threshold",
                  "share of the latents that fire, Wilson 95 % intervals; kept are only numbers of latents that the "
                  "threshold of gloss filter (diamond) tells",
                  filter_curve_table(s.data),
                  panels(kPanel, R"({"scale": {"x": "independent", "y": "independent"}})", kMeasured), s.options);
}

Figure kind_scores(const Source& s) {
  constexpr std::string_view kPanel = R"({
    "height": {"step": 30},
    "encoding": {
      "y": {"field": "kind", "type": "nominal", "title": null, "sort": null},
      "yOffset": {"field": "series", "type": "nominal"},
      "color": {"field": "latents_are", "type": "nominal", "title": "latents", "sort": ["of the kind", "others", "of no kind"]}},
    "layer": [
      {"mark": {"type": "rule", "strokeWidth": 2}, "encoding": {
         "x": {"field": "low", "type": "quantitative", "title": "mean over latents", "scale": {"zero": false}}, "x2": {"field": "high"}}},
      {"mark": {"type": "point", "filled": true, "size": 60, "tooltip": {"content": "data"}}, "encoding": {
         "x": {"field": "score", "type": "quantitative"},
         "shape": {"field": "baseline", "type": "nominal", "title": "shuffled",
                   "scale": {"domain": [false, true], "range": ["circle", "cross"]}}}},
      {"transform": [{"filter": "!datum.baseline && datum.latents_are !== 'others'"}, {"calculate": "'n ' + datum.latents", "as": "n"}],
       "mark": {"type": "text", "dy": -9, "fontSize": 8}, "encoding": {
         "x": {"field": "score", "type": "quantitative"}, "text": {"field": "n", "type": "nominal"}}},
      {"transform": [{"filter": "!datum.baseline && datum.latents_are === 'others'"}, {"calculate": "'n ' + datum.latents", "as": "n"}],
       "mark": {"type": "text", "dy": 10, "fontSize": 8}, "encoding": {
         "x": {"field": "score", "type": "quantitative"}, "text": {"field": "n", "type": "nominal"}}},
      {"mark": {"type": "tick", "thickness": 1.5}, "encoding": {"x": {"field": "chance", "type": "quantitative"}, "color": {"value": "gray"}}}]})";
  return finished("kind-scores", "Scores by kind of latent",
                  "means over the latents of a kind, over the others, and over those of no kind, 95 % bootstrap "
                  "intervals; crosses: shuffled explanations; tick: guessing",
                  kind_score_table(s.data, s.summary, s.options.seed),
                  panels(kPanel, R"({"scale": {"x": "independent", "y": "independent"}})", kNumber), s.options);
}

struct Row {
  const char* name;
  const char* wants;  // what a run without numbers for it lacks
  std::vector<Figure> (*make)(const Source&);
};
template <Figure (*kMake)(const Source&)>
std::vector<Figure> one(const Source& s) {
  Figure figure = kMake(s);
  if (figure.table.rows.empty()) return {};
  return {std::move(figure)};
}
constexpr std::array<Row, 14> kFigures{{
    {"scores", "scores", one<scores>},
    {"histograms", "scores", one<histograms>},
    {"deciles", "scores of windows in quantiles", one<deciles>},
    {"agreement", "two scorers of the same three latents", [](const Source& s) { return pairs(s, false); }},
    {"judges", "two judges of one scorer", [](const Source& s) { return pairs(s, true); }},
    {"density", "scores of detection or fuzz", one<density>},
    {"roc", "probabilities of detection or fuzz", one<roc>},
    {"calibration", "probabilities", one<calibration>},
    {"filters", "what gloss filter found", one<filters>},
    {"filters-by-layer", "what gloss filter found, and dead latents told apart", one<filters_by_layer>},
    {"filter-thresholds", "latents of which gloss filter told a kind, and dead ones told apart",
     one<filter_thresholds>},
    {"kind-scores", "scores of latents of which gloss filter told a kind", one<kind_scores>},
    {"cost", "replies of a language model", one<cost>},
    {"outcomes", "windows of this latent that detection and fuzz both judged", one<outcomes>},
}};

}  // namespace

std::string FigureTable::csv() const {
  std::string csv;
  for (std::size_t c = 0; c < columns.size(); ++c) csv += (c == 0 ? "" : ",") + columns[c];
  csv += "\r\n";
  for (const auto& row : rows) {
    for (std::size_t c = 0; c < row.size(); ++c) {
      if (c > 0) csv += ',';
      const nlohmann::json& cell = row[c];
      if (cell.is_string())
        csv += csv_text(cell.get_ref<const std::string&>());
      else if (cell.is_number_float())
        csv += csv_number(cell.get<double>());
      else if (!cell.is_null())
        csv += cell.dump();
    }
    csv += "\r\n";
  }
  return csv;
}

std::vector<Figure> make_figures(const RunData& data, const RunSummary& summary, const FigureOptions& options) {
  std::vector<std::string> known;
  known.reserve(kFigures.size());
  for (const Row& row : kFigures) known.emplace_back(row.name);
  for (const std::string& name : options.names) {
    if (std::find(known.begin(), known.end(), name) == known.end()) fail_unknown_name("figure", name, known);
  }
  const Source source{data, summary, options};
  std::vector<Figure> figures;
  for (const Row& row : kFigures) {
    const bool named = std::find(options.names.begin(), options.names.end(), row.name) != options.names.end();
    const bool of_latent = std::string_view(row.name) == "outcomes";
    if (!named && !options.names.empty()) continue;
    if (of_latent && !options.latent) {
      if (named)
        throw Error(ErrorKind::usage, "--figure outcomes", "is of one latent",
                    "name it with --latent HOOKPOINT/NUMBER");
      continue;
    }
    std::vector<Figure> made = row.make(source);
    if (made.empty() && named)
      fail_input(data.title, fmt::format("has no numbers for figure '{}': it wants {}", row.name, row.wants));
    std::move(made.begin(), made.end(), std::back_inserter(figures));
  }
  return figures;
}

std::vector<std::filesystem::path> write_figures(const std::filesystem::path& folder,
                                                 const std::vector<Figure>& figures) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) fail_errno(folder.string(), "cannot be made", error.value());
  std::vector<std::filesystem::path> paths;
  for (const Figure& figure : figures) {
    write_file(folder / (figure.name + ".csv"), figure.table.csv());
    paths.push_back(folder / (figure.name + ".vl.json"));
    write_file(paths.back(), figure.spec.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  }
  return paths;
}

}  // namespace gloss::report
