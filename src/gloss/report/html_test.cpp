#include "gloss/report/html.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <regex>
#include <utility>

#include "gloss/base/output_file.h"
#include "gloss/report/figures.h"
#include "gloss/report/page.h"
#include "gloss/report/report_testing.h"
#include "gloss/report/visible_text.h"

namespace gloss::report {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr std::string_view kDataOpen = "<script type=\"application/json\" id=\"data\">";

std::string page_of(const RunData& data, const ReportOptions& options = {}) {
  SilentReporter reporter;
  return report_page(data, options, reporter);
}

/// The JSON inside the page, as the browser would take it: up to the first end tag.
std::string data_text(const std::string& page) {
  const std::size_t begin = page.find(kDataOpen) + kDataOpen.size();
  return page.substr(begin, page.find("</script", begin) - begin);
}

std::size_t count_of(const std::string& text, std::string_view part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(ReportPage, HoldsEveryLatentWithItsScores) {
  const MadeUpRun run(40);
  const nlohmann::json data = nlohmann::json::parse(data_text(page_of(run.data)));
  EXPECT_THAT(data.at("explainers"), ElementsAre("pattern"));
  EXPECT_EQ(data.at("columns").size(), 2U);
  ASSERT_EQ(data.at("latents").size(), 40U);
  const nlohmann::json& latent = data.at("latents").at(3);
  EXPECT_EQ(latent.at("l"), 3);
  EXPECT_THAT(latent.at("e").at(0).at("t").get<std::string>(), HasSubstr("the token \" and\""));
  const nlohmann::json& score = latent.at("e").at(0).at("s").at(0);
  ASSERT_EQ(score.size(), 8U);
  const store::ScoreRow& row =
      *std::find_if(run.data.scores.begin(), run.data.scores.end(), [](const store::ScoreRow& r) {
        return r.score.latent == LatentId{3} && r.scorer == "detection" && r.explainer == "pattern";
      });
  EXPECT_NEAR(score.at(0), row.score.balanced_accuracy.value, 1e-3);
  EXPECT_EQ(score.at(3), row.score.tp);
  EXPECT_EQ(score.at(7), row.score.failed);
  EXPECT_EQ(data.at("details").size(), 40U);
  const nlohmann::json& detail = data.at("details").at(latent.at("x").get<std::size_t>());
  EXPECT_EQ(detail.at("examples").size(), 12U);
  EXPECT_EQ(detail.at("judged").size(), 2U);
  EXPECT_NE(detail.at("judged").at(0).at("w").at(0).at("v"), "right") << "wrong ones come first";
}

TEST(ReportPage, TreatsTokensAndExplanationsAsHostileText) {
  MadeUpRun run(52);
  run.data.facts.emplace_back("Model", "</dl><script>alert(3)</script>");
  for (store::ExplanationRow& row : run.data.explanations) row.explanation.text += "</script><script>alert(4)</script>";
  const std::string page = page_of(run.data);
  // The data and the script, and nothing that a run put there.
  EXPECT_EQ(count_of(page, "<script"), 2U);
  EXPECT_EQ(count_of(page, "</script"), 2U);
  EXPECT_EQ(count_of(page, "<img"), 0U);
  EXPECT_EQ(count_of(page, "<b>"), 0U);
  EXPECT_EQ(count_of(page, kDataOpen), 1U);
  EXPECT_THAT(page, HasSubstr("{{data}}")) << "a token is text, not a place to fill";
  const std::string json = data_text(page);
  EXPECT_THAT(json, AllOf(Not(HasSubstr("<")), Not(HasSubstr(">")), Not(HasSubstr("&"))));
  const nlohmann::json data = nlohmann::json::parse(json);
  EXPECT_THAT(data.at("texts"), testing::Contains("</script><script>alert(1)</script>"));
  EXPECT_THAT(page, HasSubstr("&lt;/dl&gt;&lt;script&gt;alert(3)"));
}

TEST(ReportPage, LoadsNothingAndUsesNoInnerHtml) {
  const MadeUpRun run(3);
  const std::string page = page_of(run.data);
  EXPECT_THAT(page, HasSubstr("Content-Security-Policy\" content=\"default-src 'none'"));
  for (const char* never : {"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "src=\"",
                            "@import", "url(", "fetch("})
    EXPECT_THAT(page, Not(HasSubstr(never)));
  std::string without_namespace = std::regex_replace(page, std::regex("http://www\\.w3\\.org/2000/svg"), "");
  EXPECT_THAT(without_namespace, AllOf(Not(HasSubstr("http://")), Not(HasSubstr("https://"))));
}

TEST(ReportPage, ShowsTheBaselineBesideEveryScore) {
  const MadeUpRun run(30, {"layers.2", "layers.10"}, {"pattern", "default"});
  const std::string page = page_of(run.data);
  EXPECT_EQ(count_of(page, "class=\"outline\""), 4U) << "one outline in each histogram";
  EXPECT_THAT(page, AllOf(HasSubstr("<span class=\"tag\">shuffled</span>"), HasSubstr("The same by hookpoint")));
  const nlohmann::json data = nlohmann::json::parse(data_text(page));
  EXPECT_THAT(data.at("explainers"), ElementsAre("default", "pattern"));
  EXPECT_THAT(data.at("hookpoints"), ElementsAre("layers.2", "layers.10"));
  EXPECT_EQ(data.at("latents").at(0).at("h"), 0);
}

TEST(ReportPage, SaysFirstWhenManyJudgementsFailed) {
  const MadeUpRun run(10, {"layers.2"}, {"pattern"}, 0.2);
  const std::string page = page_of(run.data);
  EXPECT_LT(page.find("class=\"warning\" role=\"alert\""), page.find("id=\"summary\""));
}

TEST(ReportPage, LimitsExamplesToTheBestTheWorstAndRandomOnes) {
  const MadeUpRun run(40);
  ReportOptions options;
  options.latents_with_examples = 8;
  const nlohmann::json data = nlohmann::json::parse(data_text(page_of(run.data, options)));
  EXPECT_EQ(data.at("details").size(), 8U);
  std::vector<std::pair<double, bool>> ranked;  // mean score, has examples
  for (const nlohmann::json& latent : data.at("latents")) {
    if (!latent.at("e").at(0).at("f").get<std::string>().empty()) continue;
    const nlohmann::json& s = latent.at("e").at(0).at("s");
    if (s.at(0).at(0).is_null() || s.at(1).at(0).is_null()) continue;
    ranked.emplace_back(s.at(0).at(0).get<double>() + s.at(1).at(0).get<double>(), latent.contains("x"));
  }
  std::sort(ranked.begin(), ranked.end());
  EXPECT_TRUE(ranked.front().second);
  EXPECT_TRUE(ranked.back().second);
}

TEST(ReportPage, LimitsRowsAndSaysHowManyAreLeftOut) {
  const MadeUpRun run(40);
  ReportOptions options;
  options.table_rows = 25;
  options.latents_with_examples = 5;
  const nlohmann::json data = nlohmann::json::parse(data_text(page_of(run.data, options)));
  EXPECT_EQ(data.at("latents").size(), 25U);
  EXPECT_EQ(data.at("details").size(), 5U);
  EXPECT_EQ(data.at("left_out"), 15);
}

TEST(ReportPage, OfARunWithoutScoresOrExamplesIsWhole) {
  RunData data;
  data.title = "empty";
  const std::string page = page_of(data);
  EXPECT_THAT(page, AllOf(HasSubstr("Nothing is scored yet"), HasSubstr("</html>")));
  MadeUpRun run(5);
  run.data.scores.clear();
  run.data.examples = nullptr;
  EXPECT_EQ(nlohmann::json::parse(data_text(page_of(run.data))).at("details").size(), 0U);
}

TEST(ScriptJson, LeavesNothingThatEndsAScriptAndReadsBackTheSame) {
  const nlohmann::json value{{"a<b", "</script>&\u2028\u2029 \xFF"}};
  const std::string text = script_json(value);
  EXPECT_THAT(text,
              AllOf(Not(HasSubstr("<")), Not(HasSubstr("&")), Not(HasSubstr("\u2028")), Not(HasSubstr("\u2029"))));
  EXPECT_EQ(nlohmann::json::parse(text).at("a<b"), "</script>&\u2028\u2029 \uFFFD");
}

TEST(HtmlText, EscapesAndMakesVisible) {
  EXPECT_EQ(html_text("<a href=\"x\" id='y'>&\n"), "&lt;a href=&quot;x&quot; id=&#39;y&#39;&gt;&amp;⏎");
}

TEST(BinCounts, PutEveryValueIntoOneBin) {
  EXPECT_THAT(bin_counts({0.0, 0.049, 0.05, 0.5, 0.99, 1.0, std::nan("")}, 20),
              ElementsAre(2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2));
}

/// Fields of the first line, by RFC 4180.
std::vector<std::vector<std::string>> parse_csv(const std::string& text) {
  std::vector<std::vector<std::string>> rows(1);
  std::string field;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted && c == '"' && i + 1 < text.size() && text[i + 1] == '"') {
      field += text[++i];
    } else if (c == '"') {
      quoted = !quoted;
    } else if (!quoted && (c == ',' || c == '\n')) {
      rows.back().push_back(std::exchange(field, {}));
      if (c == '\n') rows.emplace_back();
    } else if (quoted || c != '\r') {
      field += c;
    }
  }
  rows.pop_back();
  return rows;
}

