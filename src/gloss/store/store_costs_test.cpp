#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gloss/store/store_test_util.h"

namespace gloss::store {
namespace {

llm::Reply paid(char letter, std::int64_t latent, const std::string& provider, double dollars) {
  llm::Reply reply;
  reply.hash = std::string(32, letter);
  reply.text = "yes";
  reply.prompt_tokens = 100;
  reply.cached_tokens = 60;
  reply.completion_tokens = 10;
  reply.latent = latent;
  reply.provider = provider;
  reply.dollars = dollars;
  return reply;
}

TEST(StoredCosts, AreSummedByStageAndProviderAndByLatent) {
  const TestFolder folder;
  {
    Store store(folder.file());
    EXPECT_TRUE(store.costs().empty());
    store.set_stage("explain", "layer.0");
    store.put(paid('a', 3, "here", 0.5));
    store.put(paid('b', 4, "here", 0.25));
    store.set_stage("score", "layer.0");
    store.put(paid('c', 3, "there", 1.0));
    store.put(paid('d', -1, "here", 0.0));
  }
  Store store(folder.file());
  const std::vector<CostRow> rows = store.costs();
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0].stage, "explain");
  EXPECT_EQ(rows[0].provider, "here");
  EXPECT_EQ(rows[0].replies, 2U);
  EXPECT_EQ(rows[0].prompt_tokens, 200U);
  EXPECT_EQ(rows[0].cached_tokens, 120U);
  EXPECT_EQ(rows[0].completion_tokens, 20U);
  EXPECT_DOUBLE_EQ(rows[0].dollars, 0.75);
  EXPECT_EQ(rows[1].stage, "score");
  EXPECT_EQ(rows[1].provider, "here");
  EXPECT_EQ(rows[2].provider, "there");
  const CostRow latent = store.cost_of("layer.0", LatentId{3});
  EXPECT_EQ(latent.replies, 2U);
  EXPECT_DOUBLE_EQ(latent.dollars, 1.5);
  EXPECT_EQ(store.cost_of("layer.9", LatentId{3}).replies, 0U);
}

TEST(StoredCosts, CallsOfALatentAreThoseItWasChargedForAndThoseItsRowsNameOnceEach) {
  const TestFolder folder;
  Store store(folder.file());
  EXPECT_TRUE(store.calls_of("layer.0", LatentId{3}, 10).empty());
  store.set_stage("explain", "layer.0");
  store.put(paid('a', 3, "here", 0.5));
  store.put(paid('a', 3, "here", 0.25));  // asked again
  store.put(paid('b', 4, "here", 1.0));
  llm::Reply kept = paid('c', -1, "", 0.0);  // of a run without accounts
  kept.text = std::string(1000, 'c');        // is packed
  store.put(kept);
  llm::Reply refused = paid('d', 3, "there", 2.0);
  refused.failure = "the model refused";
  store.put(refused);
  store.put_explanation({"layer.0", "default", {LatentId{3}, "a text", "", "", std::string(32, 'a')}});
  score::Judgement judgement;
  judgement.start = 64;
  judgement.call_hash = std::string(32, 'c');
  store.put_score({"layer.0", "default", "detection", "judge", score::summarize(LatentId{3}, {&judgement, 1}, 10)},
                  {judgement});
  const std::vector<CallRow> calls = store.calls_of("layer.0", LatentId{3}, 10);
  ASSERT_EQ(calls.size(), 3U);
  EXPECT_EQ(calls[0].hash, std::string(32, 'a'));
  EXPECT_EQ(calls[0].stage, "explain");
  EXPECT_EQ(calls[0].provider, "here");
  EXPECT_EQ(calls[0].text, "yes");
  EXPECT_EQ(calls[0].prompt_tokens, 200U);
  EXPECT_DOUBLE_EQ(calls[0].dollars, 0.75);
  EXPECT_EQ(calls[1].text, std::string(1000, 'c'));
  EXPECT_EQ(calls[1].provider, "");
  EXPECT_EQ(calls[1].completion_tokens, 10U);
  EXPECT_EQ(calls[2].failure, "the model refused");
  EXPECT_EQ(store.calls_of("layer.0", LatentId{3}, 2).size(), 2U);
  EXPECT_TRUE(store.calls_of("layer.9", LatentId{3}, 10).empty());
  const std::vector<ScoreRow> scores = store.scores_of("layer.0", LatentId{3});
  ASSERT_EQ(scores.size(), 1U);
  EXPECT_EQ(scores[0].scorer, "detection");
  EXPECT_EQ(store.explanations_of("layer.0", LatentId{3}).at(0).explanation.text, "a text");
  EXPECT_TRUE(store.explanations_of("layer.0", LatentId{4}).empty());
}

