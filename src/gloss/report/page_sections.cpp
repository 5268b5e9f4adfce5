#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "gloss/base/natural_order.h"
#include "gloss/report/figures.h"
#include "gloss/report/page.h"
#include "gloss/report/visible_text.h"
#include "gloss/score/baselines.h"
#include "gloss/score/judge.h"

namespace gloss::report {

std::string grouped(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, ",");
  return digits;
}

std::string number_html(const score::Interval& i) {
  if (std::isnan(i.value)) return "<span class=\"none\" title=\"not defined\">–</span>";
  if (std::isnan(i.low)) return fmt::format("{:.3f}", i.value);
  return fmt::format("{:.3f} <span class=\"range\">[{:.3f}, {:.3f}]</span>", i.value, i.low, i.high);
}

std::string cell(std::string_view label, std::string_view content, std::string_view style) {
  return fmt::format("<td class=\"{}\" data-label=\"{}\">{}</td>", style, label, content);
}

namespace {

constexpr std::size_t kColours = 6;

std::string explainer_html(const ScorerSummary& s) {
  if (!score::is_shuffled_name(s.explainer)) return html_text(s.explainer);
  const std::string base = s.explainer.substr(score::shuffled_name("").size());
  return fmt::format("{} <span class=\"tag\">shuffled</span>", html_text(base));
}

std::string summary_row_html(const ScorerSummary& s) {
  std::string row = fmt::format("<tr class=\"{}\">", score::is_shuffled_name(s.explainer) ? "baseline" : "");
  if (!s.hookpoint.empty()) row += cell("Hookpoint", html_text(s.hookpoint), "");
  if (!s.group.empty()) row += cell("Latents are", html_text(s.group), "");
  row += cell("Scorer", html_text(s.scorer), "");
  row += cell("Explainer", explainer_html(s), "");
  row += cell("Judge", html_text(s.judge), "");
  row += cell("Score",
              interval_svg(s.score) + number_html(s.score) +
                  fmt::format("<span class=\"range\">{}</span>", html_text(s.score_name)),
              "num wide");
  row += cell("Precision", number_html(s.precision));
  row += cell("Recall", number_html(s.recall));
  row += cell("Specificity", number_html(s.specificity));
  row += cell("F1", number_html(s.f1));
  row += cell("AUC", number_html(s.auc));
  const std::string undefined =
      s.undefined == 0 ? "" : fmt::format("<span class=\"range\">{} undefined</span>", grouped(s.undefined));
  row += cell("Latents", grouped(s.latents) + undefined);
  const std::string failed = s.failed == 0 ? "none failed"
                                           : fmt::format("<span class=\"{}\">{} failed</span>",
                                                         s.many_failed() ? "bad" : "", grouped(s.failed));
  row += cell("Judgements", fmt::format("{}<span class=\"range\">{}</span>", grouped(s.judgements), failed));
  return row + "</tr>\n";
}

/// `first`: head of a column before the others, what the rows are of.
std::string table_html(const std::vector<ScorerSummary>& rows, const char* first = nullptr) {
  std::string html = "<div class=\"scroll\"><table class=\"summary\"><thead><tr>";
  if (first != nullptr) html += fmt::format("<th scope=\"col\">{}</th>", first);
  for (const char* name : {"Scorer", "Explainer", "Judge"}) html += fmt::format("<th scope=\"col\">{}</th>", name);
  for (const char* name : {"Score", "Precision", "Recall", "Specificity", "F1", "AUC", "Latents", "Judgements"})
    html += fmt::format("<th scope=\"col\" class=\"num\">{}</th>", name);
  html += "</tr></thead><tbody>\n";
  for (const ScorerSummary& s : rows) html += summary_row_html(s);
  return html + "</tbody></table></div>";
}

std::string style_of(const std::string& explainer, const std::vector<std::string>& explainers) {
  const auto place = std::find(explainers.begin(), explainers.end(), explainer) - explainers.begin();
  return fmt::format("series-{}", static_cast<std::size_t>(place) % kColours);
}

using ScoreKey = std::tuple<std::string, std::string, std::string>;  // explainer, scorer, judge

/// Each scorer's own number (score::headline).
std::map<ScoreKey, std::vector<double>> scores_by_key(const RunData& data) {
  std::map<ScoreKey, std::vector<double>> values;
  for (const store::ScoreRow& row : data.scores)
    values[{row.explainer, row.scorer, row.judge}].push_back(score::headline(row.scorer, row.score).value.value);
  return values;
}

const ScorerSummary* baseline_of(const RunSummary& summary, const ScorerSummary& s) {
  for (const ScorerSummary& other : summary.all) {
    if (other.explainer == score::shuffled_name(s.explainer) && other.scorer == s.scorer && other.judge == s.judge)
      return &other;
  }
  return nullptr;
}

std::string legend_item(std::string_view style, std::string_view content) {
  return fmt::format("<li class=\"{}\"><i></i>{}</li>", style, content);
}

std::string with_judge(const ScorerSummary& s) {
  return s.judge == s.explainer ? html_text(s.explainer)
                                : fmt::format("{}, judged by {}", html_text(s.explainer), html_text(s.judge));
}

}  // namespace

