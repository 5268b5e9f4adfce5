#include "gloss/score/llm_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gloss/explain/text_fixture.h"
#include "gloss/score/choice_questions.h"
#include "gloss/score/scripted_model.h"

namespace gloss::score {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

TEST(ParseChoice, TakesTheLastNumberInBracketsThatIsAnAnswer) {
  EXPECT_EQ(parse_choice("[3]", 5), 3U);
  EXPECT_EQ(parse_choice("first [1], no: [2]. It has [7] parts", 5), 2U);
  EXPECT_EQ(parse_choice("3", 5), std::nullopt);
  EXPECT_EQ(parse_choice("[0] [6] [x] [", 5), std::nullopt);
  EXPECT_EQ(parse_choice("", 5), std::nullopt);
}

const std::vector<std::string> kTexts{"the cat sat", "a cat ran", "my cat", "one cat", "a grey stone"};

/// The stone is the intruder among the cats.
Question cats_and_a_stone(std::size_t place) {
  const auto shown = [](std::size_t i) {
    Shown s{explain::byte_window(kTexts, i, i < 4 ? "cat" : ""), {}};
    s.marked.assign(explain::kFixtureWindow, false);
    const std::size_t at = kTexts[i].find(i < 4 ? "cat" : "stone");
    for (std::size_t k = at; k < at + 3; ++k) s.marked[k] = true;
    return s;
  };
  const Shown first = shown(0);
  Question q{first.window, first.marked, true};
  for (std::size_t i = 1; i < 5; ++i) q.beside.push_back(shown(i));
  q.place = place;
  return q;
}

std::vector<Judgement> judge(ScriptedModel& model, Scorer scorer, std::vector<Question> questions,
                             bool by_probability) {
  LlmChoice choice(model, explain::byte_tokenizer(), explain::byte_tokens(kTexts, testing::TempDir()), "",
                   by_probability);
  explain::Explanation explanation;
  explanation.latent = LatentId{1};
  explanation.text = "the word cat";
  std::vector<Judgement> got;
  choice.submit(scorer, explanation, std::move(questions), [&](std::vector<Judgement> j) { got = std::move(j); });
  model.run();
  return got;
}

const std::string& prompt(const ScriptedModel& model, std::size_t request) {
  return model.requests().at(request).messages.back().content;
}

llm::Reply text_reply(const std::string& text) {
  llm::Reply reply;
  reply.text = text;
  return reply;
}

TEST(LlmChoice, FindsTheIntruderAtItsPlace) {
  ScriptedModel model([](const llm::Request&, std::size_t) { return text_reply("The odd one is [2]"); });
  const auto judged = judge(model, Scorer::intruder, {cats_and_a_stone(1), cats_and_a_stone(4)}, false);
  ASSERT_EQ(judged.size(), 2U);
  EXPECT_EQ(judged[0].verdict, Verdict::yes);
  EXPECT_EQ(judged[1].verdict, Verdict::no);
  EXPECT_THAT(prompt(model, 0), HasSubstr("2. \"a grey <<sto>>ne"));
  EXPECT_THAT(prompt(model, 1), HasSubstr("5. \"a grey <<sto>>ne"));
  EXPECT_THAT(prompt(model, 1), HasSubstr("1. \"the <<cat>> sat"));
  EXPECT_THAT(prompt(model, 0), Not(HasSubstr("the word cat"))) << "the intruder needs no explanation";
  EXPECT_EQ(model.requests()[0].messages.front().content, model.requests()[1].messages.front().content);
}

TEST(LlmChoice, AsksOnceMoreAndThenFails) {
  int calls = 0;
  ScriptedModel model(
      [&](const llm::Request&, std::size_t) { return text_reply(++calls == 2 ? "[2]" : "none of them"); });
  const auto judged = judge(model, Scorer::intruder, {cats_and_a_stone(1)}, false);
  EXPECT_EQ(judged.at(0).verdict, Verdict::yes);
  ScriptedModel never([](const llm::Request&, std::size_t) { return text_reply("none of them"); });
  EXPECT_EQ(judge(never, Scorer::intruder, {cats_and_a_stone(1)}, false).at(0).verdict, Verdict::failed);
  EXPECT_EQ(never.requests().size(), 2U);
}

TEST(LlmChoice, ByProbabilityTakesTheMostProbableNumber) {
  ScriptedModel model([](const llm::Request& request, std::size_t) {
    llm::Reply reply = text_reply(request.choices.at(1));
    reply.probabilities = {0.1, 0.6, 0.1, 0.1, 0.1};
    return reply;
  });
  const auto judged = judge(model, Scorer::intruder, {cats_and_a_stone(1), cats_and_a_stone(0)}, true);
  EXPECT_EQ(judged.at(0).verdict, Verdict::yes);
  EXPECT_FLOAT_EQ(judged.at(0).probability, 0.6F);
  EXPECT_EQ(judged.at(1).verdict, Verdict::no);
  EXPECT_FLOAT_EQ(judged.at(1).probability, 0.1F);
}

TEST(LlmChoice, ShowsTheJudgedExplanationAtItsPlaceAmongRivals) {
  Question q = cats_and_a_stone(2);
  for (const char* text : {"first", "second", "third"}) q.rivals.push_back({LatentId{9}, text, "", "", ""});
  ScriptedModel model([](const llm::Request&, std::size_t) { return text_reply("[3]"); });
  const auto judged = judge(model, Scorer::forced_choice, {q}, false);
  EXPECT_EQ(judged.at(0).verdict, Verdict::yes);
  EXPECT_THAT(prompt(model, 0), HasSubstr("2. \"second\"\n3. \"the word cat\"\n4. \"third\""));
}

}  // namespace
}  // namespace gloss::score
