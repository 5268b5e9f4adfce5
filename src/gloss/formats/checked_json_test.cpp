#include "gloss/formats/checked_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "gloss/base/error.h"
#include "gloss/base/testing.h"

namespace gloss::formats {
namespace {

using ::testing::HasSubstr;

TEST(CheckedJson, EveryFlippedBitAndEveryCutIsFound) {
  const nlohmann::ordered_json object{
      {"stage", "cache"}, {"done", true}, {"inputs", {{"a", "b"}, {"xxh3", "of mine"}}}};
  const std::string text = checked_json_text(object);
  EXPECT_TRUE(check_json_text(text, "file"));
  nlohmann::ordered_json read = nlohmann::ordered_json::parse(text);
  read.erase("checksums");
  read.erase("xxh3");
  EXPECT_EQ(read, object);
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = text;
      flipped[i] = static_cast<char>(flipped[i] ^ (1 << bit));
      EXPECT_THAT(::gloss::testing::error_of([&] { check_json_text(flipped, "file"); }),
                  HasSubstr("file: does not have the checksum"))
          << "byte " << i << ", bit " << bit;
    }
    // A file cut before it says that it has a checksum is no JSON any more, which is found when it is read.
    const std::string cut = text.substr(0, i);
    if (cut.find("\"checksums\": 1") != std::string::npos) {
      EXPECT_THAT(::gloss::testing::error_of([&] { check_json_text(cut, "file"); }),
                  HasSubstr("does not have the checksum"))
          << i;
    } else {
      EXPECT_FALSE(nlohmann::json::accept(cut)) << i;
    }
  }
}

TEST(CheckedJson, AnOlderFileHasNone) { EXPECT_FALSE(check_json_text("{\"stage\": \"cache\"}\n", "file")); }

}  // namespace
}  // namespace gloss::formats
