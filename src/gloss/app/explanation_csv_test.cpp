#include "gloss/app/explanation_csv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "gloss/base/output_file.h"
#include "gloss/base/testing.h"

namespace gloss::app {
namespace {

using gloss::testing::error_of;
using gloss::testing::TemporaryFolder;
using ::testing::HasSubstr;

class Csv : public ::testing::Test {
 protected:
  std::vector<ExplanationLine> read(const std::string& text, const CsvDefaults& defaults = {},
                                    const std::string& name = "x.csv") {
    write_file(folder_.path() / name, text);
    std::vector<ExplanationLine> lines;
    left_out_ = each_csv_explanation(folder_.path() / name, defaults,
                                     [&](const ExplanationLine& line) { lines.push_back(line); });
    return lines;
  }
  TemporaryFolder folder_;
  std::size_t left_out_ = 0;
};

TEST_F(Csv, ExplanationsOfAStoreComeBackAsTheyWere) {
  const std::vector<std::string> texts = {"plain",    "=1+2", "'=1+2", "''@x",     "'quoted'", "a \"b\", c\r\nd",
                                          " spaces ", "-",    "'",     "tab\tand", "\u00e9"};
  store::Store store(folder_.path() / "results.db");
  for (std::uint32_t f = 0; f < texts.size(); ++f) {
    store::ExplanationRow row{"layers.2", "pattern", {}};
    row.explanation.latent = LatentId{f};
    row.explanation.text = texts[f];
    row.explanation.program = R"([{"a":"b, c"}])";
    store.put_explanation(row);
    for (const char* scorer : {"detection", "fuzz"}) {
      store::ScoreRow score{"layers.2", "pattern", scorer, "pattern", {}};
      score.score.latent = LatentId{f};
      if (f > 0) store.put_score(score, {});
    }
    row.explainer = "shuffled:pattern";
    store.put_explanation(row);
  }
  store::ExplanationRow failed{"layers.2", "zero", {}};
  failed.explanation.latent = LatentId{3};
  failed.explanation.failure = "no answer";
  store.put_explanation(failed);
  std::string text;
  EXPECT_EQ(write_explanation_csv(store, {"layers.2"}, [&](std::string_view part) { text += part; }), texts.size() + 1);
  const std::vector<ExplanationLine> lines = read(text);
  ASSERT_EQ(lines.size(), texts.size());  // although most have two scores, and so two rows
  EXPECT_EQ(left_out_, 1U);
  for (std::uint32_t f = 0; f < texts.size(); ++f) {
    EXPECT_EQ(lines[f].row.explanation.latent, LatentId{f});
    EXPECT_EQ(lines[f].row.explanation.text, texts[f]);
    EXPECT_EQ(lines[f].row.explanation.program, R"([{"a":"b, c"}])");
    EXPECT_EQ(lines[f].row.explainer, "pattern");
  }
}

TEST_F(Csv, ColumnsGoByTheirNamesAndWhatAllShareMayBeSaidBeside) {
  const auto lines = read("note\texplanation\tlatent\nx\tdogs\t7\n\t \t8\n", {"layers.5", "mine"}, "x.tsv");
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(left_out_, 1U);
  EXPECT_EQ(lines[0].row.hookpoint, "layers.5");
  EXPECT_EQ(lines[0].row.explainer, "mine");
  EXPECT_EQ(lines[0].row.explanation.text, "dogs");
}

TEST_F(Csv, FaultsNameFileAndLine) {
  const std::string heading = "hookpoint,latent,explainer,explanation\n";
  for (const auto& [bad, message] : std::vector<std::pair<std::string, std::string>>{
           {"", "x.csv: is empty"},
           {"hookpoint,latent,explainer,text\nh,1,e,t\n", "line 1: has no column 'explanation', but hookpoint, latent"},
           {"latent,explainer,explanation\n", "--hookpoint NAME"},
           {"hookpoint,latent,explanation\n", "--explainer NAME"},
           {"latent,latent,hookpoint,explainer,explanation\n", "names the column 'latent' 2 times"},
           {heading + "h,-1,e,t\n", "line 2: '-1' is not a latent's number"},
           {heading + "h,4294967296,e,t\n", "'4294967296' is not a latent's number"},
           {heading + "h,1,e,t\nh,,e,t\n", "line 3: '' is not a latent's number"},
           {heading + "h,1,e,t,u\n", "line 2: has 5 fields, and the first row names 4"},
           {heading + "h,1,e,\"t\n", "x.csv:2"}})
    EXPECT_THAT(error_of([&, text = bad] { read(text); }), HasSubstr(message)) << bad;
}

}  // namespace
}  // namespace gloss::app
