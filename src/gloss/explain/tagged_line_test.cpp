#include "gloss/explain/tagged_line.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace gloss::explain {
namespace {

TEST(ParseExplanation, TakesTheLastTaggedLine) {
  const std::pair<const char*, const char*> replies[] = {
      {"[EXPLANATION]: a", "a"},
      {"[explanation]:a", "a"},
      {"thinking\n  [Explanation] : a b \r\n", "a b"},
      {"[EXPLANATION]: draft\nno, better\n[EXPLANATION]: final\nThank you.", "final"},
      {"**[EXPLANATION]:** a", "a"},
      {"**[EXPLANATION]**: a", "a"},
      {"**[EXPLANATION]: a**", "a"},
      {"__[EXPLANATION]__: *args and **kwargs", "*args and **kwargs"},
      {"**[EXPLANATION]:** the word **stop**", "the word **stop**"},
      {"`[EXPLANATION]:` a", "a"},
      {"- [EXPLANATION]: the \"**\" operator **", "the \"**\" operator **"},
      {"### [EXPLANATION]: a", "a"},
      {"> [EXPLANATION]: 日本語", "日本語"},
      {"[EXPLANATION]: [EXPLANATION]: a", "[EXPLANATION]: a"},
  };
  for (const auto& [reply, text] : replies) {
    const Explanation e = parse_explanation(reply);
    EXPECT_EQ(e.text, text) << reply;
    EXPECT_EQ(e.failure, "") << reply;
  }
}

TEST(ParseExplanation, NoneOrAnEmptyOneIsAFailure) {
  for (const char* reply :
       {"[EXPLANATION]:", "**[EXPLANATION]:**", "**[EXPLANATION]: **", "[EXPLANATION]: a\n[EXPLANATION]:  "}) {
    const Explanation e = parse_explanation(reply);
    EXPECT_EQ(e.text, "") << reply;
    EXPECT_EQ(e.failure, "the reply's explanation is empty") << reply;
  }
  for (const char* reply : {"", "\n\n", "[EXPLANATION", "[EXPLANATION] a", "EXPLANATION", "[EXPLANATIONS]: a"}) {
    EXPECT_EQ(parse_explanation(reply).failure, "the reply has no line that begins with [EXPLANATION]:") << reply;
  }
}

TEST(ParseExplanation, AcceptsEveryTruncation) {
  const std::string reply = "a\n**[EXPLANATION]:** the word **x**\r\n";
  for (std::size_t n = 0; n <= reply.size(); ++n) {
    const Explanation e = parse_explanation(reply.substr(0, n));
    EXPECT_EQ(e.failure.empty(), !e.text.empty()) << "cut at byte " << n;
  }
}

TEST(ParseInputOutput, JoinsTheLastOfBoth) {
  const Explanation e = parse_input_output("[INPUT]: draft\nhm\n**[INPUT]:** the word a\n[output]: words b\n");
  EXPECT_EQ(e.text, "fires on the word a; writes words b");
  EXPECT_EQ(e.failure, "");
}

TEST(ParseInputOutput, OneMissingOrEmptyIsAFailure) {
  const std::pair<const char*, const char*> replies[] = {
      {"", "the reply has no line that begins with [INPUT]:"},
      {"[INPUT]: a", "the reply has no line that begins with [OUTPUT]:"},
      {"[OUTPUT]: a", "the reply has no line that begins with [INPUT]:"},
      {"[INPUT]: a\n[OUTPUT]: ", "the reply's output description is empty"},
      {"[INPUT]: \n[OUTPUT]: b", "the reply's input description is empty"},
      {"[EXPLANATION]: a", "the reply has no line that begins with [INPUT]:"},
  };
  for (const auto& [reply, failure] : replies) {
    EXPECT_EQ(parse_input_output(reply).failure, failure) << reply;
    EXPECT_EQ(parse_input_output(reply).text, "") << reply;
  }
}

}  // namespace
}  // namespace gloss::explain
