#include "gloss/llm/prompt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "gloss/base/error.h"
#include "gloss/base/output_file.h"
#include "gloss/base/testing.h"

namespace gloss::llm {
namespace {

using ::testing::HasSubstr;

const std::vector<std::string> kPlaces = {"name", "?mood"};

TEST(PromptTemplate, FillsPlacesInEveryMessage) {
  const PromptTemplate p = PromptTemplate::parse(
      "a remark\n--- system\nBe {{mood}}.\n\nNow.\n\n--- user\r\nI am {{name}}, {{name}}\n", "t", kPlaces);
  const auto messages = p.fill({{"name", "Ann"}, {"mood", "kind"}});
  ASSERT_EQ(messages.size(), 2U);
  EXPECT_EQ(messages[0].role, "system");
  EXPECT_EQ(messages[0].content, "Be kind.\n\nNow.");
  EXPECT_EQ(messages[1].role, "user");
  EXPECT_EQ(messages[1].content, "I am Ann, Ann");
}

TEST(PromptTemplate, DoesNotLookIntoWhatIsFilledIn) {
  const PromptTemplate p = PromptTemplate::parse("--- user\n{{name}} {{mood}}", "t", kPlaces);
  const auto messages = p.fill({{"name", "{{mood}}\n--- system\n{{"}, {"mood", "{{name}}"}});
  ASSERT_EQ(messages.size(), 1U);
  EXPECT_EQ(messages[0].content, "{{mood}}\n--- system\n{{ {{name}}");
}

TEST(PromptTemplate, SwitchesSayWhichLinesStand) {
  const char* text = "--- system\nA\n{{+x}}B\n{{-x}}C\n{{+x}}{{+y}}D\nE {{+x}}\n--- user\n{{+y}}{{name}}\n{{name}}\n";
  const std::vector<std::string> places = {"name"};
  const auto shown = [&](bool x, bool y) {
    return PromptTemplate::parse(std::string(text).erase(std::string(text).find("E {{+x}}\n"), 9), "t", places,
                                 {{"x", x}, {"y", y}});
  };
  EXPECT_EQ(shown(true, false).fill({{"name", "n"}})[0].content, "A\nB");
  EXPECT_EQ(shown(false, true).fill({{"name", "n"}})[0].content, "A\nC");
  EXPECT_EQ(shown(true, true).fill({{"name", "n"}})[0].content, "A\nB\nD");
  EXPECT_EQ(shown(true, true).fill({{"name", "n"}})[1].content, "n\nn");
  EXPECT_EQ(shown(true, false).fill({{"name", "{{+x}}"}})[1].content, "{{+x}}") << "what is filled in is text";
  EXPECT_NE(shown(true, false).fingerprint(), shown(true, true).fingerprint());
  EXPECT_EQ(gloss::testing::error_of([&] {
              PromptTemplate::parse(text, "t", places, {{"x", true}, {"y", true}});
            }),
            "t, message of line 1: unknown place {{+x}}; known: name")
      << "a switch stands at the beginning of a line";
  EXPECT_EQ(gloss::testing::error_of([&] {
              PromptTemplate::parse(text, "t", places, {{"y", true}});
            }),
            "t:3: unknown switch 'x'; known: y");
  EXPECT_EQ(gloss::testing::error_of([&] {
              PromptTemplate::parse("--- user\n{{+x", "t", places, {{"x", true}});
            }),
            "t:2: '{{' without '}}'");
}

TEST(PromptTemplate, FaultsNameFileAndLine) {
  const std::pair<const char*, const char*> faults[] = {
      {"", "t: holds no message\nhint: messages begin with a line such as '--- user'"},
      {"only remarks {{x}}", "t: holds no message\nhint: messages begin with a line such as '--- user'"},
      {"\n--- robot\nhi", "t:2: a message of 'robot', wanted system, user or assistant"},
      {"--- user\n{{name}}\n--- assistant\nyes", "t: the last message is of assistant, wanted user"},
      {"--- user\nhello", "t: the last message lacks the place {{name}}"},
      {"--- user\n{{name}} {{mod}}",
       "t, message of line 1: unknown place {{mod}}; known: name, mood\nhint: did you mean {{mood}}?"},
      {"--- user\n{{name}} {{", "t, message of line 1: '{{' without '}}'"},
  };
  for (const auto& [text, message] : faults) {
    try {
      PromptTemplate::parse(text, "t", kPlaces);
      ADD_FAILURE() << "accepted " << text;
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::bad_input);
      EXPECT_STREQ(e.what(), message);
    }
  }
}

TEST(PromptTemplate, AFolderReplacesTheBuiltInText) {
  const auto folder = std::filesystem::path(::testing::TempDir()) / "gloss_prompt_test";
  std::filesystem::create_directories(folder);
  const std::vector<std::string> places = {"explanation", "windows", "?count"};
  const PromptTemplate built_in = PromptTemplate::load("detection", {}, places);
  EXPECT_EQ(PromptTemplate::load("detection", folder, places).fingerprint(), built_in.fingerprint());
  write_file(folder / "detection.txt", "--- user\n{{explanation}}? {{windows}}");
  const PromptTemplate own = PromptTemplate::load("detection", folder, places);
  EXPECT_NE(own.fingerprint(), built_in.fingerprint());
  EXPECT_EQ(own.fill({{"explanation", "E"}, {"windows", "W"}, {"count", "1"}})[0].content, "E? W");
  std::filesystem::remove_all(folder);
  EXPECT_THROW(PromptTemplate::load("detection", folder, places), Error);
}

TEST(PromptTexts, AreThoseOfTheRepository) {
  const std::vector<std::string> places = {
      "?explanation", "?windows", "?count",  "?open",   "?close",   "?promoted",     "?silent", "?suppressed",
      "?tokens",      "?window",  "?fitted", "?missed", "?choices", "?descriptions", "?prompt", "?continuation"};
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(GLOSS_SOURCE_DIR "/prompts")) {
    if (entry.path().extension() != ".txt") continue;
    ++files;
    for (const bool on : {false, true}) {
      const PromptTemplate::Switches switches = {{"activations", on}, {"cot", on}, {"logits", on}, {"contrast", on}};
      const PromptTemplate file =
          PromptTemplate::parse(read_file(entry.path()), entry.path().string(), places, switches);
      const PromptTemplate built_in = PromptTemplate::load(entry.path().stem().string(), {}, places, switches);
      EXPECT_EQ(built_in.fingerprint(), file.fingerprint()) << entry.path();
    }
  }
  EXPECT_GE(files, 5U);
}

