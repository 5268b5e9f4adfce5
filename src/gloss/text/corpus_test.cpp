#include "gloss/text/corpus.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include "gloss/text/byte_source.h"
#include "gloss/text/test_support.h"

namespace gloss::text {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string gzip(std::string_view text) {
  z_stream z{};
  deflateInit2(&z, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&z, text.size()) + 64, '\0');
  std::string in(text);
  z.next_in = reinterpret_cast<Bytef*>(in.data());
  z.avail_in = static_cast<uInt>(in.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

std::string zstd(std::string_view text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

std::vector<std::string> all_of(Corpus corpus) {
  std::vector<std::string> out;
  while (std::optional<std::string> text = corpus.next()) out.push_back(std::move(*text));
  return out;
}

const std::string kLines = "{\"text\": \"one\"}\r\n\n{\"id\": 7, \"text\": \"tw\\u00f6\\n\"}\n  \n{\"text\": \"\"}";

TEST(Corpus, ReadsEveryKindOfFile) {
  const TestFolder folder;
  const auto lines = ElementsAre("one", "twö\n", "");
  EXPECT_THAT(all_of(Corpus::open({folder.write("a.jsonl", kLines)})), lines);
  EXPECT_THAT(all_of(Corpus::open({folder.write("a.jsonl.gz", gzip(kLines))})), lines);
  EXPECT_THAT(all_of(Corpus::open({folder.write("a.jsonl.zst", zstd(kLines))})), lines);
  const std::string text = "first\nsecond\r\n";
  EXPECT_THAT(all_of(Corpus::open({folder.write("b.txt", text)})), ElementsAre(text));
  EXPECT_THAT(all_of(Corpus::open({folder.write("b.txt.gz", gzip(text))})), ElementsAre(text));
  EXPECT_THAT(all_of(Corpus::open({folder.write("b.txt.zst", zstd(text))})), ElementsAre(text));
  const std::string table = "id,text\r\n1,one\r\n2,\"twö\n\"\r\n3,\r\n";
  EXPECT_THAT(all_of(Corpus::open({folder.write("c.csv", table)})), lines);
  EXPECT_THAT(all_of(Corpus::open({folder.write("c.csv.gz", gzip(table))})), lines);
  EXPECT_THAT(all_of(Corpus::open({folder.write("c.csv.zst", zstd(table))})), lines);
  EXPECT_THAT(all_of(Corpus::open({folder.write("c.tsv.zst", zstd("text\none\n\"twö\n\"\n\"\"\n"))})), lines);
}

TEST(Corpus, ReadsMembersAndFramesOneBehindTheOther) {
  const TestFolder folder;
  EXPECT_THAT(all_of(Corpus::open({folder.write("b.txt.gz", gzip("ab") + gzip("") + gzip("c"))})), ElementsAre("abc"));
  EXPECT_THAT(all_of(Corpus::open({folder.write("b.txt.zst", zstd("ab") + zstd("") + zstd("c"))})), ElementsAre("abc"));
}

TEST(Corpus, TakesAFoldersFilesInOrderAndPassesOverOthers) {
  const TestFolder folder;
  folder.write("data/b.txt", "b");
  folder.write("data/a/z.jsonl", "{\"text\": \"z\"}\n");
  folder.write("data/a/y.txt.gz", gzip("y"));
  folder.write("data/notes.md", "no");
  const auto last = folder.write("c.txt", "c");
  const Corpus corpus = Corpus::open({folder / "data", last});
  EXPECT_THAT(corpus.files(),
              ElementsAre(folder / "data/a/y.txt.gz", folder / "data/a/z.jsonl", folder / "data/b.txt", last));
  EXPECT_THAT(all_of(Corpus::open({folder / "data", last})), ElementsAre("y", "z", "b", "c"));
}

TEST(Corpus, TheFieldHasAName) {
  const TestFolder folder;
  const auto file = folder.write("q.jsonl", "{\"question\": \"why?\", \"answer\": \"so\"}\n");
  EXPECT_THAT(all_of(Corpus::open({file}, "question")), ElementsAre("why?"));
  EXPECT_EQ(
      error_of([&] { all_of(Corpus::open({file})); }),
      file.string() +
          ":1: has no 'text', but 'answer', 'question'\nhint: name the field that holds the text with --text-field");
}

TEST(Corpus, FingerprintIsOfContentKindAndField) {
  const TestFolder folder;
  const auto a = folder.write("a.txt", "one");
  const auto b = folder.write("elsewhere/b.txt", "one");
  const auto c = folder.write("c.txt", "two");
  const auto d = folder.write("d.jsonl", "one");
  const auto of = [](std::vector<std::filesystem::path> files, const char* field = "text") {
    return Corpus::open(std::move(files), field).fingerprint();
  };
  EXPECT_EQ(of({a}), of({b}));
  EXPECT_NE(of({a}), of({c}));
  EXPECT_NE(of({a}), of({d}));
  EXPECT_NE(of({a}), of({a}, "body"));
  EXPECT_NE(of({a, c}), of({c, a}));
}

TEST(Corpus, FaultsNameFileAndLine) {
  const TestFolder folder;
  const std::vector<std::pair<std::string, std::string>> faults = {
      {"{\"text\": 3}\n", ":1: 'text' is number, wanted a string"},
      {"\n\n[1]\n", ":3: is array, wanted an object"},
      {"{\"text\": \"a\"}\n{\"text\": \"b\n", ":2: is not JSON: byte 12 of 11"},
      {"{\"text\": \"\xFF\"}\n", ":1: is not JSON: byte 11 of 13"},
      {"{\"text\": 1e999}\n",
       ":1: is not JSON that can be read: [json.exception.out_of_range.406] number overflow parsing '1e999'"},
      {"{}\n", ":1: has no 'text', but nothing\nhint: name the field that holds the text with --text-field"},
  };
  for (const auto& [content, message] : faults) {
    const auto file = folder.write("f.jsonl", content);
    EXPECT_EQ(error_of([&] { all_of(Corpus::open({file})); }), file.string() + message) << content;
  }
}

TEST(Corpus, PathsThatAreNoTextAreNamed) {
  const TestFolder folder;
  const std::string suffixes =
      ".txt, .jsonl, .csv, .tsv, .txt.gz, .jsonl.gz, .csv.gz, .tsv.gz, .txt.zst, .jsonl.zst, .csv.zst, .tsv.zst, "
      ".parquet";
  EXPECT_EQ(error_of([&] { Corpus::open({folder / "none.txt"}); }),
            (folder / "none.txt").string() + ": there is no such file or folder");
  const auto zip = folder.write("a.zip", "PK");
  EXPECT_EQ(error_of([&] { Corpus::open({zip}); }),
            zip.string() + ": is no text file by its name\nhint: wanted " + suffixes);
  std::filesystem::remove(zip);
  EXPECT_EQ(error_of([&] { Corpus::open({folder.path()}); }),
            folder.path().string() + ": holds no text files\nhint: wanted files ending in " + suffixes);
  EXPECT_EQ(error_of([&] { Corpus::open({}); }), "text: no files are named");
}

TEST(Corpus, CompressedDataCutAnywhereAreAnError) {
  const TestFolder folder;
  for (const bool gz : {true, false}) {
    const std::string whole = gz ? gzip(kLines) : zstd(kLines);
    const std::string name = gz ? "a.jsonl.gz" : "a.jsonl.zst";
    for (std::size_t n = 0; n < whole.size(); ++n) {
      const auto file = folder.write(name, std::string_view(whole).substr(0, n));
      EXPECT_THAT(error_of([&] { all_of(Corpus::open({file})); }),
                  HasSubstr(file.string() + ": the " + (gz ? "gzip" : "zstd") + " data end in the middle"))
          << n;
    }
  }
}

TEST(Corpus, DamagedCompressedDataAreAnError) {
  const TestFolder folder;
  const auto gz = folder.write("a.txt.gz", "this is no gzip data");
  EXPECT_THAT(error_of([&] { all_of(Corpus::open({gz})); }),
              HasSubstr(gz.string() + ": byte 0: no gzip data (incorrect header"));
  std::string flipped = gzip(std::string(5000, 'x') + kLines);
  flipped[flipped.size() - 6] = static_cast<char>(flipped[flipped.size() - 6] ^ 1);  // in the checksum
  const auto sum = folder.write("b.txt.gz", flipped);
  EXPECT_THAT(error_of([&] { all_of(Corpus::open({sum})); }), HasSubstr("no gzip data (incorrect data check)"));
  const auto zst = folder.write("a.txt.zst", "this is no zstd data");
  EXPECT_THAT(error_of([&] { all_of(Corpus::open({zst})); }), HasSubstr("no zstd data (Unknown frame descriptor)"));
}

TEST(Corpus, LargeCompressedFilesComeInPieces) {
  const TestFolder folder;
  std::string lines;
  for (int i = 0; i < 30000; ++i)
    lines += fmt::format("{{\"text\": \"document {} {}\"}}\n", i, std::string(i % 97, 'x'));
  const auto plain = all_of(Corpus::open({folder.write("a.jsonl", lines)}));
  EXPECT_EQ(plain.size(), 30000U);
  EXPECT_EQ(all_of(Corpus::open({folder.write("a.jsonl.gz", gzip(lines))})), plain);
  EXPECT_EQ(all_of(Corpus::open({folder.write("a.jsonl.zst", zstd(lines))})), plain);
}

std::unique_ptr<ByteSource> source_of(std::string bytes) {
  return open_source(MappedFile::of_bytes(std::move(bytes), "mem"), Packing::none);
}

TEST(LineReader, GivesLinesWithoutTheirEnds) {
  LineReader lines(source_of("a\n\nb\r\nc"), "mem");
  EXPECT_EQ(lines.next(), "a");
  EXPECT_EQ(lines.next(), "");
  EXPECT_EQ(lines.next(), "b");
  EXPECT_EQ(lines.next(), "c");
  EXPECT_EQ(lines.line(), 4U);
  EXPECT_EQ(lines.next(), std::nullopt);
  EXPECT_EQ(lines.next(), std::nullopt);
  LineReader ended(source_of("a\n"), "mem");
  EXPECT_EQ(ended.next(), "a");
  EXPECT_EQ(ended.next(), std::nullopt);
}

TEST(LineReader, ALineTooLongIsAnErrorBeforeItIsHeld) {
  LineReader lines(source_of("short\n" + std::string(2000000, 'x') + "\n"), "mem", 1000000);
  EXPECT_EQ(lines.next(), "short");
  EXPECT_EQ(error_of([&] { lines.next(); }),
            "mem:2: the line is longer than 1000000 bytes\nhint: is this a file of JSON lines?");
  LineReader exact(source_of(std::string(10, 'x') + "\ny"), "mem", 10);
  EXPECT_EQ(exact.next(), std::string(10, 'x'));
  EXPECT_EQ(exact.next(), "y");
}

}  // namespace
}  // namespace gloss::text
