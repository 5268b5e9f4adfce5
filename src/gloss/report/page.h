#pragma once
/// Parts of the page. Private to the report.
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/base/reporter.h"
#include "gloss/report/html.h"
#include "gloss/report/run_data.h"
#include "gloss/report/summary.h"

namespace gloss::report {

/// Explainers of the run that are no baselines, in the order of their names; their place is their colour.
std::vector<std::string> explainers_of(const RunData& data);

/// Parts of tables and legends. `label` and `style` are ours, `content` is HTML.
std::string grouped(std::uint64_t number);  // 1234567 as 1,234,567
std::string number_html(const score::Interval& interval);
std::string cell(std::string_view label, std::string_view content, std::string_view style = "num");

/// Static HTML, everything from the run escaped.
std::string facts_html(const RunData& data);
std::string warnings_html(const RunSummary& summary);
std::string summary_table_html(const RunSummary& summary);
/// The summary of each hookpoint, folded away; "" when there is only one.
std::string hookpoint_table_html(const RunSummary& summary);
/// "" when no filter told output latents.
std::string group_table_html(const RunSummary& summary);
std::string histograms_html(const RunData& data, const RunSummary& summary);
std::string deciles_html(const RunData& data, const RunSummary& summary);

/// What the page's script shows: see the head of assets/report.js for its fields.
nlohmann::json page_data(const RunData& data, const ReportOptions& options, Reporter& reporter);
/// The page's templates, style sheet and scripts, compiled in; "" for an unknown name.
std::string_view asset(std::string_view file_name);
/// Replaces each {{name}} of a template by its part, in one pass: parts are never searched again, so that nothing a run
/// says can stand for another part. Requires: a part for each name.
std::string filled(std::string_view page, const std::map<std::string, std::string, std::less<>>& parts);
/// JSON that may stand inside a script element: no `<`, `>`, `&` or line separator is left in it.
std::string script_json(const nlohmann::json& json);

}  // namespace gloss::report
