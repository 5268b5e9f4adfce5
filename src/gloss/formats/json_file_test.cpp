#include "gloss/formats/json_file.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "gloss/base/error.h"
#include "gloss/base/output_file.h"

namespace gloss::formats {
namespace {

using Json = nlohmann::json;

template <class Work>
std::string error_of(const Work& work) {
  try {
    work();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::bad_input);
    return e.what();
  }
  return "(no error)";
}

const Json& sample() {
  static const Json json = Json::parse(R"({"layers": 12, "eps": 1e-5, "tied": true, "name": "llama", "none": null,
                                           "list": [1, 2], "negative": -3, "half": 0.5, "big": 18446744073709551615})");
  return json;
}

TEST(ReadJson, ReadsAFileOrSaysAtWhichByteItEnds) {
  const auto path = std::filesystem::path(::testing::TempDir()) / "gloss-read-json.json";
  write_file(path, R"({"a": [1, 2]})");
  EXPECT_EQ(read_json(path)["a"][1], 2);
  write_file(path, R"({"a": [1, 2)");
  EXPECT_EQ(error_of([&] { (void)read_json(path); }),
            path.string() + ": is not JSON: byte 12 of 11\nhint: the file may be cut off");
  std::filesystem::remove(path);
  EXPECT_EQ(error_of([&] { (void)read_json(path); }), path.string() + ": cannot be opened: No such file or directory");
}

TEST(ReadJson, EveryTruncationIsAnError) {
  const std::string good = sample().dump();
  for (std::size_t n = 0; n < good.size(); ++n)
    EXPECT_TRUE(
        error_of([&] { (void)parse_json(std::string_view(good).substr(0, n), "cut"); }).starts_with("cut: is not JSON"))
        << n;
  EXPECT_EQ(parse_json(good, "whole"), sample());
}

TEST(ReadJson, IllFormedTextIsAnError) {
  EXPECT_EQ(error_of([] { (void)parse_json("{\"a\": \"\xFF\"}", "t"); }),
            "t: is not JSON: byte 8 of 10\nhint: the file may be cut off");
  EXPECT_EQ(error_of([] { (void)parse_json("[1e999]", "t"); }),
            "t: is not JSON that can be read: [json.exception.out_of_range.406] number overflow parsing '1e999'");
  EXPECT_EQ(error_of([] { (void)parse_json("{} {}", "t"); }),
            "t: is not JSON: byte 4 of 5\nhint: the file may be cut off");
}

TEST(Fields, GiveValuesOfTheirType) {
  const Fields f(sample(), "c.json");
  EXPECT_EQ(f.where(), "c.json");
  EXPECT_EQ(f.integer("layers", 1, 100), 12U);
  EXPECT_EQ(f.integer("big", 0, ~std::uint64_t{0}), ~std::uint64_t{0});
  EXPECT_EQ(f.number("eps"), 1e-5);
  EXPECT_EQ(f.number("negative"), -3.0);
  EXPECT_TRUE(f.boolean("tied"));
  EXPECT_EQ(f.string("name"), "llama");
  EXPECT_EQ(f.at("list").size(), 2U);
  EXPECT_TRUE(f.has("layers"));
  EXPECT_FALSE(f.has("none"));
  EXPECT_FALSE(f.has("nothing"));
}

TEST(Fields, FallBackOnlyWhenMissingOrNull) {
  const Fields f(sample(), "c.json");
  EXPECT_EQ(f.integer("nothing", 1, 9, 5), 5U);
  EXPECT_EQ(f.integer("none", 1, 9, 5), 5U);
  EXPECT_EQ(f.number("nothing", 2.5), 2.5);
  EXPECT_FALSE(f.boolean("none", false));
  EXPECT_EQ(f.string("nothing", "x"), "x");
  EXPECT_EQ(error_of([&] { (void)f.integer("name", 1, 9, 5); }),
            "c.json: 'name' is \"llama\", wanted a whole number from 1 to 9");
}

TEST(Fields, FaultsSayWhatWasFoundAndWanted) {
  const Fields f(sample(), "c.json");
  const std::vector<std::pair<std::function<void()>, std::string>> faults = {
      {[&] { (void)f.integer("nothing", 0, 9); }, "has no 'nothing'"},
      {[&] { (void)f.integer("none", 0, 9); }, "has no 'none'"},
      {[&] { (void)f.integer("layers", 1, 11); }, "'layers' is 12, wanted a whole number from 1 to 11"},
      {[&] { (void)f.integer("layers", 13, 20); }, "'layers' is 12, wanted a whole number from 13 to 20"},
      {[&] { (void)f.integer("negative", 0, 9); }, "'negative' is -3, wanted a whole number from 0 to 9"},
      {[&] { (void)f.integer("half", 0, 9); }, "'half' is 0.5, wanted a whole number from 0 to 9"},
      {[&] { (void)f.number("name"); }, "'name' is \"llama\", wanted a number"},
      {[&] { (void)f.boolean("layers"); }, "'layers' is 12, wanted true or false"},
      {[&] { (void)f.string("list"); }, "'list' is array, wanted a string"},
      {[&] { (void)f.at("none"); }, "has no 'none'"},
  };
  for (const auto& [work, message] : faults) EXPECT_EQ(error_of(work), "c.json: " + message);
}

TEST(Fields, WantAnObject) {
  const Json list = Json::array();
  EXPECT_EQ(error_of([&] { const Fields f(list, "c.json: model"); }), "c.json: model: is array, wanted an object");
}

}  // namespace
}  // namespace gloss::formats
