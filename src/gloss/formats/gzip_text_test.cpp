#include "gloss/formats/gzip_text.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <cstddef>
#include <filesystem>
#include <string>

#include "gloss/base/output_file.h"
#include "gloss/base/testing.h"

namespace gloss::formats {
namespace {

using gloss::testing::TemporaryFolder;

/// As zlib's own reader of files has it.
std::string unpacked(const std::filesystem::path& file) {
  std::string text(std::size_t{1} << 22, '\0');
  gzFile in = gzopen(file.c_str(), "rb");
  const int read = gzread(in, text.data(), static_cast<unsigned>(text.size()));
  EXPECT_EQ(gzclose(in), Z_OK);
  text.resize(read < 0 ? 0 : static_cast<std::size_t>(read));
  return text;
}

TEST(GzipText, UnpacksToWhatWasWritten) {
  const TemporaryFolder folder;
  std::string wanted;
  GzipText file(folder.path() / "x.gz");
  for (int i = 0; i < 200'000; ++i) {
    const std::string line = std::to_string(i * 7919 % 10'007) + "\n";
    file.write(line);
    wanted += line;
  }
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "x.gz"));
  file.commit();
  EXPECT_TRUE(unpacked(folder.path() / "x.gz") == wanted);
  EXPECT_LT(std::filesystem::file_size(folder.path() / "x.gz"), wanted.size());
}

TEST(GzipText, IsTheSameBytesEachTimeAndGoneWhenNotCommitted) {
  const TemporaryFolder folder;
  for (const char* name : {"a.gz", "b.gz"}) {
    GzipText file(folder.path() / name);
    file.write("one\n");
    file.write("");
    file.write("two\n");
    file.commit();
  }
  EXPECT_EQ(read_file(folder.path() / "a.gz"), read_file(folder.path() / "b.gz"));
  { GzipText file(folder.path() / "c.gz"); }
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "c.gz"));
  GzipText empty(folder.path() / "d.gz");
  empty.commit();
  EXPECT_EQ(unpacked(folder.path() / "d.gz"), "");
  EXPECT_GT(std::filesystem::file_size(folder.path() / "d.gz"), 0U);
}

}  // namespace
}  // namespace gloss::formats
