#include "gloss/store/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <limits>
#include <stdexcept>

#include "gloss/base/error.h"
#include "gloss/base/random.h"
#include "gloss/store/store_test_util.h"

namespace gloss::store {
namespace {

using score::Judgement;
using score::Verdict;
using testing::ElementsAre;

LatentRow latent_row(std::string hookpoint, std::uint32_t latent) {
  return {std::move(hookpoint), LatentId{latent}, 5'000'000'000, 0.0125, 3.5F, 77, examples::Status::too_rare};
}

TEST(Store, GivesBackLatentsAsPut) {
  const TestFolder folder;
  Store store(folder.file());
  store.put_latent(latent_row("layers.2", 9));
  const std::optional<LatentRow> row = store.latent("layers.2", LatentId{9});
  ASSERT_TRUE(row);
  EXPECT_EQ(row->hookpoint, "layers.2");
  EXPECT_EQ(row->latent, LatentId{9});
  EXPECT_EQ(row->firing_count, 5'000'000'000U);
  EXPECT_DOUBLE_EQ(row->density, 0.0125);
  EXPECT_FLOAT_EQ(row->max_activation, 3.5F);
  EXPECT_EQ(row->window_count, 77U);
  EXPECT_EQ(row->status, examples::Status::too_rare);
  EXPECT_FALSE(store.latent("layers.2", LatentId{8}));
  EXPECT_FALSE(store.latent("layers.3", LatentId{9}));
}

TEST(Store, OrdersHookpointsAsPeopleCountAndDoesNotConfuseTheirNames) {
  const TestFolder folder;
  Store store(folder.file());
  for (const char* hookpoint : {"layers.10", "layers.1", "layers.2"}) {
    store.put_latent(latent_row(hookpoint, 5));
    store.put_latent(latent_row(hookpoint, 3));
  }
  std::vector<std::string> order;
  for (const LatentRow& row : store.latents(""))
    order.push_back(row.hookpoint + "/" + std::to_string(to_index(row.latent)));
  EXPECT_THAT(order, ElementsAre("layers.1/3", "layers.1/5", "layers.2/3", "layers.2/5", "layers.10/3", "layers.10/5"));
  EXPECT_EQ(store.latents("layers.1").size(), 2U);
  EXPECT_TRUE(store.latents("layers").empty());
}

TEST(Store, GivesBackExplanationsAsPut) {
  const TestFolder folder;
  Store store(folder.file());
  ExplanationRow row =
      explanation_row("layers.2", 4, "pattern", std::string("text with \0 zero and \xF0\x9F\x98\x80", 26));
  row.explanation.program = R"({"rules":[]})";
  row.explanation.call_hash = "00ff00ff00ff00ff00ff00ff00ff00ff";
  store.put_explanation(row);
  const std::optional<ExplanationRow> got = store.explanation("layers.2", LatentId{4}, "pattern");
  ASSERT_TRUE(got);
  EXPECT_EQ(got->explanation.text, row.explanation.text);
  EXPECT_EQ(got->explanation.program, row.explanation.program);
  EXPECT_EQ(got->explanation.call_hash, row.explanation.call_hash);
  EXPECT_TRUE(got->explanation.ok());
  EXPECT_FALSE(store.explanation("layers.2", LatentId{4}, "default"));
  EXPECT_FALSE(store.explanation("layers.2", LatentId{5}, "pattern"));
}

TEST(Store, FiltersAndOrdersExplanations) {
  const TestFolder folder;
  Store store(folder.file());
  for (const char* explainer : {"pattern", "default"}) {
    for (const std::uint32_t latent : {7U, 1U})
      store.put_explanation(explanation_row("layers.2", latent, explainer, "x"));
    store.put_explanation(explanation_row("layers.0", 3, explainer, "x"));
  }
  std::vector<std::string> order;
  for (const ExplanationRow& r : store.explanations("", ""))
    order.push_back(r.hookpoint + "/" + std::to_string(to_index(r.explanation.latent)) + "/" + r.explainer);
  EXPECT_THAT(order, ElementsAre("layers.0/3/default", "layers.0/3/pattern", "layers.2/1/default", "layers.2/1/pattern",
                                 "layers.2/7/default", "layers.2/7/pattern"));
  EXPECT_EQ(store.explanations("layers.2", "default").size(), 2U);
  EXPECT_TRUE(store.explanations("", "nobody").empty());
  EXPECT_TRUE(store.explanations("nowhere", "").empty());
}

void expect_same(const score::Interval& a, const score::Interval& b) {
  EXPECT_THAT(a.value, testing::NanSensitiveDoubleEq(b.value));
  EXPECT_THAT(a.low, testing::NanSensitiveDoubleEq(b.low));
  EXPECT_THAT(a.high, testing::NanSensitiveDoubleEq(b.high));
}

TEST(Store, GivesBackScoresExactlyWithWhatIsUndefined) {
  const TestFolder folder;
  Store store(folder.file());
  std::vector<Judgement> judgements = make_judgements(1, 40);
  for (Judgement& j : judgements) j.truth = true;  // no negatives: specificity and balanced accuracy are undefined
  const ScoreRow row{"layers.2", "pattern", "detection", "pattern", score::summarize(LatentId{3}, judgements, 10)};
  store.put_score(row, judgements);
  const std::vector<ScoreRow> rows = store.scores("", "", "");
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].hookpoint, "layers.2");
  EXPECT_EQ(rows[0].explainer, "pattern");
  EXPECT_EQ(rows[0].scorer, "detection");
  EXPECT_EQ(rows[0].judge, "pattern");
  const score::LatentScore& got = rows[0].score;
  EXPECT_EQ(got.latent, LatentId{3});
  EXPECT_EQ(std::tie(got.tp, got.fp, got.tn, got.fn, got.failed),
            std::tie(row.score.tp, row.score.fp, row.score.tn, row.score.fn, row.score.failed));
  EXPECT_TRUE(std::isnan(got.balanced_accuracy.value));
  expect_same(got.balanced_accuracy, row.score.balanced_accuracy);
  expect_same(got.recall, row.score.recall);
  expect_same(got.specificity, row.score.specificity);
  expect_same(got.precision, row.score.precision);
  EXPECT_THAT(got.f1, testing::NanSensitiveDoubleEq(row.score.f1));
  EXPECT_THAT(got.auc, testing::NanSensitiveDoubleEq(row.score.auc));
  ASSERT_EQ(got.per_quantile.size(), 10U);
  for (std::size_t q = 0; q < 10; ++q) expect_same(got.per_quantile[q], row.score.per_quantile[q]);
}

TEST(Store, GivesBackJudgementsInWindowOrder) {
  const TestFolder folder;
  Store store(folder.file());
  Judgement a;
  a.start = 4'000'000'000;
  a.kind = examples::WindowKind::silent_random;
  a.verdict = Verdict::yes;
  a.probability = 0.1F;
  a.call_hash = "0123456789abcdef0123456789abcdef";
  Judgement b;
  b.start = 64;
  b.quantile = 10;
  b.truth = true;
  b.verdict = Verdict::failed;
  put(store, "layers.2", 3, "pattern", "detection", {a, b});
  const std::vector<Judgement> got = store.judgements("layers.2", LatentId{3}, "pattern", "detection", "judge");
  ASSERT_EQ(got.size(), 2U);
  EXPECT_EQ(got[0].start, 64U);
  EXPECT_EQ(got[0].quantile, 10U);
  EXPECT_TRUE(got[0].truth);
  EXPECT_EQ(got[0].verdict, Verdict::failed);
  EXPECT_EQ(got[0].probability, -1.0F);
  EXPECT_EQ(got[0].call_hash, "");
  EXPECT_EQ(got[1].start, 4'000'000'000U);
  EXPECT_EQ(got[1].kind, examples::WindowKind::silent_random);
  EXPECT_EQ(got[1].verdict, Verdict::yes);
  EXPECT_EQ(got[1].probability, 0.1F);
  EXPECT_EQ(got[1].call_hash, a.call_hash);
}

TEST(Store, RefusesTwoJudgementsOfOneWindowAndKeepsTheOldScore) {
  const TestFolder folder;
  Store store(folder.file());
  const std::vector<Judgement> good = make_judgements(1, 10);
  put(store, "h", 0, "e", "s", good);
  std::vector<Judgement> twice = good;
  twice.push_back(good.front());
  const std::string message = message_of([&] { put(store, "h", 0, "e", "s", twice); });
  EXPECT_THAT(message,
              testing::HasSubstr("window " + std::to_string(good.front().start) + " was judged twice for one score"));
  EXPECT_EQ(store.judgements("h", LatentId{0}, "e", "s", "judge").size(), 10U);
}

TEST(Store, ReplacesAScoreWithItsJudgements) {
  const TestFolder folder;
  Store store(folder.file());
  put(store, "h", 0, "e", "detection", make_judgements(1, 30));
  put(store, "h", 0, "e", "fuzz", make_judgements(2, 20));
  put(store, "h", 0, "e", "detection", make_judgements(3, 5));
  EXPECT_EQ(store.judgements("h", LatentId{0}, "e", "detection", "judge").size(), 5U);
  EXPECT_EQ(store.judgements("h", LatentId{0}, "e", "fuzz", "judge").size(), 20U);
  EXPECT_EQ(store.scores("", "", "").size(), 2U);
  EXPECT_EQ(count_rows(folder.file(), "judgement"), 25);
}

TEST(Store, ReplacesAnExplanationTogetherWithItsScoresAlone) {
  const TestFolder folder;
  Store store(folder.file());
  for (const char* explainer : {"a", "b"}) {
    store.put_explanation(explanation_row("h", 0, explainer, "old"));
    put(store, "h", 0, explainer, "detection", make_judgements(1, 10));
  }
  store.put_explanation(explanation_row("h", 0, "a", "new"));
  EXPECT_EQ(store.explanation("h", LatentId{0}, "a")->explanation.text, "new");
  EXPECT_EQ(store.explanation("h", LatentId{0}, "b")->explanation.text, "old");
  EXPECT_FALSE(store.has_score("h", LatentId{0}, "a", "detection", "judge"));
  EXPECT_TRUE(store.has_score("h", LatentId{0}, "b", "detection", "judge"));
  EXPECT_EQ(count_rows(folder.file(), "judgement"), 10);
}

TEST(Store, FiltersAndOrdersScores) {
  const TestFolder folder;
  Store store(folder.file());
  for (const char* scorer : {"fuzz", "detection"}) {
    for (const std::uint32_t latent : {2U, 1U}) put(store, "h", latent, "e", scorer, make_judgements(latent, 3));
  }
  std::vector<std::string> order;
  for (const ScoreRow& r : store.scores("", "", ""))
    order.push_back(std::to_string(to_index(r.score.latent)) + r.scorer);
  EXPECT_THAT(order, ElementsAre("1detection", "1fuzz", "2detection", "2fuzz"));
  EXPECT_EQ(store.scores("h", "e", "fuzz").size(), 2U);
  EXPECT_TRUE(store.scores("h", "x", "").empty());
}

TEST(Store, MayBeAskedWhileItIteratesScores) {
  const TestFolder folder;
  Store store(folder.file());
  for (std::uint32_t latent = 0; latent < 20; ++latent) put(store, "h", latent, "e", "s", make_judgements(latent, 3));
  std::size_t seen = 0;
  store.each_score("", "", "", [&](const ScoreRow& row) {
    EXPECT_EQ(store.scores("", "", "").size(), 20U);
    EXPECT_EQ(store.judgements(row.hookpoint, row.score.latent, row.explainer, row.scorer, row.judge).size(), 3U);
    ++seen;
  });
  EXPECT_EQ(seen, 20U);
}

TEST(Store, KeepsSettings) {
  const TestFolder folder;
  {
    Store store(folder.file());
    EXPECT_FALSE(store.setting("explain"));
    store.put_setting("explain", "a");
    store.put_setting("explain", "b");
  }
  EXPECT_EQ(Store(folder.file()).setting("explain"), "b");
}

TEST(StoreTransaction, IsUndoneWithoutCommit) {
  const TestFolder folder;
  Store store(folder.file());
  store.put_setting("kept", "1");
  try {
    const Store::Transaction transaction(store);
    store.put_setting("lost", "1");
    put(store, "new hookpoint", 0, "e", "s", make_judgements(1, 3));
    throw std::runtime_error("stop");
  } catch (const std::runtime_error&) {
  }
  EXPECT_TRUE(store.setting("kept"));
  EXPECT_FALSE(store.setting("lost"));
  EXPECT_TRUE(store.scores("", "", "").empty());
  // Names made inside were undone too; they are made anew, not remembered.
  put(store, "new hookpoint", 0, "e", "s", make_judgements(1, 3));
  EXPECT_EQ(store.scores("new hookpoint", "e", "s").size(), 1U);
}

TEST(StoreTransaction, InsideAnotherUndoesItsOwnPartOnly) {
  const TestFolder folder;
  Store store(folder.file());
  {
    Store::Transaction outer(store);
    store.put_setting("outer", "1");
    {
      const Store::Transaction inner(store);
      store.put_setting("undone", "1");
    }
    {
      Store::Transaction inner(store);
      store.put_setting("inner", "1");
      inner.commit();
    }
    EXPECT_FALSE(Store(folder.file()).setting("inner")) << "others see it before the outer commit";
    outer.commit();
  }
  const Store other(folder.file());
  EXPECT_TRUE(other.setting("outer"));
  EXPECT_TRUE(other.setting("inner"));
  EXPECT_FALSE(other.setting("undone"));
}

TEST(StoreTransaction, OfTheOuterUndoesWhatTheInnerCommitted) {
  const TestFolder folder;
  Store store(folder.file());
  {
    const Store::Transaction outer(store);
    Store::Transaction inner(store);
    store.put_setting("inner", "1");
    inner.commit();
  }
  EXPECT_FALSE(store.setting("inner"));
}

llm::Reply reply_of(std::string hash, std::string text) {
  llm::Reply reply;
  reply.hash = std::move(hash);
  reply.text = std::move(text);
  reply.prompt_tokens = 700;
  reply.completion_tokens = 12;
  return reply;
}

TEST(StoredReplies, ComeBackAsPutAndAreMarkedAsKept) {
  const TestFolder folder;
  Store store(folder.file());
  const std::string hash(32, 'a');
  for (const std::string& text :
       {std::string("[0, 1, 1, 0, 1]"), std::string(10'000, 'x'), std::string(), std::string("\0\xFF bytes", 8)}) {
    store.put(reply_of(hash, text));
    const std::optional<llm::Reply> got = store.find(hash);
    ASSERT_TRUE(got);
    EXPECT_EQ(got->text, text);
    EXPECT_EQ(got->hash, hash);
    EXPECT_EQ(got->prompt_tokens, 700U);
    EXPECT_EQ(got->completion_tokens, 12U);
    EXPECT_TRUE(got->from_cache);
    EXPECT_TRUE(got->ok());
  }
  EXPECT_EQ(count_rows(folder.file(), "reply"), 1);
  EXPECT_FALSE(store.find(std::string(32, 'b')));
  EXPECT_FALSE(store.find("not a hash"));
  store.put(reply_of("not a hash", "kept all the same"));
  EXPECT_EQ(store.find("not a hash")->text, "kept all the same");
}

TEST(StoredReplies, ThatFailedAreAskedAgain) {
  const TestFolder folder;
  Store store(folder.file());
  llm::Reply reply = reply_of(std::string(32, 'c'), "");
  reply.failure = "HTTP 500";
  store.put(reply);
  EXPECT_FALSE(store.find(reply.hash));
  reply.failure.clear();
  reply.text = "an answer";
  store.put(reply);
  EXPECT_EQ(store.find(reply.hash)->text, "an answer");
}

TEST(StoredReplies, KeepTheProbabilitiesOfTheirChoices) {
  const TestFolder folder;
  Store store(folder.file());
  llm::Reply reply = reply_of(std::string(32, 'e'), "1");
  reply.probabilities = {0.1, 0.9, 0.0};
  store.put(reply);
  EXPECT_EQ(store.find(reply.hash)->probabilities, reply.probabilities);
  reply.text = std::string(10'000, 'x');  // packed
  reply.probabilities = {1.0};
  store.put(reply);
  EXPECT_EQ(store.find(reply.hash)->probabilities, reply.probabilities);
  EXPECT_EQ(store.find(reply.hash)->text, reply.text);
  reply.probabilities.clear();
  store.put(reply);
  EXPECT_TRUE(store.find(reply.hash)->probabilities.empty());
  EXPECT_EQ(count_rows(folder.file(), "reply WHERE probabilities IS NULL"), 1);
}

/// Makes a file as gloss left it before replies had probabilities.
void take_back_to_schema_1(const std::filesystem::path& file) {
  Outsider(file).execute(
      "ALTER TABLE reply DROP COLUMN probabilities; ALTER TABLE latent DROP COLUMN silent_wanted; "
      "ALTER TABLE latent DROP COLUMN silent_found; DROP TABLE hard_negative; DROP TABLE measure; DROP TABLE cost; "
      "DROP TABLE latent_kind; DROP TABLE filter; DROP TABLE IF EXISTS prompt; DROP TABLE IF EXISTS message; "
      "PRAGMA user_version = 1");
}

TEST(StoredReplies, OfAnOlderFileStayAndNewOnesHaveProbabilities) {
  const TestFolder folder;
  const llm::Reply old = reply_of(std::string(32, 'a'), "an answer");
  {
    Store store(folder.file());
    store.put(old);
    store.put_setting("kept", "yes");
  }
  take_back_to_schema_1(folder.file());
  llm::Reply fresh = reply_of(std::string(32, 'b'), "0");
  fresh.probabilities = {0.75, 0.25};
  for (int opened = 0; opened < 2; ++opened) {
    Store store(folder.file());
    EXPECT_EQ(store.find(old.hash)->text, "an answer");
    EXPECT_TRUE(store.find(old.hash)->probabilities.empty());
    EXPECT_EQ(store.setting("kept"), "yes");
    store.put(fresh);
    EXPECT_EQ(store.find(fresh.hash)->probabilities, fresh.probabilities);
  }
  EXPECT_EQ(Outsider(folder.file()).execute("PRAGMA user_version"), 8);
}

TEST(StoredReplies, OfAnOlderFileThatIsBeingWrittenAreLeftAlone) {
  const TestFolder folder;
  { Store store(folder.file()); }
  take_back_to_schema_1(folder.file());
  Outsider writer(folder.file());
  writer.execute("BEGIN IMMEDIATE");
  EXPECT_THAT(message_of([&] { Store store(folder.file(), {.busy_timeout_ms = 10}); }, ErrorKind::failed),
              testing::HasSubstr("is being written by another process"));
  writer.execute("COMMIT");
  EXPECT_EQ(writer.execute("PRAGMA user_version"), 1);
  Store store(folder.file());
  EXPECT_EQ(writer.execute("PRAGMA user_version"), 8);
}

TEST(StoreToRead, IsNeitherMadeNorChanged) {
  const TestFolder folder;
  EXPECT_THROW(Store(folder.file(), {.read_only = true}), Error);
  EXPECT_FALSE(std::filesystem::exists(folder.file()));
  {
    Store store(folder.file());
    store.put_setting("kept", "yes");
    store.set_stage("score", "h");
    llm::Reply reply = reply_of(std::string(32, 'a'), "an answer");
    reply.provider = "here";
    reply.latent = 3;
    store.put(reply);
  }
  Outsider(folder.file())
      .execute(
          "DROP INDEX cost_of_latent; DROP INDEX cost_of_call; DROP TABLE prompt; DROP TABLE "
          "message; PRAGMA user_version = 6");
  {
    Store store(folder.file(), {.read_only = true});
    EXPECT_EQ(store.setting("kept"), "yes");
    EXPECT_TRUE(store.calls_of("h", LatentId{3}, 10).at(0).messages.empty());
    EXPECT_THROW(store.put_setting("kept", "no"), Error);
  }
  EXPECT_EQ(Outsider(folder.file()).execute("PRAGMA user_version"), 6);
  take_back_to_schema_1(folder.file());
  EXPECT_THAT(message_of([&] { Store store(folder.file(), {.read_only = true}); }, ErrorKind::bad_input),
              testing::HasSubstr("has schema 1, and what may only be read must have 6 to 8"));
  EXPECT_EQ(Outsider(folder.file()).execute("PRAGMA user_version"), 1);
}

TEST(StoredReplies, AreCompressed) {
  const TestFolder folder;
  std::string text;
  for (int i = 0; i < 4000; ++i)
    text += "The latent fires on the word that follows a comma, number " + std::to_string(i % 7);
  {
    Store store(folder.file());
    store.put(reply_of(std::string(32, 'd'), text));
  }
  EXPECT_LT(std::filesystem::file_size(folder.file()), text.size() / 2);
  EXPECT_EQ(Store(folder.file()).find(std::string(32, 'd'))->text, text);
}

TEST(StoreSize, IsAtMost64BytesAJudgementOfALanguageModel) {
  const TestFolder folder;
  constexpr std::uint32_t kLatents = 1000;
  constexpr std::uint32_t kEach = 100;
  double seconds = 0;
  {
    Store store(folder.file());
    // Without the judgements, to leave out what belongs to latents and calls.
    Store::Transaction transaction(store);
    for (std::uint32_t latent = 0; latent < kLatents; ++latent)
      put(store, "layers.5", latent, "default", "detection", {});
    transaction.commit();
  }
  const auto before = std::filesystem::file_size(folder.file());
  {
    Store store(folder.file());
    const auto start = std::chrono::steady_clock::now();
    for (std::uint32_t latent = 0; latent < kLatents;) {
      Store::Transaction transaction(store);
      for (std::uint32_t i = 0; i < 200; ++i, ++latent) {
        for (const char* scorer : {"detection", "fuzz"})
          put(store, "layers.5", latent, "default", scorer, make_judgements(latent, kEach));
      }
      transaction.commit();
    }
    seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  constexpr double kRows = 2.0 * kLatents * kEach;
  EXPECT_EQ(count_rows(folder.file(), "judgement"), static_cast<std::int64_t>(kRows));
  const double bytes = static_cast<double>(std::filesystem::file_size(folder.file()) - before) / kRows;
  RecordProperty("bytes_per_judgement", std::to_string(bytes));
  RecordProperty("judgements_per_second", std::to_string(kRows / seconds));
  EXPECT_LE(bytes, 64.0);
  EXPECT_GT(kRows / seconds, 20'000.0) << "ten times below what any machine of ours does";
}

TEST(Store, TellsThatAnotherChangedTheFile) {
  const TestFolder folder;
  Store store(folder.file());
  const std::int64_t before = store.data_version();
  store.put_explanation({"layers.2", "a", {LatentId{3}, "own", "", "", ""}});
  EXPECT_EQ(store.data_version(), before) << "by itself";
  {
    Store other(folder.file());
    other.put_explanation({"layers.2", "a", {LatentId{4}, "another's", "", "", ""}});
    other.put_explanation({"layers.2", "shuffled:a", {LatentId{4}, "a baseline", "", "", ""}});
  }
  EXPECT_NE(store.data_version(), before);
  EXPECT_EQ(store.counts().explanations, 2U) << "baselines are none";
  EXPECT_EQ(store.counts().scores, 0U);
}

}  // namespace
}  // namespace gloss::store
