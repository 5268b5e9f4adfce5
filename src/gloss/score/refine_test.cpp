#include "gloss/score/refine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "gloss/explain/text_fixture.h"
#include "gloss/score/scripted_model.h"

namespace gloss::score {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// Texts of replies by a function; "" = no answer.
using Texts = std::function<std::string(const llm::Request&)>;

ScriptedModel::Script replies(const Texts& texts) {
  return [texts](const llm::Request& request, std::size_t) {
    llm::Reply reply;
    reply.text = texts(request);
    if (reply.text.empty()) reply.failure = "HTTP 500";
    return reply;
  };
}

/// Says yes to a window that holds the explanation's text, and in fuzz only when that text is what is marked.
class WordJudge : public Judge {
 public:
  explicit WordJudge(const std::vector<std::string>& texts) : texts_(texts) {}

  void submit(Scorer scorer, const explain::Explanation& explanation, std::vector<Question> questions,
              Done done) override {
    judged.push_back(explanation.text);
    std::vector<Judgement> judgements;
    for (const Question& q : questions) {
      starts.push_back(q.window.start);
      const std::string text = explain::window_text(texts_[q.window.start / explain::kFixtureWindow]);
      const std::size_t at = text.find(explanation.text);
      const bool yes = at != std::string::npos && (scorer == Scorer::detection || q.marked[at]);
      Judgement j;
      j.start = q.window.start;
      j.truth = q.truth;
      j.quantile = q.window.quantile;
      j.verdict = yes ? Verdict::yes : Verdict::no;
      judgements.push_back(j);
    }
    done(std::move(judgements));
  }
  void run() override {}
  std::string name() const override { return "word"; }

  std::vector<std::string> judged;
  std::vector<std::uint32_t> starts;

 private:
  std::vector<std::string> texts_;
};

// Fires on "est". Texts 0, 1: explain; 2, 3, 8, 9: refine; 4, 5: silent in refine; 6, 7: test, which nobody may see.
const std::vector<std::string> kTexts = {
    "the youngest of four",   "the coldest winter",  "their nearest neighbour",   "pick the largest number",
    "the forest is not near", "nothing at all here", "SECRET finest test window", "SECRET nothing in the test",
    "the smallest boat",      "her loudest song"};

struct Refining {
  explicit Refining(const Texts& script, RefineOptions options = {}, bool refine_windows = true)
      : model(replies(script)), judge(kTexts) {
    const text::Tokenizer tokenizer = explain::byte_tokenizer();
    const text::TokenFile tokens = explain::byte_tokens(kTexts, ::testing::TempDir());
    const explain::PromptExplainer explainer(model, tokenizer, tokens);
    auto found = std::make_shared<examples::LatentExamples>();
    found->latent = LatentId{7};
    found->max_activation = 1.0F;
    found->explain = {window(0), window(1)};
    if (refine_windows) found->refine = {window(2), window(3), window(8), window(9)};
    found->refine_silent = {explain::byte_window(kTexts, 4, ""), explain::byte_window(kTexts, 5, "")};
    found->test = {window(6)};
    found->test_silent = {explain::byte_window(kTexts, 7, "")};
    options.questions.quantiles = 1;
    Refiner refiner(model, explainer, judge, tokenizer, tokens, options);
    refiner.submit("layers.0", {found}, [&](Refined r) {
      ++calls;
      refined = std::move(r);
    });
    model.run();
    EXPECT_EQ(calls, 1);
    for (const llm::Request& request : model.requests()) {
      for (const llm::Message& message : request.messages) EXPECT_THAT(message.content, Not(HasSubstr("SECRET")));
    }
    for (const std::uint32_t start : judge.starts) {
      const std::uint32_t text = start / explain::kFixtureWindow;
      EXPECT_TRUE((text >= 2 && text < 6) || text >= 8) << text;
    }
  }
  static examples::Window window(std::size_t text) { return explain::byte_window(kTexts, text, "est"); }
  std::string last(std::size_t request) const { return model.requests().at(request).messages.back().content; }

