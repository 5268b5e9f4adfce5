#include "gloss/formats/checked_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <stdexcept>

#include "gloss/base/error.h"

namespace gloss::formats {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

class CheckedFile : public ::testing::Test {
 protected:
  CheckedFile() : path_(fs::path(::testing::TempDir()) / ("gloss-checked-" + std::to_string(::getpid()))) {}
  ~CheckedFile() override { fs::remove(path_); }

  CheckedFileWriter writer() const {
    return {path_, {{"wide", Dtype::u64, {3}}, {"none", Dtype::f32, {0, 4}}, {"narrow", Dtype::u8, {5}}}, {{"a", "b"}}};
  }
  std::string good_bytes() const {
    CheckedFileWriter file = writer();
    file.append_values(2, std::span<const std::uint8_t>(std::array<std::uint8_t, 2>{1, 2}));
    file.append_values(0, std::span<const std::uint64_t>(std::array<std::uint64_t, 3>{7, 8, 9}));
    file.append_values(2, std::span<const std::uint8_t>(std::array<std::uint8_t, 3>{3, 4, 5}));
    file.commit();
    return read_file(path_);
  }
  static void check(std::string bytes) {
    const SafeTensors file = SafeTensors::parse(MappedFile::of_bytes(std::move(bytes), "it"));
    check_header(file, "a hint");
    check_arrays(file, "a hint");
  }
  static std::string error_of(const std::function<void()>& body) {
    try {
      body();
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }
  fs::path path_;
};

TEST_F(CheckedFile, ArraysGrowInTurn) {
  good_bytes();
  const SafeTensors file = SafeTensors::open(path_);
  EXPECT_EQ(file.view<std::uint64_t>("wide", Dtype::u64)[2], 9U);
  EXPECT_EQ(file.view<std::uint8_t>("narrow", Dtype::u8)[4], 5U);
  EXPECT_EQ(file.metadata().at("a"), "b");
  EXPECT_EQ(file.header_bytes().size() % 64, 0U);
  EXPECT_NO_THROW(check(read_file(path_)));
}

TEST_F(CheckedFile, EveryFlippedBitIsFound) {
  const std::string good = good_bytes();
  for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(static_cast<unsigned char>(bad[bit / 8]) ^ (1U << (bit % 8)));
    EXPECT_THROW(check(bad), Error) << "byte " << bit / 8 << ", bit " << bit % 8;
  }
}

TEST_F(CheckedFile, SaysWhichPartIsDamaged) {
  const std::string good = good_bytes();
  std::string bad = good;
  bad.back() = 6;
  EXPECT_THAT(error_of([&] { check(bad); }), HasSubstr("it: tensor 'narrow': has checksum "));
  bad = good;
  bad.replace(bad.find("\"a\":\"b\""), 7, "\"a\":\"c\"");
  EXPECT_THAT(error_of([&] { check(bad); }), HasSubstr("it: header (bytes 0 to "));
  bad.replace(bad.find("xxh3.header"), 11, "xxh3.headed");
  EXPECT_THAT(error_of([&] { check(bad); }), HasSubstr("it: metadata has no 'xxh3.header'\nhint: a hint"));
}

TEST_F(CheckedFile, AnArrayThatIsNotWholeIsNotCommitted) {
  {
    CheckedFileWriter file = writer();
    file.append_values(2, std::span<const std::uint8_t>(std::array<std::uint8_t, 5>{}));
    EXPECT_THROW(file.append_values(2, std::span<const std::uint8_t>(std::array<std::uint8_t, 1>{})), std::logic_error);
    EXPECT_THROW(file.commit(), std::logic_error);
  }
  EXPECT_FALSE(fs::exists(path_));
  EXPECT_FALSE(fs::exists(path_.string() + ".tmp"));
  EXPECT_THROW(CheckedFileWriter(path_, {}, {{"xxh3.wide", ""}}), std::logic_error);
}

}  // namespace
}  // namespace gloss::formats
