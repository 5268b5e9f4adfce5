#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <string_view>

#include "gloss/report/figures.h"
#include "gloss/report/html.h"
#include "gloss/report/report_testing.h"

namespace gloss::report {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::string page_of(const RunData& data, const std::set<LatentName>& chosen, const ReportOptions& options = {}) {
  SilentReporter reporter;
  return latents_page(data, chosen, options, reporter);
}

std::size_t count_of(const std::string& text, std::string_view part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

/// The article of the latent that is `place`th on the page, from 1.
std::string article_of(const std::string& page, int place) {
  const std::size_t begin = page.find("<article id=\"latent-" + std::to_string(place) + "\"");
  return begin == std::string::npos ? "" : page.substr(begin, page.find("</article>", begin) - begin);
}

const store::ScoreRow& score_of(const RunData& data, LatentId latent, const std::string& explainer) {
  return *std::find_if(data.scores.begin(), data.scores.end(), [&](const store::ScoreRow& r) {
    return r.score.latent == latent && r.scorer == "detection" && r.explainer == explainer;
  });
}

std::string shown(const score::Interval& i) {
  return fmt::format("{:.3f} <span class=\"range\">[{:.3f}, {:.3f}]</span>", i.value, i.low, i.high);
}

TEST(LatentsPage, HoldsTheChosenLatentsAloneInTheirOrder) {
  const MadeUpRun run(12, {"layers.10", "layers.2"});
  const std::string page = page_of(run.data, {{"layers.10", LatentId{3}}, {"layers.2", LatentId{7}}});
  EXPECT_EQ(count_of(page, "<article "), 2U);
  EXPECT_THAT(article_of(page, 1), HasSubstr("<bdi>layers.2</bdi> latent 7</h2>"));
  EXPECT_THAT(article_of(page, 2), HasSubstr("<bdi>layers.10</bdi> latent 3</h2>"));
  EXPECT_THAT(page, AllOf(HasSubstr("<h1>2 latents of runs/made-up &lt;b&gt;&amp;</h1>"),
                          HasSubstr("href=\"#latent-2\""), HasSubstr("stories260k"), HasSubstr("</html>")));
}

TEST(LatentsPage, ShowsScoresWithIntervalsBesideTheShuffledBaseline) {
  const MadeUpRun run(12);
  const std::string article = article_of(page_of(run.data, {{"layers.2", LatentId{3}}}), 1);
  const score::LatentScore& own = score_of(run.data, LatentId{3}, "pattern").score;
  EXPECT_THAT(article, HasSubstr(shown(own.balanced_accuracy)));
  EXPECT_THAT(article, HasSubstr("data-label=\"Shuffled\">" +
                                 shown(score_of(run.data, LatentId{3}, "shuffled:pattern").score.balanced_accuracy)));
  EXPECT_THAT(article, HasSubstr(fmt::format("{} of {}", own.tp, own.tp + own.fn)));
  EXPECT_THAT(article, HasSubstr("Accuracy by decile of activation"));
  EXPECT_THAT(article, HasSubstr("Fires at "));
}

TEST(LatentsPage, ShowsExamplesByDecileAndJudgedWindowsWrongOnesFirst) {
  const MadeUpRun run(12);
  ReportOptions options;
  options.examples = 10;
  options.wrong = 2;
  options.right = 1;
  const std::string article = article_of(page_of(run.data, {{"layers.2", LatentId{3}}}, options), 1);
  for (int decile = 1; decile <= 10; ++decile)
    EXPECT_THAT(article, HasSubstr(fmt::format("<div class=\"label\">decile {} · ", decile)));
  EXPECT_THAT(article, HasSubstr("class=\"a10 marked\" title=\"activation "));
  const std::size_t judged = article.find("Judged: detection of <bdi>pattern</bdi>, by <bdi>pattern</bdi>");
  ASSERT_NE(judged, std::string::npos);
  const std::string section = article.substr(judged, article.find("</section>", judged) - judged);
  EXPECT_EQ(count_of(section, "chip wrong"), 2U);
  EXPECT_EQ(count_of(section, "chip right"), 1U);
  EXPECT_LT(section.find("chip wrong"), section.find("chip right"));
  EXPECT_THAT(section, HasSubstr("p(yes) "));
  EXPECT_THAT(article, HasSubstr("Windows in which it is silent"));
}

TEST(LatentsPage, TreatsEverythingOfTheRunAsHostileText) {
  MadeUpRun run(52);
  const std::string hostile = "</style></title><script>alert(5)</script><img src=x>\u202E{{css}}";
  run.data.title = hostile;
  run.data.facts.emplace_back(hostile, hostile);
  for (store::ExplanationRow& row : run.data.explanations) {
    if (!row.explanation.text.empty()) row.explanation.text = hostile;
    row.explanation.failure += row.explanation.failure.empty() ? "" : hostile;
    if (row.explainer == "pattern") row.explainer = hostile;
  }
  for (store::ScoreRow& row : run.data.scores) row.judge = hostile;
  run.data.kinds = [&](std::string_view, LatentId) {
    return std::vector<std::pair<std::string, double>>{{hostile, 1.0}};
  };
  std::set<LatentName> all;
  for (std::uint32_t l = 0; l < 52; ++l) all.emplace("layers.2", LatentId{l});
  const std::string page = page_of(run.data, all);
  for (const char* never : {"<script", "<img", "<b>", "onerror=alert(2)>", "<!--", "\u202E", "\x1B"})
    EXPECT_THAT(page, Not(HasSubstr(never)));
  EXPECT_EQ(count_of(page, "</style>"), 1U);
  EXPECT_EQ(count_of(page, "<title>"), count_of(page, "</title>"));
  EXPECT_THAT(page, AllOf(HasSubstr("&lt;script&gt;alert(1)"), HasSubstr("{{css}}"), HasSubstr("{{data}}")))
      << "a token is text, not a place to fill";
  EXPECT_EQ(count_of(page, "<article "), count_of(page, "</article>"));
  EXPECT_EQ(count_of(page, "<bdi>"), count_of(page, "</bdi>"));
}

TEST(LatentsPage, RunsNothingAndLoadsNothing) {
  const MadeUpRun run(3);
  const std::string page = page_of(run.data, {{"layers.2", LatentId{1}}});
  EXPECT_THAT(page, HasSubstr("content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:; "));
  for (const char* never : {"<script", " style=", " onclick", "src=\"", "@import", "url(", "http://", "https://"})
    EXPECT_THAT(page, Not(HasSubstr(never)));
}

TEST(LatentsPage, ShowsWhereALatentFiresWhereThatIsKnown) {
  MadeUpRun run(3);
  EXPECT_THAT(page_of(run.data, {{"layers.2", LatentId{1}}}), Not(HasSubstr("Where it fires")));
  run.data.histograms = [](std::string_view, LatentId) {
    return FiringHistograms{{{0.0, 1.5, 3.0}, {7, 12'345}}, {{0, 1, 2, 3}, {1, 0, 2}}};
  };
  const std::string page = page_of(run.data, {{"layers.2", LatentId{1}}});
  EXPECT_THAT(page, AllOf(HasSubstr("Where it fires"), HasSubstr("<title>1.5 to 3: 12345 firings</title>"),
                          HasSubstr("<title>2 to 3: 2 firings</title>"), Not(HasSubstr("<title>1 to 2: "))));
}

TEST(LatentsPage, OfALatentWithoutScoresWindowsOrExplanationIsWhole) {
  MadeUpRun run(20);
  run.data.scores.clear();
  run.data.examples = nullptr;
  const std::string page = page_of(run.data, {{"layers.2", LatentId{1}}, {"layers.2", LatentId{16}}});
  EXPECT_THAT(article_of(page, 1), HasSubstr("Not scored."));
  EXPECT_THAT(article_of(page, 2), HasSubstr("no explanation: <bdi>no rule is better than none</bdi>"));
  EXPECT_THAT(page_of(run.data, {}), AllOf(HasSubstr("0 latents of"), HasSubstr("</html>")));
}

TEST(CountsSvg, OfNothingIsADrawingToo) {
  EXPECT_THAT(counts_svg({}, {}, "a", "b"), AllOf(HasSubstr("<svg"), Not(HasSubstr("nan")), HasSubstr("</svg>")));
  const std::vector<double> same{0.0, 0.0};
  const std::vector<std::uint64_t> none{0};
  EXPECT_THAT(counts_svg(same, none, "a", "b"), AllOf(Not(HasSubstr("nan")), Not(HasSubstr("<rect"))));
}

}  // namespace
}  // namespace gloss::report