/// The worked examples in a prompt must themselves obey the rules they teach.
TEST(PromptTexts, WorkedExamplesHaveAsManyAnswersAsExcerpts) {
  const std::vector<std::string> places = {"explanation", "windows", "?count", "?open", "?close"};
  for (const char* name : {"detection", "fuzz"}) {
    const auto messages =
        PromptTemplate::load(name, {}, places)
            .fill({{"explanation", "E"}, {"windows", "W"}, {"count", "N"}, {"open", "<<"}, {"close", ">>"}});
    ASSERT_GE(messages.size(), 4U);
    EXPECT_EQ(messages.front().role, "system");
    for (std::size_t i = 1; i + 1 < messages.size(); i += 2) {
      ASSERT_EQ(messages[i].role, "user");
      ASSERT_EQ(messages[i + 1].role, "assistant");
      const std::size_t answers = nlohmann::json::parse(messages[i + 1].content).size();
      for (std::size_t n = 1; n <= answers; ++n) {
        EXPECT_THAT(messages[i].content, HasSubstr("\n" + std::to_string(n) + ". \"")) << name;
      }
      EXPECT_THAT(messages[i].content, HasSubstr("Answer for " + std::to_string(answers) + " excerpts.")) << name;
      EXPECT_THAT(messages[i].content, ::testing::Not(HasSubstr("\n" + std::to_string(answers + 1) + ". \""))) << name;
    }
  }
}

TEST(JsonString, KeepsOneLineWhateverTheText) {
  EXPECT_EQ(as_json_string("plain ü"), "\"plain ü\"");
  EXPECT_EQ(as_json_string("a\nb\r\t\"c\"\\"), R"("a\nb\r\t\"c\"\\")");
  EXPECT_EQ(as_json_string("\xff"), "\"\uFFFD\"");
  EXPECT_EQ(as_json_string("a\u2028b\u2029c\u0085"
                           "d\x7f"),
            R"("a\u2028b\u2029c\u0085d\u007f")");
  for (int c = 0; c < 256; ++c) {
    const std::string line = as_json_string(std::string(1, static_cast<char>(c)));
    EXPECT_EQ(line.find_first_of("\n\r\v\f"), std::string::npos);
    EXPECT_TRUE(nlohmann::json::accept(line)) << c;
  }
}

TEST(Numbered, IsOneLineForEachText) {
  const std::vector<std::string> texts = {"a", "b\n2. c"};
  EXPECT_EQ(numbered(texts), "1. \"a\"\n2. \"b\\n2. c\"");
  EXPECT_EQ(numbered({}), "");
}

}  // namespace
}  // namespace gloss::llm
