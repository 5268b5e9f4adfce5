/// Against what transformers and jinja2 make of the same templates (testdata/PROVENANCE.md); then what is refused, and
/// how.
#include "gloss/llm/chat_template.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "gloss/base/error.h"
#include "gloss/base/output_file.h"
#include "gloss/base/random.h"
#include "gloss/base/testing.h"

namespace gloss::llm {
namespace {

using testing::error_of;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using testing::TemporaryFolder;

const std::filesystem::path kData = std::filesystem::path(GLOSS_SOURCE_DIR) / "src/gloss/llm/testdata";

nlohmann::json read_json(const std::string& name) { return nlohmann::json::parse(read_file(kData / name)); }

std::vector<Message> messages_of(const nlohmann::json& list) {
  std::vector<Message> messages;
  for (const auto& m : list) messages.push_back({m.at("role"), m.at("content")});
  return messages;
}

std::string render(std::string_view source, const std::vector<Message>& messages = {{"user", "Hi"}}) {
  return ChatTemplate::parse(source, "test").render(messages);
}
std::string refused(const std::string& source) {
  return error_of([&] { render(source); });
}

TEST(ChatTemplate, GivesWhatTransformersGives) {
  const nlohmann::json golden = read_json("chat_golden.json");
  std::size_t compared = 0, refusals = 0;
  for (const auto& c : golden.at("cases")) {
    const std::string file = c.at("template");
    SCOPED_TRACE(file + ": " + c.at("conversation").get<std::string>());
    const ChatTemplate chat = ChatTemplate::parse(read_file(kData / "templates" / file), file, golden.at("tokens"));
    std::vector<Message> messages = messages_of(c.at("messages"));
    if (c.contains("text")) {
      EXPECT_EQ(chat.render(messages), c.at("text").get<std::string>());
      ++compared;
      continue;
    }
    ++refusals;
    if (messages.front().role != "system") {
      EXPECT_THAT(error_of([&] { static_cast<void>(chat.render(messages)); }),
                  HasSubstr("refuses the messages: " + c.at("refused").get<std::string>()));
      continue;
    }
    const std::string folded = chat.render(messages);  // no system message in this family: its text is the user's
    messages[1].content = messages[0].content + "\n\n" + messages[1].content;
    messages.erase(messages.begin());
    EXPECT_EQ(folded, chat.render(messages));
  }
  EXPECT_GE(compared, 70U);
  EXPECT_GE(refusals, 5U);
}

TEST(ChatTemplate, ComputesExpressionsAsJinjaDoes) {
  const nlohmann::json golden = read_json("expressions_golden.json");
  EXPECT_GE(golden.size(), 50U);
  for (const auto& c : golden) {
    const std::string source = c.at("source");
    EXPECT_EQ(render("{{ " + source + " }}"), c.at("text").get<std::string>()) << source;
  }
}

TEST(ChatTemplate, IsFoundWhereTheModelsFolderHasIt) {
  const TemporaryFolder folder;
  const std::vector<Message> hello = {{"system", "Be brief."}, {"user", "Hi"}};
  EXPECT_TRUE(ChatTemplate::load(folder.path()).is_plain());
  EXPECT_EQ(ChatTemplate::load(folder.path()).render(hello), "System: Be brief.\n\nUser: Hi\n\nAssistant:");
  const std::filesystem::path settings = folder.path() / "tokenizer_config.json";
  write_file(
      settings,
      R"({"bos_token": {"content": "<s>"}, "eos_token": "</s>", "chat_template": "{{ bos_token }}{{ messages[1].content }}{{ eos_token }}"})");
  const ChatTemplate first = ChatTemplate::load(folder.path());
  EXPECT_FALSE(first.is_plain());
  EXPECT_EQ(first.render(hello), "<s>Hi</s>");
  write_file(settings,
             R"({"chat_template": [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]})");
  const ChatTemplate second = ChatTemplate::load(folder.path());
  EXPECT_EQ(second.render(hello), "d");
  EXPECT_NE(first.fingerprint(), second.fingerprint());
  write_file(settings, R"({"chat_template": [{"name": "tool_use", "template": "t"}]})");
  EXPECT_THAT(error_of([&] { ChatTemplate::load(folder.path()); }),
              HasSubstr("tokenizer_config.json: chat_template is no text and no list with a template named 'default' "
                        "(it has: tool_use)"));
  write_file(folder.path() / "chat_template.jinja", "own file");
  EXPECT_EQ(ChatTemplate::load(folder.path()).render(hello), "own file");
  write_file(folder.path() / "chat_template.jinja", "\n{% if %}");
  EXPECT_THAT(error_of([&] { ChatTemplate::load(folder.path()); }),
              HasSubstr("chat_template.jinja, line 2: found '%}', wanted an expression"));
}

TEST(ChatTemplate, GivesTheSameDayEveryDay) {
  EXPECT_EQ(render("{{ strftime_now('%d %B %Y') if strftime_now is defined }}, {{ strftime_now('%a %b %Y-%m-%d') }}"),
            "01 January 2025, Wed Jan 2025-01-01");
}

TEST(ChatTemplate, SaysWhichLineAndConstructIsWrong) {
  struct Case {
    const char* source;
    const char* message;
  };
  for (const Case& c : std::vector<Case>{
           {"a\nb{{ x", "test, line 2: '{{' without '}}'"},
           {"{% if x %}\n\nyes", "test, line 1: 'if' is not closed: found the end of the template, wanted 'endif'"},
           {"{% for x in y %}{% endif %}", "test, line 1: 'for' is not closed: found 'endif', wanted 'endfor'"},
           {"{% endif %}", "test, line 1: 'endif' closes nothing"},
           {"\n{% include 'x' %}", "test, line 2: '{% include %}' is not supported\nhint: known: if, for, set"},
           {"{{ 'abc }}", "test, line 1: a text in quotes does not end"},
           {"{{ a ? b }}", "test, line 1: '?' belongs in no expression"},
           {"{# never", "test, line 1: the comment does not end"},
           {"{{ 1 < 2 < 3 }}", "test, line 1: comparisons in a chain are not supported"},
           {"{% break %}", "test, line 1: 'break' outside a loop"},
           {"{{ 'x' | shout }}", "test, line 1: the filter 'shout' is not supported; known: abs, capitalize"},
           {"{{ 'x' is loud }}", "test, line 1: the test 'loud' is not supported; known: boolean, callable"},
           {"\n\n{{ missing.part }}", "test, line 3: 'missing' is undefined, so it has no 'part'"},
           {"{{ lipsum() }}", "test, line 1: calls 'lipsum', which is not defined or not supported"},
           {"{{ 'a'.encode() }}", "test, line 1: calls 'encode', which is not defined or not supported"},
           {"{{ 'a' + 1 }}", "test, line 1: a text + a whole number"},
           {"{{ 'a' + missing }}", "test, line 1: a text + an undefined value ('missing' is undefined)"},
           {"{{ 1 // 0 }}", "test, line 1: division by 0"},
           {"{{ 9223372036854775807 + 1 }}", "test, line 1: the number is too large"},
           {"{% set messages.x = 1 %}",
            "test, line 1: sets 'x' of 'messages', which is a list\nhint: only attributes of a namespace()"},
           {"{% set a, b = [1, 2, 3] %}", "test, line 1: 3 values for 2 names"},
           {"{{ {1: 2} }}", "test, line 1: a map's key is a whole number, wanted a text"},
           {"{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", "test, line 1: macro 'm' takes 1 arguments, got 2"},
           {"{% set ns = namespace() %}{% set ns.self = ns %}",
            "test, line 1: a namespace inside another value is not supported"},
           {"{{ raise_exception('no ' + 'way') }}", "test, line 1: refuses the messages: no way"}}) {
    EXPECT_THAT(refused(c.source), StartsWith(c.message)) << c.source;
  }
}

TEST(ChatTemplate, IsBoundedInDepthSizeAndSteps) {
  const auto repeat = [](std::string_view piece, int times) {
    std::string all;
    for (int i = 0; i < times; ++i) all += piece;
    return all;
  };
  EXPECT_THAT(refused("{{ " + repeat("(", 50'000) + "1" + repeat(")", 50'000) + " }}"),
              HasSubstr("is nested deeper than 100"));
  EXPECT_THAT(refused("{{ " + repeat("not ", 50'000) + "1 }}"), HasSubstr("is nested deeper than 100"));
  EXPECT_THAT(refused("{{ 1" + repeat(" + 1", 50'000) + " }}"), HasSubstr("an expression is nested deeper than 250"));
  EXPECT_THAT(refused("{{ x" + repeat(".x", 50'000) + " }}"), HasSubstr("an expression is nested deeper than 250"));
  EXPECT_THAT(refused(repeat("{% if 1 %}", 50'000)), HasSubstr("is nested deeper than 100"));
  EXPECT_THAT(refused(std::string((1 << 20) + 1, 'x')), HasSubstr("has 1048577 bytes, wanted at most 1048576"));
  EXPECT_THAT(refused("{{ 'x' * 100000000 }}"), HasSubstr("a text of more than 4 MiB"));
  EXPECT_THAT(refused("{% for i in range(100000) %}{{ 'x' * 1000 }}{% endfor %}"),
              HasSubstr("a text of more than 4 MiB"));
  EXPECT_THAT(
      refused("{% set ns = namespace(s='xx') %}{% for i in range(100) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}"),
      HasSubstr("a text of more than 4 MiB"));
  EXPECT_THAT(refused("{% set ns = namespace(s=1) %}{% for i in range(100) %}{% set ns.s = [ns.s] %}{% endfor %}"),
              HasSubstr("values are nested deeper than 64"));
  EXPECT_THAT(refused("{{ range(100000000) | length }}"), HasSubstr("range of more than"));
  EXPECT_THAT(refused("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"), HasSubstr("macros call each other 17 deep"));
  EXPECT_THAT(refused("{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}"),
              HasSubstr("takes more than 2000000 steps"));
}

TEST(ChatTemplate, AnyCutOrChangedTemplateIsReadOrRefused) {
  std::vector<std::string> sources;
  for (const auto& entry : std::filesystem::directory_iterator(kData / "templates"))
    sources.push_back(read_file(entry.path()));
  std::sort(sources.begin(), sources.end());
  ASSERT_GE(sources.size(), 11U);
  std::size_t rendered = 0, failed = 0;
  const auto attempt = [&](const std::string& source) {
    try {
      render(source, {{"system", "s"}, {"user", "u"}, {"assistant", "a"}, {"user", "v"}});
      ++rendered;
    } catch (const Error&) {
      ++failed;
    }
  };
  Random random(3);
  for (const std::string& source : sources) {
    for (std::size_t n = 0; n < source.size(); n += 3) attempt(source.substr(0, n));
    for (int round = 0; round < 100; ++round) {
      std::string changed = source;
      const std::string& other = sources[random.below(sources.size())];
      const std::size_t at = random.below(changed.size()), from = random.below(other.size());
      changed.replace(at, random.below(20), other.substr(from, random.below(30)));
      attempt(changed);
    }
  }
  EXPECT_GT(rendered, 50U);
  EXPECT_GT(failed, 1000U);
}

}  // namespace
}  // namespace gloss::llm
