#include "gloss/report/html.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/base/output_file.h"
#include "gloss/report/csv.h"
#include "gloss/report/page.h"
#include "gloss/report/summary.h"
#include "gloss/report/vega_figures.h"
#include "gloss/report/visible_text.h"

namespace gloss::report {

namespace {

std::string csv_interval(const score::Interval& i) {
  return fmt::format("{},{},{}", csv_number(i.value), csv_number(i.low), csv_number(i.high));
}

using LatentKey = std::pair<std::string, LatentId>;

}  // namespace

std::string scores_csv(const RunData& data) {
  std::map<LatentKey, const store::LatentRow*> latents;
  for (const store::LatentRow& row : data.latents) latents[{row.hookpoint, row.latent}] = &row;
  std::map<std::pair<LatentKey, std::string>, const std::string*> texts;
  for (const store::ExplanationRow& row : data.explanations)
    texts[{{row.hookpoint, row.explanation.latent}, row.explainer}] = &row.explanation.text;

  std::string csv =
      "hookpoint,latent,density,max_activation,windows,explainer,scorer,judge,tp,fp,tn,fn,failed,balanced_accuracy,"
      "balanced_accuracy_low,balanced_accuracy_high,recall,recall_low,recall_high,specificity,specificity_low,"
      "specificity_high,precision,precision_low,precision_high,f1,auc,explanation\r\n";
  for (const store::ScoreRow& row : data.scores) {
    const score::LatentScore& s = row.score;
    const LatentKey key{row.hookpoint, s.latent};
    const auto latent = latents.find(key);
    const std::string facts =
        latent == latents.end() ? std::string(",,")
                                : fmt::format("{},{},{}", csv_number(latent->second->density),
                                              csv_number(latent->second->max_activation), latent->second->window_count);
    const auto text = texts.find({key, row.explainer});
    csv += fmt::format("{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}\r\n", csv_text(row.hookpoint),
                       to_index(s.latent), facts, csv_text(row.explainer), csv_text(row.scorer), csv_text(row.judge),
                       s.tp, s.fp, s.tn, s.fn, s.failed, csv_interval(s.balanced_accuracy), csv_interval(s.recall),
                       csv_interval(s.specificity), csv_interval(s.precision), csv_number(s.f1), csv_number(s.auc),
                       text == texts.end() ? std::string() : csv_text(*text->second));
  }
  return csv;
}

namespace {

std::string page_of(const RunData& data, const RunSummary& summary, const ReportOptions& options, Reporter& reporter) {
  return filled(asset("page.html"), {{"title", html_text(data.title)},
                                     {"css", std::string(asset("report.css"))},
                                     {"js", std::string(asset("report.js"))},
                                     {"facts", facts_html(data)},
                                     {"warnings", warnings_html(summary)},
                                     {"summary", summary_table_html(summary)},
                                     {"by_hookpoint", hookpoint_table_html(summary)},
                                     {"by_group", group_table_html(summary)},
                                     {"histograms", histograms_html(data, summary)},
                                     {"deciles", deciles_html(data, summary)},
                                     {"data", script_json(page_data(data, options, reporter))}});
}

}  // namespace

std::string report_page(const RunData& data, const ReportOptions& options, Reporter& reporter) {
  return page_of(data, summarize_run(data.explanations, data.scores, options.seed, data.latents, data.output), options,
                 reporter);
}

void write_report(const std::filesystem::path& folder, const RunData& data, const ReportOptions& options,
                  Reporter& reporter) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) fail_errno(folder.string(), "cannot be made", error.value());
  const RunSummary summary = summarize_run(data.explanations, data.scores, options.seed, data.latents, data.output);
  for (const std::string& warning : summary.warnings()) reporter.warn(warning);
  write_file(folder / "scores.csv", scores_csv(data));
  nlohmann::json numbers = summary.to_json();
  if (data.negatives) numbers["negatives"] = data.negatives();
  if (data.calibration) numbers["calibration"] = data.calibration();
  write_file(folder / "summary.json", numbers.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  const std::vector<Figure> figures = make_figures(data, summary, {{}, std::nullopt, options.seed});
  write_figures(folder / "figures", figures);
  write_file(folder / "figures.html", figures_page(data, figures));
  write_file(folder / "index.html", page_of(data, summary, options, reporter));
}

}  // namespace gloss::report
