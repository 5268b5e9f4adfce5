#include "gloss/report/terminal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sstream>

#include "gloss/base/error.h"
#include "gloss/report/report_testing.h"

namespace gloss::report {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST(Harmless, MakesControlAndDirectionCharactersVisible) {
  EXPECT_EQ(harmless("a\nb\tc"), "a⏎b⇥c");
  EXPECT_EQ(harmless("\x1B[31m"), "␛[31m");
  EXPECT_EQ(harmless(std::string("\0\x7F", 2)), "␀␡");
  EXPECT_EQ(harmless("\u202Eevil\u2066"), "⟨U+202E⟩evil⟨U+2066⟩");
  EXPECT_EQ(harmless("\u200B\uFEFF\u0085"), "⟨U+200B⟩⟨U+FEFF⟩⟨U+0085⟩");
  EXPECT_EQ(harmless("\xFF\xC3"), "\uFFFD\uFFFD");
  EXPECT_EQ(harmless("日本 👩\u200D🚀 né"), "日本 👩\u200D🚀 né");
}

TEST(Columns, CountWideAndCombiningCharacters) {
  EXPECT_EQ(columns("abc"), 3U);
  EXPECT_EQ(columns("日本"), 4U);
  EXPECT_EQ(columns("e\u0301"), 1U);
  EXPECT_EQ(columns("⏎⇥␛"), 3U);
  EXPECT_EQ(columns(""), 0U);
}

TEST(ShowText, GivesExplanationScoresWithDenominatorsAndExamples) {
  const MadeUpRun run(4);
  const std::string text = show_text(run.data, "layers.2", LatentId{1}, {});
  EXPECT_THAT(
      text, AllOf(HasSubstr("layers.2 latent 1\n"), HasSubstr("the token \" of\" after"),
                  HasSubstr("balanced accuracy"), HasSubstr("shuffled:pattern"), HasSubstr("Accuracy by decile"),
                  HasSubstr("Q10"), HasSubstr("Q1 "), HasSubstr("<<of>>"), HasSubstr("Windows in which it is silent")));
  EXPECT_THAT(text,
              testing::ContainsRegex("detection +pattern +pattern +balanced accuracy "
                                     "0\\.[0-9]+ \\[0\\.[0-9]+, [01]\\.[0-9]+\\] +0\\.[0-9]+ \\([0-9]+/[0-9]+\\)"));
}

TEST(ShowText, SaysWhatFiltersFound) {
  MadeUpRun run(40);
  EXPECT_EQ(show_json(run.data, "layers.2", LatentId{3}, {})["kinds"].size(), 0U);
  run.store->put_kind("layers.2", "unigram", {"tokens <= 20", {{LatentId{3}, 4.0}}});
  run.store->put_kind("layers.2", "dense", {"share > 0.1", {{LatentId{3}, 0.25}, {LatentId{4}, 0.5}}});
  EXPECT_THAT(show_text(run.data, "layers.2", LatentId{3}, {}),
              AllOf(HasSubstr("dense: 0.25 (share of tokens at which it fires)\n"),
                    HasSubstr("unigram: 4 (different tokens of the strongest 80 % of firings)\n")));
  EXPECT_EQ(show_json(run.data, "layers.2", LatentId{3}, {})["kinds"]["unigram"], 4.0);
}

TEST(ShowText, SaysInputAndOutputScores) {
  MadeUpRun run(40);
  EXPECT_TRUE(show_json(run.data, "layers.2", LatentId{3}, {})["input_output"].is_null());
  index::InputOutput scores = index::InputOutput::empty(9);
  scores.contexts[3] = 8;
  scores.output[3] = 0.125F;
  run.data.input_output = [&](std::string_view hookpoint) { return hookpoint == "layers.2" ? &scores : nullptr; };
  EXPECT_THAT(show_text(run.data, "layers.2", LatentId{3}, {}),
              HasSubstr("input score not measured (of 8 contexts); output score 0.125\n"));
  EXPECT_EQ(show_json(run.data, "layers.2", LatentId{3}, {})["input_output"]["output"], 0.125);
}

TEST(ShowText, KeepsLinesOfWindowsWithinTheWidth) {
  const MadeUpRun run(40);
  ShowOptions options;
  options.width = 80;
  for (const std::uint32_t latent : {0U, 3U, 39U}) {
    std::istringstream lines(show_text(run.data, "layers.2", LatentId{latent}, options));
    std::string line;
    bool windows = false;
    while (std::getline(lines, line)) {
      windows = windows || line.starts_with("Examples");
      if (windows) {
        EXPECT_LE(columns(line), 80U) << line;
      }
    }
  }
}

TEST(ShowText, LetsNoControlCharacterOfTheRunThrough) {
  const MadeUpRun run(52);
  for (std::uint32_t latent = 44; latent < 52; ++latent) {
    for (const char c : show_text(run.data, "layers.2", LatentId{latent}, {}))
      ASSERT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= 0x20);
    EXPECT_THAT(show_text(run.data, "layers.2", LatentId{latent}, {}), Not(HasSubstr("\u202E")));
  }
}

TEST(ShowText, ColoursByActivationWhenAsked) {
  const MadeUpRun run(2);
  ShowOptions options;
  options.color = true;
  const std::string text = show_text(run.data, "layers.2", LatentId{1}, options);
  EXPECT_THAT(text, AllOf(HasSubstr("\x1B[4;30;48;5;209m of\x1B[0m"), Not(HasSubstr("<<of>>"))));
  std::size_t opened = 0;
  std::size_t closed = 0;
  for (std::size_t at = text.find("\x1B["); at != std::string::npos; at = text.find("\x1B[", at + 1))
    ++(text.compare(at, 4, "\x1B[0m") == 0 ? closed : opened);
  EXPECT_EQ(opened, closed) << "a colour is left on";
}

TEST(ShowText, OfAFailedExplanationSaysWhy) {
  const MadeUpRun run(17);
  EXPECT_THAT(show_text(run.data, "layers.2", LatentId{16}, {}), HasSubstr("failed: no rule is better than none"));
}

TEST(ShowText, OfAnUnknownLatentIsAnError) {
  MadeUpRun run(2);
  run.data.examples = nullptr;
  try {
    show_text(run.data, "layers.2", LatentId{99}, {});
    FAIL() << "accepted";
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), AllOf(HasSubstr("layers.2: nothing is known of latent 99"), HasSubstr("hint:")));
  }
}

TEST(ShowJson, HoldsTheSameAsText) {
  const MadeUpRun run(4);
  const nlohmann::json json = show_json(run.data, "layers.2", LatentId{1}, {});
  EXPECT_EQ(json.at("hookpoint"), "layers.2");
  EXPECT_EQ(json.at("latent"), 1);
  EXPECT_EQ(json.at("explanations").size(), 2U);
  EXPECT_EQ(json.at("scores").size(), 4U);
  const nlohmann::json& s = json.at("scores").at(0);
  EXPECT_EQ(s.at("scorer"), "detection");
  EXPECT_TRUE(s.at("balanced_accuracy").at("value").is_number());
  EXPECT_EQ(s.at("per_decile").size(), 10U);
  ASSERT_EQ(json.at("examples").size(), 12U);
  const nlohmann::json& w = json.at("examples").at(0);
  EXPECT_EQ(w.at("tokens").size(), w.at("activations").size());
  EXPECT_EQ(w.at("tokens").size(), w.at("marked").size());
  EXPECT_EQ(w.at("quantile"), 10);
}

}  // namespace
}  // namespace gloss::report
