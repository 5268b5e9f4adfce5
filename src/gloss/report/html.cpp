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
#include "gloss/base/utf8.h"
#include "gloss/report/page.h"
#include "gloss/report/summary.h"
#include "gloss/report/visible_text.h"

namespace gloss::report {

/// The page's template, style sheet and script, compiled in; "" for an unknown name.
std::string_view asset(std::string_view file_name);

namespace {

/// Replaces each {{name}} of the template by its part, in one pass: parts are never searched again, so that nothing a
/// run says can stand for another part.
std::string fill(std::string_view page, const std::map<std::string, std::string, std::less<>>& parts) {
  std::string out;
  while (true) {
    const std::size_t open = page.find("{{");
    const std::size_t close = open == std::string_view::npos ? open : page.find("}}", open);
    if (close == std::string_view::npos) return out.append(page);
    out.append(page.substr(0, open)).append(parts.at(std::string(page.substr(open + 2, close - open - 2))));
    page.remove_prefix(close + 2);
  }
}

std::string csv_text(std::string_view text) {
  std::string value = replace_invalid_utf8(text);
  if (!value.empty() && std::string_view("=+-@\t\r").find(value.front()) != std::string_view::npos)
    value.insert(0, "'");
  if (value.find_first_of(",\"\r\n") == std::string::npos) return value;
  std::string quoted = "\"";
  for (const char c : value) quoted.append(c == '"' ? 2 : 1, c);
  return quoted + "\"";
}

std::string csv_number(double value) { return std::isnan(value) ? std::string() : fmt::format("{:.6g}", value); }

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
  return fill(asset("page.html"), {{"title", html_text(data.title)},
                                   {"css", std::string(asset("report.css"))},
                                   {"js", std::string(asset("report.js"))},
                                   {"facts", facts_html(data)},
                                   {"warnings", warnings_html(summary)},
                                   {"summary", summary_table_html(summary)},
                                   {"by_hookpoint", hookpoint_table_html(summary)},
                                   {"histograms", histograms_html(data, summary)},
                                   {"deciles", deciles_html(data, summary)},
                                   {"data", script_json(page_data(data, options, reporter))}});
}

}  // namespace

std::string report_page(const RunData& data, const ReportOptions& options, Reporter& reporter) {
  return page_of(data, summarize_run(data.explanations, data.scores, options.seed, data.latents), options, reporter);
}

void write_report(const std::filesystem::path& folder, const RunData& data, const ReportOptions& options,
                  Reporter& reporter) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) fail_errno(folder.string(), "cannot be made", error.value());
  const RunSummary summary = summarize_run(data.explanations, data.scores, options.seed, data.latents);
  for (const std::string& warning : summary.warnings()) reporter.warn(warning);
  write_file(folder / "scores.csv", scores_csv(data));
  nlohmann::json numbers = summary.to_json();
  if (data.negatives) numbers["negatives"] = data.negatives();
  if (data.calibration) numbers["calibration"] = data.calibration();
  write_file(folder / "summary.json", numbers.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  write_file(folder / "index.html", page_of(data, summary, options, reporter));
}

}  // namespace gloss::report
