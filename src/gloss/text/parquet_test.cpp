#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gloss/base/output_file.h"
#include "gloss/text/corpus.h"
#include "gloss/text/document_reader.h"
#include "gloss/text/test_support.h"

namespace gloss::text {
namespace {

using ::testing::HasSubstr;

const std::filesystem::path kGolden = std::filesystem::path(GLOSS_SOURCE_DIR) / "src/gloss/text/testdata/table.parquet";

std::vector<std::string> column(const char* field, const std::filesystem::path& file = kGolden) {
  Corpus corpus = Corpus::open({file}, field);
  std::vector<std::string> out;
  while (std::optional<std::string> text = corpus.next()) out.push_back(std::move(*text));
  return out;
}

TEST(Parquet, WithoutArrowTheErrorSaysHowToGetIt) {
  if (!arrow_version().empty()) GTEST_SKIP() << "built with Apache Arrow " << arrow_version();
  EXPECT_EQ(error_of([] { column("text"); }),
            kGolden.string() +
                ": is a Parquet file, and this build of gloss has no Apache Arrow to read it with\n"
                "hint: pip install pyarrow, then ./setup --arrow $(python3 -c 'import pyarrow; "
                "print(pyarrow.__path__[0])'); or convert the file to JSON lines");
}

class ParquetWithArrow : public ::testing::Test {
  void SetUp() override {
    if (arrow_version().empty()) GTEST_SKIP() << "built without Apache Arrow";
  }
};

/// testdata/make_parquet.py: 5,000 rows in row groups of 1,500; row i is "row i \u00f6", null where i % 7 is 3.
TEST_F(ParquetWithArrow, StringsOfEveryKindAreReadOverAllRowGroups) {
  for (const char* field : {"text", "large", "coded"}) {
    const std::vector<std::string> texts = column(field);
    ASSERT_EQ(texts.size(), 5000U) << field;
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const std::string number = std::to_string(std::string_view(field) == "coded" ? i % 11 : i);
      EXPECT_EQ(texts[i], i % 7 == 3 ? "" : "row " + number + " \u00f6") << field << " " << i;
    }
  }
}

TEST_F(ParquetWithArrow, AMissingColumnListsThoseThere) {
  EXPECT_EQ(error_of([] { column("body"); }), kGolden.string() +
                                                  ": has no column 'body', but 'id', 'text', 'large', 'coded', 'list'\n"
                                                  "hint: name the column that holds the text with --text-field");
}

TEST_F(ParquetWithArrow, AColumnOfOtherThingsIsRefused) {
  EXPECT_THAT(error_of([] { column("id"); }), HasSubstr("table.parquet: column 'id' is int64, wanted strings"));
  EXPECT_THAT(error_of([] { column("list"); }), HasSubstr("column 'list' is list<element: string>, wanted strings"));
}

TEST_F(ParquetWithArrow, DamagedFilesAreErrors) {
  const TestFolder folder;
  const std::string good = read_file(kGolden);
  EXPECT_THAT(error_of([&] { column("text", folder.write("a.parquet", "no table")); }),
              HasSubstr("a.parquet: cannot be read as Parquet: "));
  for (std::size_t n = 0; n < good.size(); n += 97) {
    const auto file = folder.write("a.parquet", good.substr(0, n));
    EXPECT_THAT(error_of([&] { column("text", file); }), HasSubstr("a.parquet")) << n;
  }
}

}  // namespace
}  // namespace gloss::text
