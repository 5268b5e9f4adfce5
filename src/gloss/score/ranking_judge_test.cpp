#include "gloss/score/ranking_judge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "gloss/explain/text_fixture.h"
#include "gloss/score/scripted_model.h"

namespace gloss::score {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
const std::vector<std::string> kTexts{"a cat", "a dog", "cats", "a stone"};

std::vector<Question> questions_about(const std::vector<std::string>& texts, std::string_view strong) {
  std::vector<Question> questions;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const bool there = texts[i].find(strong) != std::string::npos;
    questions.push_back({explain::byte_window(texts, i, there ? strong : ""), {}, there});
  }
  return questions;
}

std::vector<Verdict> verdicts(const std::vector<Judgement>& judgements) {
  std::vector<Verdict> found;
  for (const Judgement& j : judgements) found.push_back(j.verdict);
  return found;
}

TEST(RankQuestions, RanksLikeTheNumbersAndSaysYesAboveTheMedian) {
  const std::vector<Question> questions = questions_about(kTexts, "cat");
  const auto judged = rank_questions(questions, {0.4, -0.2, 0.1, 0.2});
  EXPECT_THAT(verdicts(judged), ElementsAre(Verdict::yes, Verdict::no, Verdict::no, Verdict::yes));
  EXPECT_FLOAT_EQ(judged[0].probability, 0.7F);
  EXPECT_FLOAT_EQ(judged[1].probability, 0.4F);
  // Of the pairs (0.4, -0.2), (0.4, 0.2), (0.1, -0.2), (0.1, 0.2) three are in order.
  EXPECT_DOUBLE_EQ(auc(judged), 0.75);
  EXPECT_THAT(verdicts(rank_questions(questions, {0.4, kNone, 0.1, 0.2})),
              ElementsAre(Verdict::yes, Verdict::failed, Verdict::no, Verdict::no));
}

/// Knows cats from everything else.
std::vector<float> embed_cats(const std::string& text, bool) {
  return text.find("cat") != std::string::npos ? std::vector<float>{1.0F, 0.0F} : std::vector<float>{0.0F, 1.0F};
}

double auc_of(EmbeddingJudge& judge, const std::string& text) {
  double area = 0.0;
  explain::Explanation explanation;
  explanation.text = text;
  judge.submit(Scorer::embedding, explanation, questions_about(kTexts, "cat"),
               [&](const std::vector<Judgement>& judged) { area = auc(judged); });
  return area;
}

TEST(EmbeddingJudge, APerfectExplanationScoresOneAndTheOppositeNothing) {
  EmbeddingJudge judge(embed_cats, "toy", explain::byte_tokenizer(), explain::byte_tokens(kTexts, testing::TempDir()));
  EXPECT_EQ(judge.name(), "embedding:toy");
  EXPECT_DOUBLE_EQ(auc_of(judge, "the word cat"), 1.0);
  EXPECT_DOUBLE_EQ(auc_of(judge, "stones"), 0.0);
}

TEST(EmbeddingJudge, WindowsThatAreAllAlikeScoreHalf) {
  EmbeddingJudge judge([](const std::string&, bool) { return std::vector<float>{1.0F}; }, "toy",
                       explain::byte_tokenizer(), explain::byte_tokens(kTexts, testing::TempDir()));
  EXPECT_DOUBLE_EQ(auc_of(judge, "anything"), 0.5);
}

/// How probable a text is, by a rule.
using Rule = std::function<std::vector<double>(const llm::Request&)>;

std::vector<Judgement> surprisals(const Rule& rule) {
  ScriptedModel model([&](const llm::Request& request, std::size_t) {
    EXPECT_TRUE(request.per_token);
    llm::Reply reply;
    reply.text = request.choices.at(0);
    reply.hash = request.messages.back().content.find(SurprisalJudge::kControl) == std::string::npos ? "with" : "";
    reply.probabilities = rule(request);
    return reply;
  });
  SurprisalJudge judge(model, explain::byte_tokenizer(), explain::byte_tokens(kTexts, testing::TempDir()));
  explain::Explanation explanation;
  explanation.text = "feline";
  std::vector<Judgement> got;
  judge.submit(Scorer::surprisal, explanation, questions_about(kTexts, "cat"),
               [&](std::vector<Judgement> judged) { got = std::move(judged); });
  judge.run();
  return got;
}

TEST(SurprisalJudge, IsTheLossWithoutLessTheLossWithTheExplanation) {
  const std::vector<Judgement> judged = surprisals([](const llm::Request& request) -> std::vector<double> {
    const bool with = request.messages.back().content.find("feline") != std::string::npos;
    const bool cat = request.choices[0].find("cat") != std::string::npos;
    return {with && cat ? 0.5 : 0.25};
  });
  // ln 2 nats less for cats, squeezed by tanh: (4 - 1) / (4 + 1) = 0.6; nothing for others.
  EXPECT_FLOAT_EQ(judged.at(0).probability, 0.8F);
  EXPECT_FLOAT_EQ(judged.at(1).probability, 0.5F);
  EXPECT_EQ(judged.at(0).call_hash, "with");
  EXPECT_DOUBLE_EQ(auc(judged), 1.0);
}

TEST(SurprisalJudge, FailsWhereTheModelCannotSay) {
  for (const Judgement& j : surprisals([](const llm::Request&) { return std::vector<double>{}; }))
    EXPECT_EQ(j.verdict, Verdict::failed);
}

}  // namespace
}  // namespace gloss::score