llm::Request asking(const std::string& about) {
  llm::Request request;
  request.messages = {{"system", std::string(2000, 's')}, {"user", about}};
  return request;
}

TEST(Prompts, ComeBackWithTheirCallsEachMessageKeptOnce) {
  const TestFolder folder;
  Store store(folder.file());
  store.set_stage("score", "layer.0");
  store.put_prompt(std::string(32, 'e'), asking("before"));  // nothing is kept at first
  store.keep_prompts(true);
  for (const char c : {'a', 'b'}) {
    store.put_prompt(std::string(32, c), asking(std::string("about ") + c));
    store.put(paid(c, 3, "here", 0.5));
  }
  store.put_prompt(std::string(32, 'a'), asking("another"));  // it has one
  llm::Request read = asking("what follows");
  read.choices = {" and so on"};
  read.per_token = true;
  store.put_prompt(std::string(32, 'c'), read);
  store.put(paid('c', 3, "here", 0.5));
  store.put(paid('e', 3, "here", 0.5));
  const std::vector<CallRow> calls = store.calls_of("layer.0", LatentId{3}, 10);
  ASSERT_EQ(calls.size(), 4U);
  const auto texts = [&](std::size_t call) {
    std::vector<std::string> all;
    for (const std::int64_t id : calls[call].messages) {
      const llm::Message m = store.message(id);
      all.push_back(m.role + ": " + m.content);
    }
    return all;
  };
  const std::string system = "system: " + std::string(2000, 's');
  EXPECT_THAT(texts(0), testing::ElementsAre(system, "user: about a"));
  EXPECT_THAT(texts(1), testing::ElementsAre(system, "user: about b"));
  EXPECT_THAT(texts(2), testing::ElementsAre(system, "user: what follows", "text to read:  and so on"));
  EXPECT_THAT(texts(3), testing::ElementsAre());
  EXPECT_EQ(calls[0].messages[0], calls[2].messages[0]);
  EXPECT_NE(calls[0].messages[1], calls[1].messages[1]);
}

TEST(Prompts, AreRolledBackWithTheirTransaction) {
  const TestFolder folder;
  Store store(folder.file());
  store.keep_prompts(true);
  store.set_stage("score", "layer.0");
  {
    const Store::Transaction transaction(store);
    store.put_prompt(std::string(32, 'a'), asking("lost"));
  }
  store.put_prompt(std::string(32, 'a'), asking("kept"));
  store.put(paid('a', 3, "here", 0.5));
  const std::vector<CallRow> calls = store.calls_of("layer.0", LatentId{3}, 10);
  ASSERT_EQ(calls.at(0).messages.size(), 2U);
  EXPECT_EQ(store.message(calls[0].messages[1]).content, "kept");
  store.verify();
}

TEST(Prompts, AMessageThatIsNotThereIsAnError) {
  const TestFolder folder;
  Store store(folder.file());
  EXPECT_THAT(message_of([&] { store.message(7); }), testing::HasSubstr("has message 7"));
}

TEST(StoredCosts, AFailureIsCountedAndNeverFoundNorTakesTheAnswersPlace) {
  const TestFolder folder;
  Store store(folder.file());
  llm::Reply refused = paid('a', 3, "here", 0.5);
  refused.failure = "the model refused";
  store.put(refused);
  EXPECT_FALSE(store.find(refused.hash));
  store.put(paid('a', 3, "here", 0.5));
  EXPECT_TRUE(store.find(refused.hash));
  store.put(refused);
  EXPECT_EQ(store.find(refused.hash)->text, "yes");
  EXPECT_EQ(store.costs().at(0).replies, 3U);
  EXPECT_DOUBLE_EQ(store.costs().at(0).dollars, 1.5);
}

TEST(StoredCosts, RepliesOfNobodyCostNothing) {
  const TestFolder folder;
  Store store(folder.file());
  store.put(paid('a', 3, "", 0.0));
  EXPECT_TRUE(store.costs().empty());
  EXPECT_TRUE(store.find(std::string(32, 'a')));
}

}  // namespace
}  // namespace gloss::store
