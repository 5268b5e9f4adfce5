#pragma once
/// `gloss report`: one self-contained page, and the same numbers as CSV and JSON.
#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <utility>

#include "gloss/base/reporter.h"
#include "gloss/report/run_data.h"

namespace gloss::report {

struct ReportOptions {
  std::uint64_t seed = 1;
  std::size_t latents_with_examples = 500;  // more make the page slow; a quarter each best and worst, the rest random
  std::size_t table_rows = 20'000;          // latents in the page's table; scores.csv always has all
  std::size_t examples = 12;                // activating windows of a latent
  std::size_t silent = 4;
  std::size_t wrong = 12, right = 4;  // judged windows of each score
};

/// Writes FOLDER/index.html, figures.html, figures/, scores.csv and summary.json, each file in one step; makes the
/// folder. The pages load nothing
/// and treats every token and explanation as hostile text. Errors: failed (disk).
void write_report(const std::filesystem::path& folder, const RunData& data, const ReportOptions& options,
                  Reporter& reporter);

/// RFC 4180, a header line first; one line per (hookpoint, latent, explainer, scorer, judge). Text that a spreadsheet
/// would take for a formula gets a leading apostrophe.
std::string scores_csv(const RunData& data);
using LatentName = std::pair<std::string, LatentId>;  // hookpoint, latent
/// A page of these latents alone, one after another, as one string: explanations with scores and baselines, histograms,
/// examples, judged windows. It holds no script, loads nothing and stands without files beside it. Latents that `data`
/// does not know are left out.
std::string latents_page(const RunData& data, const std::set<LatentName>& chosen, const ReportOptions& options,
                         Reporter& reporter);

/// The page as one string.
std::string report_page(const RunData& data, const ReportOptions& options, Reporter& reporter);

}  // namespace gloss::report
