#include "gloss/text/csv_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gloss/text/corpus.h"
#include "gloss/text/test_support.h"

namespace gloss::text {
namespace {

using ::testing::ElementsAre;
using Rows = std::vector<std::vector<std::string>>;

CsvReader reader_of(std::string bytes, char separator = ',', std::size_t max_row = CsvReader::kMaxRow) {
  return {open_source(MappedFile::of_bytes(std::move(bytes), "mem"), Packing::none), "mem", separator, max_row};
}

Rows rows_of(const std::string& bytes, char separator = ',') {
  CsvReader reader = reader_of(bytes, separator);
  Rows rows;
  while (auto row = reader.next()) rows.push_back(std::move(*row));
  return rows;
}

TEST(CsvReader, ReadsRowsAsRfc4180SaysThem) {
  const std::vector<std::pair<std::string, Rows>> samples = {
      {"", {}},
      {"a,b\r\nc,d\r\n", {{"a", "b"}, {"c", "d"}}},
      {"a,b\nc,d", {{"a", "b"}, {"c", "d"}}},
      {"\"a\",\"b, c\"\n", {{"a", "b, c"}}},
      {"\"say \"\"hi\"\"\",x\n", {{"say \"hi\"", "x"}}},
      {"\"two\r\nlines\n\",x\n", {{"two\r\nlines\n", "x"}}},
      {",\n", {{"", ""}}},
      {"\"\"\n", {{""}}},
      {"\n\r\n\na\n\n", {{"a"}}},
      {"\xEF\xBB\xBF"
       "a,b\n",
       {{"a", "b"}}},
      {"\xEF\xBB\xBF\"a\"\n", {{"a"}}},
      {"5\" disk,b\n", {{"5\" disk", "b"}}},
      {"a\rb,c\r", {{"a\rb", "c"}}},
      {"a,\"b\"", {{"a", "b"}}},
      {"a,", {{"a", ""}}},
  };
  for (const auto& [bytes, rows] : samples) EXPECT_EQ(rows_of(bytes), rows) << bytes;
  EXPECT_EQ(rows_of("a,b\tc\n", '\t'), (Rows{{"a,b", "c"}}));
}

TEST(CsvReader, CountsTheLinesInsideQuotes) {
  CsvReader reader = reader_of("h\n\"a\nb\"\nc\n");
  reader.next();
  reader.next();
  EXPECT_EQ(reader.line(), 2U);
  reader.next();
  EXPECT_EQ(reader.line(), 4U);
}

TEST(CsvReader, FaultsNameTheLine) {
  EXPECT_EQ(error_of([] { rows_of("h\na,\"b\nc"); }),
            "mem:2: a quoted field begins here and does not end\nhint: the file may be cut off");
  EXPECT_EQ(error_of([] { rows_of("h\n\"a\"b\n"); }),
            "mem:2: text behind the closing quote of a field\nhint: a quote inside a quoted field is written twice");
  EXPECT_EQ(error_of([] { rows_of("\"a\"\rb\n"); }),
            "mem:1: a carriage return without a line feed behind a quoted field");
  CsvReader longest = reader_of("h\n" + std::string(2000, 'x'), ',', 1000);
  longest.next();
  EXPECT_EQ(error_of([&] { longest.next(); }),
            "mem:2: the row is longer than 1000 bytes\nhint: is this a table, and is every quote closed?");
  CsvReader empty_fields = reader_of(std::string(2000, ','), ',', 1000);
  EXPECT_EQ(error_of([&] { empty_fields.next(); }), "mem:1: the row is longer than 1000 bytes");
}

std::vector<std::string> all_of(Corpus corpus) {
  std::vector<std::string> out;
  while (std::optional<std::string> text = corpus.next()) out.push_back(std::move(*text));
  return out;
}

TEST(CsvCorpus, TakesTheColumnOfTheField) {
  const TestFolder folder;
  const auto csv = folder.write("a.csv", "id,text\n1,one\n2,\"two, and\nmore\"\n3,\n");
  EXPECT_THAT(all_of(Corpus::open({csv})), ElementsAre("one", "two, and\nmore", ""));
  EXPECT_THAT(all_of(Corpus::open({csv}, "id")), ElementsAre("1", "2", "3"));
  EXPECT_THAT(all_of(Corpus::open({folder.write("a.tsv", "text\tid\nx, y\t1\n")})), ElementsAre("x, y"));
}

TEST(CsvCorpus, FaultsNameFileAndLine) {
  const TestFolder folder;
  const auto message = [&](const std::string& content) {
    const auto file = folder.write("f.csv", content);
    const std::string text = error_of([&] { all_of(Corpus::open({file})); });
    EXPECT_EQ(text.find(file.string()), 0U) << text;
    return text.substr(std::min(text.size(), file.string().size()));
  };
  const std::string hint = "\nhint: name the field that holds the text with --text-field";
  EXPECT_EQ(message(""), ": has no rows\nhint: wanted a table whose first row names its columns");
  EXPECT_EQ(message("id,body\n1,x\n"), ":1: has no column 'text', but 'id', 'body'" + hint);
  EXPECT_EQ(message("text,text\n"), ":1: has several columns 'text', but 'text', 'text'" + hint);
  EXPECT_EQ(message("text,id\na,1\nb\n"),
            ":3: has 1 fields, wanted 2 as in the first row\n"
            "hint: a field that holds a separator or a quote stands in quotes");
  EXPECT_EQ(message("text\n\xE9t\xE9\n"), ":2: the text is not UTF-8\nhint: convert the file, for example with iconv");
}

}  // namespace
}  // namespace gloss::text
