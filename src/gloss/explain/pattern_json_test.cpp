// A pattern as JSON and as a sentence.
#include "gloss/explain/pattern_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "gloss/base/error.h"
#include "gloss/explain/pattern_render.h"

namespace gloss::explain {
namespace {

using Json = nlohmann::json;

const Vocabulary& vocabulary() {
  static const Vocabulary made(std::make_shared<const Vocabulary::Impl>(Vocabulary::Impl::make(
      {" stop", "Stop", " don't", " won't", "\xFF", "<s>"}, {false, false, false, false, false, true})));
  return made;
}

std::vector<Rule> sample_rules() {
  Rule stop;
  stop.tests = {{Where::here, 0, What::token, {0}, {}}, {Where::within, 3, What::word, {}, {"don't", "won't"}}};
  stop.support = 12;
  stop.matched = 16;
  stop.level = 0.625;
  Rule other;
  other.tests = {{Where::here, 0, What::token_class, {static_cast<std::uint32_t>(TokenClass::digit)}, {}},
                 {Where::before, 2, What::text, {0}, {}},
                 {Where::word_before, 1, What::suffix, {}, {"ed"}}};
  other.exceptions = {{Where::here, 0, What::so_far, {}, {"12"}}};
  other.support = 3;
  other.matched = 3;
  other.level = 1.0;
  return {stop, other};
}

Json sample() { return Json::parse(rules_to_json(vocabulary().impl(), sample_rules())); }

std::string message_of(const std::string& program) {
  try {
    PatternProgram::parse(vocabulary(), program);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::bad_input);
    return e.what();
  }
  return "(accepted)";
}

TEST(PatternJson, GoesThereAndBack) {
  EXPECT_EQ(rules_from_json(vocabulary().impl(), rules_to_json(vocabulary().impl(), sample_rules())), sample_rules());
}

TEST(PatternJson, IsAsTheHeaderSays) {
  const Json json = sample();
  EXPECT_EQ(json["format"], "gloss-pattern-1");
  EXPECT_EQ(json["vocabulary"], vocabulary().impl().fingerprint);
  EXPECT_EQ(json["rules"][0],
            (Json{{"tests",
                   {{{"where", "here"}, {"what", "token"}, {"values", {0}}},
                    {{"where", "within"}, {"distance", 3}, {"what", "word"}, {"values", {"don't", "won't"}}}}},
                  {"support", 12},
                  {"matched", 16},
                  {"level", 0.625}}));
  EXPECT_EQ(json["rules"][1]["except"], (Json{{{"where", "here"}, {"what", "so-far"}, {"values", {"12"}}}}));
}

TEST(PatternJson, FaultsSayWhatIsWrong) {
  struct Fault {
    std::string pointer;
    Json value;
    std::string said;
  };
  const std::vector<Fault> faults = {
      {"/format", "gloss-pattern-2", "pattern: 'format' is 'gloss-pattern-2', wanted 'gloss-pattern-1'"},
      {"/vocabulary", "00", "pattern: is of another vocabulary ('00', this one is '"},
      {"/rules", Json::array(), "pattern: 'rules' is an array of 0, wanted an array of 1 to 8"},
      {"/rules", Json(std::vector<int>(9, 1)), "pattern: 'rules' is an array of 9, wanted an array of 1 to 8"},
      {"/rules", "x", "pattern: 'rules' is string, wanted an array of 1 to 8"},
      {"/rules/0", 5, "pattern: rule 1: is number, wanted an object"},
      {"/rules/0/tests", Json::array(), "pattern: rule 1: 'tests' is an array of 0, wanted an array of 1 to 4"},
      {"/rules/0/tests/0/where", "there",
       "pattern: rule 1, test 1: 'there' is no place, wanted one of here, before, word-before, within"},
      {"/rules/0/tests/0/what", "smell",
       "pattern: rule 1, test 1: 'smell' is no kind of test, wanted one of any, token"},
      {"/rules/0/tests/0/where", "word-before", "pattern: rule 1, test 1: 'token' cannot be asked of 'word-before'"},
      {"/rules/0/tests/0",
       {{"where", "before"}, {"distance", 1}, {"what", "token"}, {"values", {0}}},
       "pattern: rule 1: begins with a test of another token, wanted 'here'"},
      {"/rules/0/tests/0/values", Json::array(), "'values' is an array of 0, wanted an array of 1 to 64"},
      {"/rules/0/tests/0/values/0", 6, "pattern: rule 1, test 1: a value is 6, wanted a token from 0 to 5"},
      {"/rules/0/tests/0/values/0", -1, "a value is -1, wanted a token from 0 to 5"},
      {"/rules/0/tests/0/values/0", 0.5, "a value is 0.5, wanted a token from 0 to 5"},
      {"/rules/0/tests/0/values/0", "x", "a value is string, wanted a token from 0 to 5"},
      {"/rules/0/tests/1/distance", 17,
       "pattern: rule 1, test 2: 'distance' is 17, wanted a whole number from 1 to 16"},
      {"/rules/1/tests/1/distance", 9, "pattern: rule 2, test 2: 'distance' is 9, wanted a whole number from 1 to 8"},
      {"/rules/0/tests/1/values/1", 3, "pattern: rule 1, test 2: a value is number, wanted a string"},
      {"/rules/0/tests/1/values/1", "", "a value has 0 bytes, wanted 1 to 64"},
      {"/rules/0/tests/1/values/1", std::string(65, 'x'), "a value has 65 bytes, wanted 1 to 64"},
      {"/rules/1/tests/0/values/0", "digits", "'digits' is no class, wanted one of word-start, continuation"},
      {"/rules/1/except", Json::array(), "pattern: rule 2: 'except' is an array of 0, wanted an array of 1 to 1"},
      {"/rules/0/support", -3, "pattern: rule 1: 'support' is -3, wanted a whole number"},
      {"/rules/0/matched", 11, "pattern: rule 1: 'matched' is 11, wanted a whole number from 12"},
      {"/rules/0/level", 0.0, "pattern: rule 1: 'level' is 0, wanted more than 0 and at most 1"},
      {"/rules/0/level", 1.5, "pattern: rule 1: 'level' is 1.5, wanted more than 0 and at most 1"},
      {"/rules/0/level", "high", "pattern: rule 1: 'level' is \"high\", wanted a number"},
  };
  for (const Fault& fault : faults) {
    Json json = sample();
    json[Json::json_pointer(fault.pointer)] = fault.value;
    EXPECT_THAT(message_of(json.dump()), testing::HasSubstr(fault.said)) << fault.pointer;
  }
  EXPECT_THAT(message_of("[]"), testing::HasSubstr("pattern: is array, wanted an object"));
  EXPECT_THAT(message_of(""), testing::HasSubstr("pattern: is not JSON"));
  EXPECT_THAT(message_of(std::string((std::size_t{1} << 20) + 1, ' ')),
              testing::HasSubstr("pattern: has 1048577 bytes, wanted at most 1048576"));
}

TEST(PatternJson, EveryTruncationIsAnErrorNotACrash) {
  const std::string good = rules_to_json(vocabulary().impl(), sample_rules());
  for (std::size_t n = 0; n < good.size(); ++n) {
    EXPECT_THROW(PatternProgram::parse(vocabulary(), good.substr(0, n)), Error)
        << "accepted a pattern cut at byte " << n;
  }
  EXPECT_NO_THROW(PatternProgram::parse(vocabulary(), good));
}

TEST(PatternRender, SaysRulesAsASentence) {
  EXPECT_EQ(render_rules(vocabulary().impl(), sample_rules()),
            "the token \" stop\" after \"don't\" or \"won't\" (within 3 tokens); "
            "a number in digits 2 tokens after the token \"stop\" in any case and after a word ending in \"ed\", "
            "except where the word so far reads \"12\"");
}

TEST(PatternRender, CutsLongSetsWithACount) {
  Rule rule;
  rule.tests = {{Where::here, 0, What::word, {}, {"a", "b", "c", "d", "e", "f"}}};
  EXPECT_EQ(render_rules(vocabulary().impl(), {&rule, 1}), R"(the words "a", "b", "c", "d", "e" or "f")");
  rule.tests[0].texts.insert(rule.tests[0].texts.end(), {"g", "h"});
  EXPECT_EQ(render_rules(vocabulary().impl(), {&rule, 1}), R"(the words "a", "b", "c", "d", "e", "f" or 2 more)");
}

TEST(PatternRender, QuotesShowEverything) {
  EXPECT_EQ(in_quotes(" stop"), "\" stop\"");
  EXPECT_EQ(in_quotes("a\"b\\c"), R"("a\"b\\c")");
  EXPECT_EQ(in_quotes("\n\t\r"), R"("\n\t\r")");
  EXPECT_EQ(in_quotes(std::string_view("\0\x01\x7F", 3)), R"("\u{0}\u{1}\u{7F}")");
  EXPECT_EQ(in_quotes("\xFF\xE2\x82"), R"("\xFF\xE2\x82")");
  EXPECT_EQ(in_quotes("caf\u00E9 \u4E2D"), "\"caf\u00E9 \u4E2D\"");
  EXPECT_EQ(in_quotes("\u202E\u200D\u00A0\u2028"), R"("\u{202E}\u{200D}\u{A0}\u{2028}")");
  EXPECT_EQ(in_quotes("\u0301e\u0301"), "\"\\u{301}e\u0301\"");
}

}  // namespace
}  // namespace gloss::explain