std::vector<std::string> explainers_of(const RunData& data) {
  std::set<std::string> names;
  for (const store::ExplanationRow& row : data.explanations) names.insert(row.explainer);
  for (const store::ScoreRow& row : data.scores) names.insert(row.explainer);
  std::vector<std::string> explainers;
  for (const std::string& name : names) {
    if (!score::is_shuffled_name(name)) explainers.push_back(name);
  }
  natural_sort(explainers);
  return explainers;
}

std::string facts_html(const RunData& data) {
  std::string html = "<dl class=\"facts\">";
  for (const auto& [name, value] : data.facts)
    html += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>", html_text(name), html_text(value));
  return html + "</dl>";
}

std::string warnings_html(const RunSummary& summary) {
  std::string items;
  for (const std::string& warning : summary.warnings()) items += fmt::format("<li>{}</li>", html_text(warning));
  return items.empty() ? items : "<ul class=\"warning\" role=\"alert\">" + items + "</ul>";
}

std::string summary_table_html(const RunSummary& summary) {
  if (summary.all.empty()) return "<p class=\"note\">Nothing is scored yet: <code>gloss score</code> makes scores.</p>";
  return table_html(summary.all);
}

std::string hookpoint_table_html(const RunSummary& summary) {
  if (summary.by_hookpoint.empty()) return {};
  return "<details><summary>The same by hookpoint</summary>" + table_html(summary.by_hookpoint, "Hookpoint") +
         "</details>";
}

std::string group_table_html(const RunSummary& summary) {
  if (summary.by_group.empty()) return {};
  return "<details open><summary>Output latents and the others apart</summary>" +
         table_html(summary.by_group, "Latents are") + "</details>";
}

std::string histograms_html(const RunData& data, const RunSummary& summary) {
  const std::vector<std::string> explainers = explainers_of(data);
  const std::map<ScoreKey, std::vector<double>> values = scores_by_key(data);
  std::string html;
  for (const ScorerSummary& s : summary.all) {
    if (score::is_shuffled_name(s.explainer)) continue;
    const Series front{s.explainer, style_of(s.explainer, explainers), values.at({s.explainer, s.scorer, s.judge}), {}};
    Series behind{"shuffled", "baseline", {}, {}};
    std::string legend = legend_item(front.style, fmt::format("{}: mean {:.3f}", with_judge(s), s.score.value));
    if (const ScorerSummary* baseline = baseline_of(summary, s)) {
      behind.values = values.at({baseline->explainer, baseline->scorer, baseline->judge});
      legend += legend_item("baseline", fmt::format("explanations shuffled: mean {:.3f}", baseline->score.value));
    }
    const std::string label =
        fmt::format("Histogram of {} over latents: {} of {}", s.score_name, s.scorer, s.explainer);
    html += fmt::format("<figure><figcaption>{} · {}</figcaption>{}<ul class=\"legend\">{}</ul></figure>\n",
                        html_text(s.scorer), html_text(s.explainer), histogram_svg(front, behind, label), legend);
  }
  return html;
}

std::string deciles_html(const RunData& data, const RunSummary& summary) {
  const std::vector<std::string> explainers = explainers_of(data);
  std::map<std::string, std::pair<std::vector<Series>, std::string>> by_scorer;  // series and legend
  for (const ScorerSummary& s : summary.all) {
    const bool baseline = score::is_shuffled_name(s.explainer);
    auto& [series, legend] = by_scorer[s.scorer];
    series.push_back({s.explainer, baseline ? "baseline" : style_of(s.explainer, explainers), {}, s.per_decile});
    legend += legend_item(series.back().style, baseline ? explainer_html(s) : with_judge(s));
  }
  std::string html;
  for (const auto& [scorer, content] : by_scorer) {
    const std::string label = fmt::format("Accuracy by decile of activation: {}", scorer);
    html += fmt::format("<figure><figcaption>{}</figcaption>{}<ul class=\"legend\">{}</ul></figure>\n",
                        html_text(scorer), decile_svg(content.first, label), content.second);
  }
  return html;
}

}  // namespace gloss::report
