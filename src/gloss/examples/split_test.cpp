#include "gloss/examples/split.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "gloss/examples/examples_testing.h"

namespace gloss::examples {
namespace {

using testing::make_run;

/// A small problem: windows 0 .. n-1 in quantiles, `per_context` of them a context, contexts in documents.
struct Problem {
  std::vector<std::uint32_t> documents;  // [contexts]
  std::uint32_t per_context = 1;
  std::vector<std::vector<std::uint32_t>> quantiles;
  Counts wanted;

  std::vector<std::uint32_t> touched(std::uint32_t window) const {
    const std::uint32_t c = window / per_context;  // windows of one token
    std::vector<std::uint32_t> result{documents[c]};
    if (c + 1 < documents.size()) result.push_back(documents[c + 1]);
    return result;
  }
};

Problem random_problem(Random& random) {
  Problem p;
  p.per_context = 1 + static_cast<std::uint32_t>(random.below(3));
  const std::uint32_t contexts = 6 + static_cast<std::uint32_t>(random.below(10));
  std::uint32_t document = 0;
  for (std::uint32_t c = 0; c < contexts; ++c) {
    p.documents.push_back(document);
    if (document < 8 && random.below(2) == 0) ++document;
  }
  p.quantiles.resize(2 + random.below(3));
  for (std::uint32_t w = 0; w < contexts * p.per_context; ++w) {
    if (random.below(4) > 0) p.quantiles[random.below(p.quantiles.size())].push_back(w);
  }
  p.wanted = {1 + random.below(5), 1 + random.below(8)};
  return p;
}

/// What the documents allow at best: every way to give each document a side. Counts places of the targets that are
/// filled.
std::uint64_t best_possible(const Problem& p) {
  const std::uint32_t documents = p.documents.back() + 1;
  std::uint64_t best = 0;
  for (std::uint32_t sides = 0; sides < (1U << documents); ++sides) {
    std::uint64_t filled = 0;
    for (const auto& quantile : p.quantiles) {
      Counts usable;
      for (const std::uint32_t w : quantile) {
        const auto docs = p.touched(w);
        const auto is_test = [&](std::uint32_t d) { return ((sides >> d) & 1U) != 0; };
        if (std::all_of(docs.begin(), docs.end(), is_test)) ++usable.test;
        if (std::none_of(docs.begin(), docs.end(), is_test)) ++usable.explain;
      }
      const Counts target = split_counts(quantile.size(), p.wanted);
      filled += std::min(usable.test, target.test) + std::min(usable.explain, target.explain);
    }
    best = std::max(best, filled);
  }
  return best;
}

struct Outcome {
  std::vector<Pick> picks;
  std::uint64_t filled = 0;  // places of the targets
};

Outcome solve(const Problem& p, std::uint64_t seed) {
  const testing::Sample run = make_run({}, p.documents, p.per_context, 1);
  DocumentSides sides(run.tokens);
  Splitter splitter(sides, p.per_context);
  Random random = Random::for_purpose(seed, "split");
  auto quantiles = p.quantiles;
  std::vector<Pool> pools;
  for (std::size_t q = 0; q < quantiles.size(); ++q)
    pools.push_back({quantiles[q], p.wanted, static_cast<std::uint8_t>(q)});
  const auto picks = splitter.draw(pools, random);
  Outcome outcome{{picks.begin(), picks.end()}, 0};
  for (std::size_t q = 0; q < quantiles.size(); ++q) {
    const Counts target = split_counts(quantiles[q].size(), p.wanted);
    Counts given;
    for (const Pick& pick : outcome.picks) given.of(pick.side) += pick.quantile == q ? 1U : 0U;
    EXPECT_LE(given.test, p.wanted.test);
    EXPECT_LE(given.explain, p.wanted.explain);
    outcome.filled += std::min(given.test, target.test) + std::min(given.explain, target.explain);
  }
  return outcome;
}

TEST(DocumentSplit, NoDocumentServesBothSides) {
  Random random = Random::for_purpose(1, "problems");
  for (int trial = 0; trial < 300; ++trial) {
    const Problem p = random_problem(random);
    std::set<std::uint32_t> windows;
    std::array<std::set<std::uint32_t>, 2> documents;
    for (const Pick& pick : solve(p, 5).picks) {
      EXPECT_TRUE(windows.insert(pick.start).second) << "a window twice";
      const auto& quantile = p.quantiles.at(pick.quantile);
      EXPECT_NE(std::find(quantile.begin(), quantile.end(), pick.start), quantile.end());
      for (const std::uint32_t d : p.touched(pick.start)) documents.at(static_cast<std::size_t>(pick.side)).insert(d);
    }
    for (const std::uint32_t d : documents[0]) EXPECT_EQ(documents[1].count(d), 0U) << trial;
  }
}

/// Small problems, in which documents hardly suffice, against the best of all ways to share them out.
TEST(DocumentSplit, ComesNearToWhatTheDocumentsAllow) {
  Random random = Random::for_purpose(2, "problems");
  std::uint64_t filled = 0;
  std::uint64_t possible = 0;
  int optimal = 0;
  constexpr int kTrials = 300;
  for (int trial = 0; trial < kTrials; ++trial) {
    const Problem p = random_problem(random);
    const std::uint64_t best = best_possible(p);
    const std::uint64_t found = solve(p, 9).filled;
    EXPECT_LE(found, best);
    filled += found;
    possible += best;
    optimal += found == best ? 1 : 0;
  }
  RecordProperty("optimal", optimal);
  RecordProperty("filled_per_mille", static_cast<int>(1000 * filled / possible));
  EXPECT_GE(static_cast<double>(filled), 0.97 * static_cast<double>(possible));
  EXPECT_GE(optimal, kTrials * 3 / 4);
}

TEST(DocumentSplit, ReachesAllCountsWhenEveryWindowHasItsDocument) {
  const testing::Sample run = make_run({}, testing::documents_of(400, 1), 4, 1);
  DocumentSides sides(run.tokens);
  Splitter splitter(sides, 4);
  Random random = Random::for_purpose(3, "split");
  std::vector<std::vector<std::uint32_t>> quantiles(10);
  for (std::uint32_t w = 0; w < 110; ++w) quantiles[w % 10].push_back(12 * w);  // no two in neighbouring contexts
  std::vector<Pool> pools;
  for (auto& quantile : quantiles) pools.push_back({quantile, {4, 7}, 0});
  EXPECT_EQ(splitter.draw(pools, random).size(), 110U);
  EXPECT_FALSE(splitter.left_a_side_empty());
}

TEST(DocumentSplit, KnowsWhichDocumentsAContextTouches) {
  const testing::Sample run = make_run({}, {5, 5, 7, 7, 9}, 4, 1);
  DocumentSides sides(run.tokens);
  EXPECT_EQ(sides.document_count(), 3U);
  sides.assign(1, Side::test);  // begins in 5, ends in 7
  EXPECT_FALSE(sides.allows(0, Side::explain));
  EXPECT_FALSE(sides.allows(2, Side::explain));
  EXPECT_FALSE(sides.allows(3, Side::explain)) << "7 and 9: 7 is test's";
  EXPECT_TRUE(sides.allows(4, Side::explain));
  EXPECT_TRUE(sides.allows(3, Side::test));
  EXPECT_EQ(sides.cost(0), 0U);
  EXPECT_EQ(sides.cost(3), 1U);
  sides.undo(0);
  EXPECT_TRUE(sides.allows(0, Side::explain));
  EXPECT_EQ(sides.cost(0), 1U);
  EXPECT_EQ(sides.cost(1), 2U);
  sides.assign(4, Side::explain);
  EXPECT_FALSE(sides.allows(3, Side::test));
  EXPECT_TRUE(sides.allows(2, Side::test));
}

}  // namespace
}  // namespace gloss::examples
