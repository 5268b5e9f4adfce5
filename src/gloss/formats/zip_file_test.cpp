#include "gloss/formats/zip_file.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gloss/base/error.h"
#include "gloss/formats/zip_testing.h"

namespace gloss::formats {
namespace {

using ::testing::HasSubstr;

ZipFile parse(std::string bytes) { return ZipFile::parse(MappedFile::of_bytes(std::move(bytes), "f")); }

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string error_of(const std::string& bytes) {
  try {
    const ZipFile zip = parse(bytes);
    for (const ZipEntry& entry : zip.entries()) (void)zip.unpack(entry);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::bad_input);
    return e.what();
  }
  return "(no error)";
}

const std::string kLong = std::string(70000, 'x') + "tail";

std::vector<ZipPart> good_parts() {
  std::vector<ZipPart> parts(3);
  parts[0] = {.name = "a/one", .data = "first"};
  parts[1] = {.name = "a/two", .data = kLong, .deflate = true};
  parts[2] = {.name = "empty"};
  return parts;
}

TEST(ZipFile, FindsStoredAndDeflatedEntries) {
  for (const bool zip64 : {false, true}) {
    std::vector<ZipPart> parts = good_parts();
    for (ZipPart& p : parts) p.zip64 = zip64;
    const ZipFile zip = parse(make_zip(parts, zip64));
    ASSERT_EQ(zip.entries().size(), 3U);
    EXPECT_EQ(text_of(zip.find("a/one")->bytes), "first");
    EXPECT_EQ(text_of(zip.unpack(*zip.find("a/one"))), "first");
    EXPECT_TRUE(zip.find("a/two")->deflated);
    EXPECT_EQ(text_of(zip.unpack(*zip.find("a/two"))), kLong);
    EXPECT_EQ(zip.find("empty")->size, 0U);
    EXPECT_EQ(zip.find("none"), nullptr);
  }
  EXPECT_TRUE(parse(make_zip({})).entries().empty());
}

TEST(ZipFile, EveryTruncationIsAnError) {
  const std::string good = make_zip(good_parts(), true);
  for (std::size_t n = 0; n < good.size(); ++n)
    EXPECT_THAT(error_of(good.substr(0, n)), HasSubstr("without the end record of a zip archive")) << n;
}

TEST(ZipFile, EveryChangedByteIsReadOrRefused) {
  const std::string good = make_zip(good_parts(), true);
  for (std::size_t n = 0; n < good.size(); ++n) {
    for (const int bit : {0, 3, 7}) {
      std::string bad = good;
      bad[n] = static_cast<char>(bad[n] ^ (1 << bit));
      EXPECT_THAT(error_of(bad), ::testing::AnyOf("(no error)", ::testing::StartsWith("f"))) << "byte " << n;
    }
  }
}

struct Lie {
  ZipPart part;
  std::string message;
};

TEST(ZipFile, LiesOfTheDirectoryAreRefused) {
  const std::vector<Lie> lies = {
      {{.name = "e", .data = "abc", .more_size = 1},
       "f: byte 40: entry 'e' is stored in 3 bytes, but is said to hold 4"},
      {{.name = "e", .data = "abc", .more_size = 1000, .more_packed = 1000},
       "f: byte 37: entry 'e' needs 1003 bytes, but 3 are left\n"
       "hint: the file is cut off or damaged: download or copy it again"},
      {{.name = "e", .data = "abc", .deflate = true, .zip64 = true, .more_size = 1ULL << 40},
       "f: byte 42: entry 'e' is said to hold 1099511627779 bytes, more than 5 deflated ones can"},
      {{.name = "e", .data = "abc", .zip64 = true, .more_size = ~0ULL - 5, .more_packed = ~0ULL - 5},
       "f: byte 37: entry 'e' needs 18446744073709551613 bytes, but 3 are left\n"
       "hint: the file is cut off or damaged: download or copy it again"},
      {{.name = "e", .data = "abcabc", .deflate = true, .more_size = 2},
       "f: entry 'e': inflates to 6 bytes, but is said to hold 8\n"
       "hint: the file is cut off or damaged: download or copy it again"},
      {{.name = "e", .data = "abcabc", .deflate = true, .more_size = ~0ULL},
       "f: entry 'e': inflates to more than the 5 bytes it is said to hold\n"
       "hint: the file is cut off or damaged: download or copy it again"},
      {{.name = "e", .data = "abcabc", .deflate = true, .crc_xor = 1},
       "f: entry 'e': its sum (CRC-32) is wrong\nhint: the file is cut off or damaged: download or copy it again"},
      {{.name = "e", .data = "abc", .shift = 1},
       "f: byte 1: no local header of entry 'e'\nhint: the file is cut off or damaged: download or copy it again"},
      {{.name = "e", .data = "abc", .shift = 9000},
       "f: entry 'e' is said to begin at byte 9000, but the entries end at byte 40"},
      {{.name = "e", .data = "abc", .zip64 = true, .shift = -1},
       "f: entry 'e' is said to begin at byte 18446744073709551615, but the entries end at byte 40"},
      {{.name = "e", .data = "abc", .flags = 1}, "f: byte 40: entry 'e' is encrypted"},
      {{.name = "e", .data = "abc", .method_xor = 12},
       "f: byte 40: entry 'e' is packed by method 12, wanted 0 (stored) or 8 (deflated)"},
      {{.name = "e", .data = "abc", .local_name = "x"},
       "f: byte 0: the local header has another name than the directory's 'e'"},
  };
  for (const Lie& lie : lies) {
    EXPECT_EQ(error_of(make_zip({lie.part})), lie.message);
  }
}

TEST(ZipFile, OverlappingAndRepeatedEntriesAreRefused) {
  // The second entry's local header is made the first's, which lies in the bytes of "outer".
  const std::string inner = make_zip({{.name = "inner", .data = "in"}});
  const std::string head = inner.substr(0, 30 + 5 + 6 + 2);
  std::vector<ZipPart> parts(2);
  parts[0] = {.name = "outer", .data = head};
  parts[1] = {.name = "inner", .data = "in", .shift = -static_cast<std::int64_t>(head.size())};
  EXPECT_EQ(error_of(make_zip(parts)), "f: entries 'outer' and 'inner' overlap at byte 41");
  parts[1] = {.name = "outer", .data = "again"};
  EXPECT_THAT(error_of(make_zip(parts)), HasSubstr(": a second entry 'outer'"));
}

TEST(ZipFile, ADirectoryThatIsNoneIsRefused) {
  std::string bytes = make_zip(good_parts());
  const std::size_t end = bytes.size() - 22;
  const auto with = [&](std::size_t at, std::string_view replacement) {
    std::string bad = bytes;
    bad.replace(end + at, replacement.size(), replacement);
    return error_of(bad);
  };
  EXPECT_THAT(with(12, "\xFF\xFF\xFF\x7F"), HasSubstr("a directory of 2147483647 bytes at byte"));
  EXPECT_THAT(with(16, "\xFF\xFF\xFF\x7F"), HasSubstr("bytes at byte 2147483647, but it must end before byte"));
  EXPECT_THAT(with(8, "\xFE\xFF\xFE\xFF"), HasSubstr("65534 entries in a directory of"));
  EXPECT_THAT(with(8, std::string_view("\x01\x00\x02\x00", 4)), HasSubstr("an archive of several disks"));
  EXPECT_THAT(with(12, "\x90"), HasSubstr("a directory entry needs 4 bytes, but 0 are left"));
  EXPECT_THAT(error_of("PK\5\6"), HasSubstr("without the end record"));
}

}  // namespace
}  // namespace gloss::formats
