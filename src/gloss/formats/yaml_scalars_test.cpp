#include "gloss/formats/yaml_scalars.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gloss/base/error.h"
#include "gloss/base/testing.h"

namespace gloss::formats {
namespace {

using gloss::testing::error_of;
using ::testing::HasSubstr;

YamlScalars parse(std::string_view text) { return YamlScalars::parse(text, "config.yaml"); }

TEST(YamlScalars, ReadsTheMappingsOwnValues) {
  const YamlScalars yaml = parse(
      "---\n"
      "# a comment\n"
      "model_name: Qwen/Qwen3-4B   # another\n"
      "double: \"a # b \\\" c\\\\\"\n"
      "single: 'it''s: so' # end\n"
      "url: hf://x/y#z\n"
      "number: 12\r\n"
      "empty:\n"
      "nothing: ~\n"
      "list:\n"
      "  - feature: inner\n"
      "- another\n"
      "last: value");
  EXPECT_EQ(yaml.get("model_name"), "Qwen/Qwen3-4B");
  EXPECT_EQ(yaml.get("double"), "a # b \" c\\");
  EXPECT_EQ(yaml.get("single"), "it's: so");
  EXPECT_EQ(yaml.get("url"), "hf://x/y#z");
  EXPECT_EQ(yaml.get("number"), "12");
  EXPECT_EQ(yaml.get("last"), "value");
  EXPECT_EQ(yaml.get("empty", "fallback"), "fallback");
  EXPECT_EQ(yaml.get("nothing", "fallback"), "fallback");
  EXPECT_EQ(yaml.get("feature", "not of the list"), "not of the list");
  EXPECT_EQ(error_of([&] { yaml.get("missing"); }), "config.yaml: has no 'missing'");
}

TEST(YamlScalars, SaysWhatAKeyHoldsThatIsNotOneValue) {
  const YamlScalars yaml = parse(
      "a: [1, 2]\n"
      "b: {x: 1}\n"
      "c: |\n"
      "  text\n"
      "d:\n"
      "  x: 1\n"
      "e: first\n"
      "  second\n"
      "f: &anchor value\n"
      "g: *anchor\n"
      "h: !!str 1\n");
  const std::pair<const char*, const char*> wanted[] = {
      {"a", "line 1: 'a' is a list or mapping of its own, wanted one value on its line"},
      {"b", "line 2: 'b' is a list or mapping of its own"},
      {"c", "line 3: 'c' is text over several lines"},
      {"d", "line 5: 'd' is a list or mapping of its own"},
      {"e", "line 7: 'e' is text over several lines"},
      {"f", "line 9: 'f' is an anchor or alias"},
      {"g", "line 10: 'g' is an anchor or alias"},
      {"h", "line 11: 'h' is a tag"}};
  for (const auto& [key, message] : wanted)
    EXPECT_THAT(error_of([&] { yaml.get(key, "fallback"); }), HasSubstr(message)) << key;
}

TEST(YamlScalars, NamesTheLineThatIsNone) {
  const std::pair<std::string_view, const char*> faults[] = {
      {"a: 1\nb", "config.yaml: line 2: is no 'key: value'"},
      {"a:1", "line 1: is no 'key: value'"},
      {": 1", "line 1: is no 'key: value'"},
      {"  a: 1", "line 1: is no 'key: value'"},
      {"\ta: 1", "line 1: begins with a tab"},
      {"a: 1\na: 2", "line 2: has 'a' again"},
      {"a: 'x", "line 1: has a quoted value without an end on its line"},
      {"a: \"x\\", "has an escape other than"},
      {"a: \"x\\n\"", "has an escape other than"},
      {"a: 'x' y", "has something after a quoted value"},
      {std::string_view("a: \0", 4), "is no text, wanted YAML"}};
  for (const auto& [text, message] : faults) EXPECT_THAT(error_of([&] { parse(text); }), HasSubstr(message)) << text;
  EXPECT_THAT(error_of([&] { parse(std::string((1U << 20U) + 1, '#')); }),
              HasSubstr("wanted a small file of settings"));
}

}  // namespace
}  // namespace gloss::formats
