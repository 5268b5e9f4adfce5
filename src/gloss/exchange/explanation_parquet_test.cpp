#include "gloss/exchange/explanation_parquet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "gloss/base/output_file.h"
#include "gloss/base/testing.h"
#include "gloss/score/judge.h"
#include "gloss/text/document_reader.h"

namespace gloss::exchange {
namespace {

using gloss::testing::error_of;
using gloss::testing::TemporaryFolder;
using ::testing::HasSubstr;

class Parquet : public ::testing::Test {
 protected:
  Parquet() : store_(folder_.path() / "results.db") {
    for (const std::uint32_t f : {3U, 7U}) {
      store::ExplanationRow row{"layers.2", "pattern", {}};
      row.explanation.latent = LatentId{f};
      row.explanation.text = f == 3 ? "=1+2, \"and\"\n\u00e9" : "plain";
      store_.put_explanation(row);
    }
    score::LatentScore s;
    s.latent = LatentId{7};
    s.tp = 3;
    s.fn = 1;
    s.tn = 7;
    score::add_rates(s);
    s.auc = 1.0 / 3;
    store_.put_score({"layers.2", "pattern", "detection", "llm:a", s}, {});
  }
  std::vector<GivenExplanation> read() {
    std::vector<GivenExplanation> given;
    each_parquet_explanation(file(), {}, [&](const GivenExplanation& e) { given.push_back(e); });
    return given;
  }
  std::filesystem::path file() const { return folder_.path() / "x.parquet"; }

  TemporaryFolder folder_;
  store::Store store_;
};

TEST_F(Parquet, WithoutArrowTheErrorSaysHowToGetIt) {
  if (!text::arrow_version().empty()) GTEST_SKIP() << "built with Apache Arrow " << text::arrow_version();
  EXPECT_THAT(error_of([&] { write_explanation_parquet(store_, {"layers.2"}, file()); }), HasSubstr("./setup --arrow"));
  EXPECT_THAT(error_of([&] { read(); }), HasSubstr("./setup --arrow"));
  EXPECT_FALSE(std::filesystem::exists(file()));
}

TEST_F(Parquet, RowsComeBackAsTheyWere) {
  if (text::arrow_version().empty()) GTEST_SKIP() << "built without Apache Arrow";
  EXPECT_EQ(write_explanation_parquet(store_, {"layers.2"}, file()), 2U);
  const auto given = read();
  ASSERT_EQ(given.size(), 2U);
  EXPECT_EQ(given[0].row.explanation.text, "=1+2, \"and\"\n\u00e9");
  EXPECT_TRUE(given[0].scores.empty());
  EXPECT_EQ(given[1].row.explanation.latent, LatentId{7});
  ASSERT_EQ(given[1].scores.size(), 1U);
  EXPECT_EQ(given[1].scores[0].score.tp, 3U);
  EXPECT_EQ(given[1].scores[0].score.auc, 1.0 / 3);
  EXPECT_EQ(given[1].scores[0].score.balanced_accuracy.value, 0.875);
  write_file(file(), "PAR1 and no more");
  EXPECT_THAT(error_of([&] { read(); }), HasSubstr("cannot be read as Parquet"));
}

}  // namespace
}  // namespace gloss::exchange
