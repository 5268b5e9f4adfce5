#include <gtest/gtest.h>

#include "gloss/store/store.h"
#include "gloss/store/store_test_util.h"

namespace gloss::store {
namespace {

using examples::Window;
using examples::WindowKind;
using score::Verdict;

Window window_at(std::uint32_t start, WindowKind kind, std::uint8_t rank, float similarity) {
  Window w;
  w.start = start;
  w.kind = kind;
  w.similarity = similarity;
  if (rank > 0) w.neighbour = {LatentId{100U + rank}, rank, {1.0F}};
  return w;
}

score::Judgement judged(std::uint32_t start, WindowKind kind, Verdict verdict) {
  score::Judgement j;
  j.start = start;
  j.kind = kind;
  j.truth = kind == WindowKind::activating;
  j.quantile = j.truth ? 1 : 0;
  j.verdict = verdict;
  return j;
}

TEST(StoreNegatives, AreCountedByKindAndByRank) {
  const TestFolder folder;
  Store store(folder.file());
  store.put_negatives(
      "layers.1", LatentId{7},
      {window_at(0, WindowKind::silent_random, 0, 0.0F), window_at(32, WindowKind::silent_neighbour, 1, 0.75F),
       window_at(64, WindowKind::silent_neighbour, 2, 0.25F), window_at(96, WindowKind::silent_semantic, 0, 0.5F)});
  EXPECT_EQ(count_rows(folder.file(), "hard_negative"), 3) << "a random window comes from nowhere";
  put(store, "layers.1", 7, "pattern", "detection",
      {judged(0, WindowKind::silent_random, Verdict::no), judged(32, WindowKind::silent_neighbour, Verdict::yes),
       judged(64, WindowKind::silent_neighbour, Verdict::no), judged(96, WindowKind::silent_semantic, Verdict::failed),
       judged(128, WindowKind::activating, Verdict::no)});

  const std::vector<NegativeTally> by_kind = store.negative_tallies(false);
  ASSERT_EQ(by_kind.size(), 3U);
  const auto expect = [](const NegativeTally& t, WindowKind kind, std::uint8_t rank, std::uint64_t answered,
                         std::uint64_t right, std::uint64_t failed, double similarity) {
    EXPECT_EQ(t.explainer, "pattern");
    EXPECT_EQ(t.scorer, "detection");
    EXPECT_EQ(t.kind, kind);
    EXPECT_EQ(t.rank, rank);
    EXPECT_EQ(t.answered, answered);
    EXPECT_EQ(t.right, right);
    EXPECT_EQ(t.failed, failed);
    EXPECT_EQ(t.mean_similarity, similarity);
  };
  expect(by_kind[0], WindowKind::silent_random, 0, 1, 1, 0, 0.0);
  expect(by_kind[1], WindowKind::silent_neighbour, 0, 2, 1, 0, 0.5);
  expect(by_kind[2], WindowKind::silent_semantic, 0, 0, 0, 1, 0.5);
  const std::vector<NegativeTally> by_rank = store.negative_tallies(true);
  ASSERT_EQ(by_rank.size(), 4U);
  expect(by_rank[1], WindowKind::silent_neighbour, 1, 1, 0, 0, 0.75);
  expect(by_rank[2], WindowKind::silent_neighbour, 2, 1, 1, 0, 0.25);

  const auto kept = store.judgements("layers.1", LatentId{7}, "pattern", "detection", "judge");
  ASSERT_EQ(kept.size(), 5U);
  EXPECT_EQ(kept[3].kind, WindowKind::silent_semantic);
}

TEST(StoreNegatives, OfALatentAreAddedAndThoseOfTheSameWindowReplaced) {
  const TestFolder folder;
  Store store(folder.file());
  store.put_negatives("layers.1", LatentId{7}, {window_at(32, WindowKind::silent_neighbour, 1, 0.75F)});
  store.put_negatives("layers.1", LatentId{8}, {window_at(32, WindowKind::silent_neighbour, 1, 0.75F)});
  store.put_negatives(
      "layers.1", LatentId{7},
      {window_at(32, WindowKind::silent_semantic, 0, 0.5F), window_at(96, WindowKind::silent_semantic, 0, 0.5F)});
  EXPECT_EQ(count_rows(folder.file(), "hard_negative"), 3);
  EXPECT_EQ(count_rows(folder.file(), "hard_negative WHERE latent = 7 AND neighbour IS NULL AND rank IS NULL"), 2);
}

TEST(StoreNegatives, ALatentKeepsHowManyWereWantedAndFound) {
  const TestFolder folder;
  Store store(folder.file());
  store.put_latent({"layers.1", LatentId{3}, 10, 0.5, 1.0F, 9, examples::Status::ok, 50, 12});
  const auto row = store.latent("layers.1", LatentId{3});
  ASSERT_TRUE(row.has_value());
  EXPECT_EQ(row->silent_wanted, 50U);
  EXPECT_EQ(row->silent_found, 12U);
}

}  // namespace
}  // namespace gloss::store