TEST(ScoresCsv, ReadsBackFieldByField) {
  MadeUpRun run(5);
  for (store::ExplanationRow& row : run.data.explanations) row.explanation.text = "=1+1, \"quoted\"\r\nnext line";
  const std::vector<std::vector<std::string>> rows = parse_csv(scores_csv(run.data));
  ASSERT_EQ(rows.size(), 1 + run.data.scores.size());
  for (std::size_t i = 0; i < rows.size(); ++i) ASSERT_EQ(rows[i].size(), rows[0].size()) << i;
  const auto at = [&](std::size_t r, const std::string& name) {
    return rows[r][static_cast<std::size_t>(std::find(rows[0].begin(), rows[0].end(), name) - rows[0].begin())];
  };
  for (std::size_t i = 0; i < run.data.scores.size(); ++i) {
    const store::ScoreRow& row = run.data.scores[i];
    EXPECT_EQ(at(i + 1, "latent"), std::to_string(to_index(row.score.latent)));
    EXPECT_EQ(at(i + 1, "explainer"), row.explainer);
    EXPECT_EQ(at(i + 1, "tp"), std::to_string(row.score.tp));
    EXPECT_NEAR(std::stod(at(i + 1, "balanced_accuracy")), row.score.balanced_accuracy.value, 1e-5);
    EXPECT_EQ(at(i + 1, "explanation"), "'=1+1, \"quoted\"\r\nnext line") << "a spreadsheet would run it";
  }
}

TEST(WriteReport, WritesPageScoresAndSummary) {
  const MadeUpRun run(6);
  const auto folder = std::filesystem::temp_directory_path() / ("gloss-report-" + std::to_string(::getpid()));
  SilentReporter reporter;
  write_report(folder / "report", run.data, {}, reporter);
  EXPECT_THAT(read_file(folder / "report/index.html"), HasSubstr("<!doctype html>"));
  EXPECT_EQ(nlohmann::json::parse(read_file(folder / "report/summary.json")).at("scores").size(), 4U);
  EXPECT_THAT(read_file(folder / "report/scores.csv"), testing::StartsWith("hookpoint,latent,"));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace gloss::report
