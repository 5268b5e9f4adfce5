#include "gloss/score/llm_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>

#include "gloss/explain/text_fixture.h"
#include "gloss/score/choice_questions.h"

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

/// Replies as a rule says, to one request after another.
class RuleModel : public llm::LanguageModel {
 public:
  using Rule = std::function<llm::Reply(const llm::Request&)>;
  explicit RuleModel(Rule rule) : rule_(std::move(rule)) {}
  const std::string& model() const override { return name_; }
  void submit(const llm::Request& request, Callback done) override { queue_.emplace_back(request, std::move(done)); }
  void run() override {
    while (!queue_.empty()) {
      const auto [request, done] = std::move(queue_.front());
      queue_.pop_front();
      prompts.push_back(request.messages.back().content);
      prefixes.push_back(request.messages.front().content);
      done(rule_(request));
    }
  }
  llm::Totals totals() const override { return {}; }

  std::vector<std::string> prompts, prefixes;

 private:
  Rule rule_;
  std::string name_ = "rule";
  std::deque<std::pair<llm::Request, Callback>> queue_;
};

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

std::vector<Judgement> judge(RuleModel& model, Scorer scorer, std::vector<Question> questions, bool by_probability) {
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

llm::Reply text_reply(const std::string& text) {
  llm::Reply reply;
  reply.text = text;
  return reply;
}

TEST(LlmChoice, FindsTheIntruderAtItsPlace) {
  RuleModel model([](const llm::Request&) { return text_reply("The odd one is [2]"); });
  const auto judged = judge(model, Scorer::intruder, {cats_and_a_stone(1), cats_and_a_stone(4)}, false);
  ASSERT_EQ(judged.size(), 2U);
  EXPECT_EQ(judged[0].verdict, Verdict::yes);
  EXPECT_EQ(judged[1].verdict, Verdict::no);
  EXPECT_THAT(model.prompts[0], HasSubstr("2. \"a grey <<sto>>ne"));
  EXPECT_THAT(model.prompts[1], HasSubstr("5. \"a grey <<sto>>ne"));
  EXPECT_THAT(model.prompts[1], HasSubstr("1. \"the <<cat>> sat"));
  EXPECT_THAT(model.prompts[0], Not(HasSubstr("the word cat"))) << "the intruder needs no explanation";
  EXPECT_EQ(model.prefixes[0], model.prefixes[1]);
}

TEST(LlmChoice, AsksOnceMoreAndThenFails) {
  int calls = 0;
  RuleModel model([&](const llm::Request&) { return text_reply(++calls == 2 ? "[2]" : "none of them"); });
  const auto judged = judge(model, Scorer::intruder, {cats_and_a_stone(1)}, false);
  EXPECT_EQ(judged.at(0).verdict, Verdict::yes);
  RuleModel never([](const llm::Request&) { return text_reply("none of them"); });
  EXPECT_EQ(judge(never, Scorer::intruder, {cats_and_a_stone(1)}, false).at(0).verdict, Verdict::failed);
  EXPECT_EQ(never.prompts.size(), 2U);
}

TEST(LlmChoice, ByProbabilityTakesTheMostProbableNumber) {
  RuleModel model([](const llm::Request& request) {
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
  RuleModel model([](const llm::Request&) { return text_reply("[3]"); });
  const auto judged = judge(model, Scorer::forced_choice, {q}, false);
  EXPECT_EQ(judged.at(0).verdict, Verdict::yes);
  EXPECT_THAT(model.prompts.at(0), HasSubstr("2. \"second\"\n3. \"the word cat\"\n4. \"third\""));
}

}  // namespace
}  // namespace gloss::score