  ScriptedModel model;
  WordJudge judge;
  Refined refined;
  int calls = 0;
};

std::string explained(const std::string& text) { return "Hm.\n[EXPLANATION]: " + text; }

TEST(Refine, KeepsTheBestProposalAndAsksNoMoreWhenNothingIsWrong) {
  Refining run([](const llm::Request& r) { return explained(r.seed == 2 ? "est ne" : r.seed == 3 ? "est" : "zzz"); });
  ASSERT_TRUE(run.refined.explanation.ok()) << run.refined.explanation.failure;
  EXPECT_EQ(run.refined.explanation.text, "est");
  EXPECT_EQ(run.model.requests()[0].temperature, 0.0);
  EXPECT_EQ(run.model.requests()[1].temperature, 0.8);
  EXPECT_NE(run.model.requests()[1].seed, run.model.requests()[2].seed);
  // "est" is said of "forest" too, in detection: 4 of 4 found, 1 of 2 silent ones wrong; its marks are all told apart.
  EXPECT_DOUBLE_EQ(run.refined.best, (0.75 + 1.0) / 2);
  EXPECT_DOUBLE_EQ(run.refined.first, (0.5 + 0.5) / 2) << "the first proposal says no to all";
  EXPECT_EQ(run.refined.proposals, 3U);
}

TEST(Refine, ShowsMistakesAndTakesABetterDescription) {
  Refining run([](const llm::Request& r) {
    if (r.messages.back().content.find("A reader who had nothing") == std::string::npos) return explained("est ne");
    return r.messages[r.messages.size() - 2].content == "[EXPLANATION]: est ne" ? explained("est") : explained("zzz");
  });
  ASSERT_TRUE(run.refined.explanation.ok());
  EXPECT_EQ(run.refined.explanation.text, "est");
  ASSERT_EQ(run.model.requests().size(), 5U) << "three proposals that say the same, and two rounds";
  EXPECT_EQ(run.refined.proposals, 3U);
  EXPECT_LT(run.refined.first, run.refined.best);
  EXPECT_THAT(run.last(3), HasSubstr("\"pick the larg<<est>> number"));
  EXPECT_THAT(run.last(3), HasSubstr("expected it to fire:\n(none)"));
  EXPECT_THAT(run.last(4), HasSubstr("on the marked tokens, but the description did not tell the reader so:\n(none)"));
  EXPECT_THAT(run.last(4), HasSubstr("1. \"the forest is not near"));
  // The prefix of the second round is the first prompt, so that servers that keep prefixes compute it once.
  for (std::size_t i = 0; i < run.model.requests()[0].messages.size(); ++i)
    EXPECT_EQ(run.model.requests()[3].messages[i].content, run.model.requests()[0].messages[i].content);
}

TEST(Refine, StopsWhenARoundBringsNothingBetterAndWhenRoundsAreUsedUp) {
  const auto worse = [](const llm::Request& r) {
    return r.messages.back().content.find("A reader") == std::string::npos ? explained("est ne") : explained("zzz");
  };
  EXPECT_EQ(Refining(worse).model.requests().size(), 4U);
  EXPECT_EQ(Refining(worse).refined.explanation.text, "est ne");
  RefineOptions none;
  none.rounds = 0;
  EXPECT_EQ(Refining(worse, none).model.requests().size(), 3U);
}

TEST(Refine, FailuresHaveAReason) {
  const Refining bare([](const llm::Request&) { return explained("est"); }, {}, false);
  EXPECT_THAT(bare.refined.explanation.failure, HasSubstr("nothing to refine on: 0 activating and 2 silent windows"));
  EXPECT_TRUE(bare.model.requests().empty());
  EXPECT_TRUE(std::isnan(bare.refined.best));

  const Refining dead([](const llm::Request&) { return std::string(); });
  EXPECT_EQ(dead.refined.explanation.failure, "HTTP 500");
  EXPECT_EQ(dead.refined.explanation.latent, LatentId{7});

  // A round that fails leaves what there was.
  const Refining cut([](const llm::Request& r) {
    return r.messages.back().content.find("A reader") == std::string::npos ? explained("est ne") : std::string();
  });
  EXPECT_EQ(cut.refined.explanation.text, "est ne");
}

}  // namespace
}  // namespace gloss::score
