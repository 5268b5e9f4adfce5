#include "gloss/score/generation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "gloss/score/scripted_model.h"

namespace gloss::score {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Optional;

TEST(ParseTexts, TakesTheLastArrayOfTexts) {
  EXPECT_THAT(parse_texts(R"(["a [1]", "b\"]"])"), Optional(ElementsAre("a [1]", "b\"]")));
  EXPECT_THAT(parse_texts(R"(First ["x"]. Better: {"answers": ["y", "z"]} [1, 2])"), Optional(ElementsAre("y", "z")));
  EXPECT_THAT(parse_texts(R"([not json] ["a"])"), Optional(ElementsAre("a")));
  for (const char* none : {"", "[]", "[1]", R"(["cut)", R"(["a", 1])", "no array"})
    EXPECT_EQ(parse_texts(none), std::nullopt) << none;
  EXPECT_EQ(parse_texts(std::string(100'000, '[')), std::nullopt);
}

constexpr std::uint32_t kTexts = 4;

/// Latent 7 fires in texts with a cat, as strongly as they are long; latent 8 in those with a dog; latent 9 nowhere.
std::vector<std::vector<float>> fire(const std::vector<std::string>& texts, std::span<const Watched> latents) {
  std::vector<std::vector<float>> found;
  for (const std::string& text : texts) {
    std::vector<float>& row = found.emplace_back();
    for (const Watched& w : latents) {
      const char* word = w.latent == LatentId{7} ? "cat" : w.latent == LatentId{8} ? "dog" : "\n";
      row.push_back(text.find(word) == std::string::npos ? 0.0F : static_cast<float>(text.size()));
    }
  }
  return found;
}

std::vector<Watched> watch(LatentId latent) { return {{latent, 10.0F}, {LatentId{8}, 10.0F}, {LatentId{9}, 10.0F}}; }

struct Outcome {
  std::vector<Judgement> judgements;
  LatentScore score;
  std::vector<llm::Request> requests;
};

Outcome judge(const std::vector<std::string>& replies) {
  ScriptedModel model([&](const llm::Request&, std::size_t n) {
    llm::Reply reply;
    reply.text = replies.at(std::min(n, replies.size() - 1));
    if (reply.text == "refused") {
      reply.failure = "refused";
      reply.refused = true;
    }
    if (reply.text == "down") reply.failure = "the server is down";
    return reply;
  });
  GenerationOptions options;
  options.texts = kTexts;
  GenerationJudge writer(model, fire, watch, options);
  explain::Explanation explanation;
  explanation.latent = LatentId{7};
  explanation.text = "cats \"and\" kittens";
  Outcome outcome;
  writer.submit(Scorer::generation, explanation, {},
                [&](std::vector<Judgement> j) { outcome.judgements = std::move(j); });
  writer.run();
  outcome.score = summarize(LatentId{7}, outcome.judgements, 10);
  add_strengths(outcome.score, outcome.judgements, 0.4);
  outcome.requests = model.requests();
  return outcome;
}

TEST(Generation, CountsTheTextsThatFireBesideThoseOfOtherLatents) {
  const Outcome o = judge({R"(["cats", "a cat sat", "dogs and a cat in the rain", "dog"])"});
  EXPECT_EQ(o.requests.size(), 1U);
  EXPECT_THAT(o.requests[0].messages.back().content, HasSubstr(R"("cats \"and\" kittens")"));
  EXPECT_THAT(o.requests[0].messages.back().content, HasSubstr("Write 4 texts."));
  EXPECT_EQ(o.score.tp, 3U);
  EXPECT_EQ(o.score.fn, 1U);
  EXPECT_EQ(o.score.fp, 2U) << "the dogs of latent 8";
  EXPECT_EQ(o.score.tn, 6U);
  EXPECT_EQ(o.score.failed, 0U);
  const Headline shown = headline("generation", o.score);
  EXPECT_EQ(shown.value.value, 0.75);
  EXPECT_EQ(shown.value.low, wilson(3, 4).low);
  EXPECT_EQ(shown.chance, 0.25);
  ASSERT_EQ(o.score.measures.size(), 2U);
  EXPECT_EQ(o.score.measures[0].name, "strength");
  EXPECT_NEAR(o.score.measures[0].value.value, (0.4 + 0.9 + 1.0 + 0.0) / 4, 1e-7)
      << "26 letters are cut to the maximum";
  EXPECT_EQ(o.score.measures[1].value.value, 0.75);
}

TEST(Generation, DuplicatesCountOnceAndMissingOrBlankTextsAreFailed) {
  const Outcome twice = judge({R"(["cat", "cat", "a cat", "dog"])"});
  EXPECT_EQ(twice.score.tp + twice.score.fn, 3U);
  EXPECT_EQ(twice.score.failed, 0U);
  const Outcome fewer = judge({R"(["cat", " \n"])"});
  EXPECT_EQ(fewer.score.tp, 1U);
  EXPECT_EQ(fewer.score.failed, 3U);
  const Outcome more = judge({R"(["cat", "cat 2", "cat 3", "cat 4", "dog", "dog"])"});
  EXPECT_EQ(more.score.tp, 4U);
  EXPECT_EQ(more.score.fn, 0U);
}

TEST(Generation, AsksOnceMoreWhatCouldNotBeRead) {
  const Outcome again = judge({"I would write about cats.", R"(["cat", "a cat", "b cat", "c cat"])"});
  EXPECT_EQ(again.requests.size(), 2U);
  EXPECT_EQ(again.score.tp, 4U);
  EXPECT_EQ(judge({"refused", R"(["cat", "a cat", "b cat", "c cat"])"}).score.tp, 4U);
  const Outcome never = judge({"no"});
  EXPECT_EQ(never.requests.size(), 2U);
  EXPECT_EQ(never.score.failed, kTexts);
  EXPECT_TRUE(std::isnan(headline("generation", never.score).value.value));
  EXPECT_TRUE(never.score.measures.empty());
  EXPECT_EQ(judge({"down"}).requests.size(), 1U) << "the client has tried again by itself";
}

TEST(Generation, EveryJudgementHasAPlaceOfItsOwn) {
  const Outcome o = judge({R"(["cat", "cat", "dog"])"});
  std::set<std::uint32_t> starts;
  for (const Judgement& j : o.judgements) {
    EXPECT_EQ(j.kind, examples::WindowKind::written);
    EXPECT_TRUE(starts.insert(j.start).second);
  }
}

}  // namespace
}  // namespace gloss::score
