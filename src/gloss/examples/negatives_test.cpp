/// Silent windows of neighbours and by meaning, against slow and obvious readings of docs/methods.md 3.
#include "gloss/examples/negatives.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>

#include "gloss/base/error.h"
#include "gloss/base/random.h"
#include "gloss/examples/examples_testing.h"
#include "gloss/examples/semantic_pool.h"

namespace gloss::examples {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::make_run;
using testing::Sample;

/// Latents with their neighbours: near[f] = latents, nearest first, at cosines 0.9, 0.8, ...
NeighbourSource neighbours(const std::vector<std::vector<std::uint32_t>>& near, std::uint32_t entries) {
  const index::testing::Folder folder;
  index::LatentWeights weights;
  weights.latents = static_cast<std::uint32_t>(near.size());
  weights.entries = entries;
  weights.vocabulary = 1;
  index::WeightArrays& list = weights.of(index::WeightList::decoder_neighbours);
  for (const auto& of_one : near) {
    for (std::uint32_t i = 0; i < entries; ++i) {
      list.id.push_back(i < of_one.size() ? of_one[i] : index::kNoEntry);
      list.value.push_back(i < of_one.size() ? 0.9F - 0.1F * static_cast<float>(i) : 0.0F);
    }
  }
  // Every file has this list.
  weights.of(index::WeightList::cooccurring) = {std::vector<std::uint32_t>(list.id.size(), index::kNoEntry),
                                                std::vector<float>(list.id.size(), 0.0F)};
  index::write_latent_weights(folder.path() / "weights.safetensors", weights);
  return {index::LatentWeightsReader::open(folder.path() / "weights.safetensors"),
          index::WeightList::decoder_neighbours};
}

struct Drawn {
  std::uint32_t start, neighbour, rank;
  bool operator==(const Drawn& o) const { return start == o.start && neighbour == o.neighbour && rank == o.rank; }
};

/// Round after round, each neighbour's strongest window that is silent in latent 0 and not yet taken.
std::vector<Drawn> obvious(const std::vector<index::Firing>& firings, const std::vector<std::uint32_t>& near,
                           std::uint32_t window, std::size_t wanted) {
  std::set<std::uint32_t> out;
  std::map<std::uint32_t, std::map<std::uint32_t, float>> maximum;  // of each latent's windows
  for (const index::Firing& f : firings) {
    if (f.latent == 0) out.insert(f.position / window);
    float& max = maximum[f.latent][f.position / window];
    max = std::max(max, f.activation);
  }
  std::vector<Drawn> drawn;
  std::vector<int> given(near.size(), 0);
  for (bool any = true; any;) {
    any = false;
    for (std::size_t r = 0; r < near.size(); ++r) {
      if (drawn.size() == wanted) return drawn;
      const std::pair<const std::uint32_t, float>* best = nullptr;
      for (const auto& entry : maximum[near[r]]) {
        if (out.count(entry.first) == 0 && (best == nullptr || entry.second > best->second)) best = &entry;
      }
      if (best == nullptr || given[r] == 10) continue;
      ++given[r];
      out.insert(best->first);
      drawn.push_back({best->first * window, near[r], static_cast<std::uint32_t>(r + 1)});
      any = true;
    }
  }
  return drawn;
}

TEST(NeighbourNegatives, AreThoseOfAnObviousReading) {
  constexpr std::uint32_t kLatents = 6;
  Random random = Random::for_purpose(3, "neighbours");
  for (std::uint64_t trial = 0; trial < 100; ++trial) {
    SCOPED_TRACE(trial);
    const std::uint32_t contexts = 10 + static_cast<std::uint32_t>(random.below(60));
    std::vector<index::Firing> firings =
        index::testing::random_firings(trial, kLatents, contexts * 8, 0.02 + 0.2 * random.uniform());
    for (index::Firing& f : firings) f.activation = 0.5F * static_cast<float>(1 + random.below(8));
    const Sample run = make_run(firings, testing::documents_of(contexts, 1), 8, kLatents);
    std::vector<std::vector<std::uint32_t>> near(kLatents);
    for (std::uint32_t f = 1; f < kLatents; ++f) near[0].push_back(f);
    Random(trial).shuffle(std::span(near[0]));
    near[0].resize(1 + random.below(4));
    const std::size_t wanted = random.below(40);

    DocumentSides sides(run.tokens);
    sides.use_documents(false);
    SilentSampler silent(run.reader, sides, 4);
    ActiveWindows active(run.reader, 4);
    active.find(LatentId{0});
    silent.begin(active.windows());
    std::vector<Drawn> found;
    for (const Window& w : silent.draw_neighbours(neighbours(near, 4), LatentId{0}, Side::test, wanted))
      found.push_back({w.start, to_index(w.neighbour.latent), w.neighbour.rank});
    ASSERT_EQ(found, obvious(firings, near[0], 4, wanted));
  }
}

TEST(NeighbourNegatives, SkipDocumentsUsedForExplaining) {
  // Latent 1 fires everywhere; contexts of one window, each its own document.
  std::vector<index::Firing> firings;
  for (std::uint32_t c = 0; c < 10; ++c) firings.push_back({1, 4 * c, 10.0F - static_cast<float>(c)});
  const Sample run = make_run(firings, testing::documents_of(10, 1), 4, 2);
  DocumentSides sides(run.tokens);
  sides.assign(2, Side::explain);  // documents 2 and 3
  SilentSampler silent(run.reader, sides, 4);
  silent.begin({});
  std::vector<std::uint32_t> starts;
  for (const Window& w : silent.draw_neighbours(neighbours({{1}, {}}, 1), LatentId{0}, Side::test, 4))
    starts.push_back(w.start / 4);
  EXPECT_THAT(starts, ElementsAre(0, 4, 5, 6)) << "1 ends in document 2";
  EXPECT_FALSE(sides.allows(0, Side::explain)) << "their documents are test's from here on";
  EXPECT_TRUE(sides.allows(9, Side::explain));
}

TEST(NeighbourNegatives, AreFewerWhereNeighboursFireWithTheLatent) {
  std::vector<index::Firing> firings;
  for (std::uint32_t w = 0; w < 40; ++w) {
    firings.push_back({0, 4 * w, 1.0F});
    firings.push_back({1, 4 * w + 1, 1.0F});
  }
  firings.push_back({1, 4 * 50, 1.0F});
  const Sample run = make_run(firings, testing::documents_of(60, 60), 4, 2);
  Options options;
  options.window = 4;
  options.negatives = Negatives::neighbours;
  const LatentExamples e =
      Builder(run.reader, run.tokens, options, {neighbours({{1}, {0}}, 1), nullptr}).build(LatentId{0});
  EXPECT_THAT(testing::starts(e.test_silent), ElementsAre(200)) << "where both fire is no negative";
  EXPECT_EQ(e.test_silent[0].neighbour.activation, (std::vector<float>{1.0F, 0.0F, 0.0F, 0.0F}));
}

TEST(NeighbourNegatives, WantNeighboursThatFitTheIndex) {
  const Sample run = make_run({{0, 1, 1.0F}}, {0, 1}, 8, 2);
  Options options;
  options.window = 4;
  options.negatives = Negatives::mixed;
  const auto error = [&](Sources sources) -> std::string {
    try {
      Builder(run.reader, run.tokens, options, std::move(sources));
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_THAT(error({}), HasSubstr("--negatives mixed: nothing is known of the neighbours of layers.1's latents\n"
                                   "hint: gloss cache leaves them in weights.safetensors"));
  EXPECT_THAT(error({neighbours({{1}, {0}, {0}}, 1), nullptr}), HasSubstr("has 3 latents, but "));
  NeighbourSource other = neighbours({{1}, {0}}, 1);
  other.list = index::WeightList::encoder_neighbours;
  EXPECT_THAT(error({other, nullptr}), HasSubstr("has no encoder_neighbours, which --negatives mixed wants"));
  options.negatives = Negatives::semantic;
  EXPECT_THAT(error({}), HasSubstr("none is named\nhint: name its folder with --embedding-model DIR"));
}

/// Rows of a few directions, so that many are equally near.
std::vector<float> coarse_rows(std::span<const std::uint32_t> starts) {
  std::vector<float> rows;
  for (const std::uint32_t s : starts) {
    Random random = Random::for_purpose(7, "row", s % 23);
    std::array<float, 3> row{};
    float square = 0.0F;
    for (float& x : row) {
      x = static_cast<float>(random.normal());
      square += x * x;
    }
    for (const float x : row) rows.push_back(x / std::sqrt(square));
  }
  return rows;
}

TEST(SemanticPool, GivesTheNearestOfEachQueryInTurn) {
  Random random = Random::for_purpose(4, "pool");
  for (int trial = 0; trial < 60; ++trial) {
    SCOPED_TRACE(trial);
    std::vector<std::uint32_t> starts(random.below(600));
    for (std::uint32_t i = 0; i < starts.size(); ++i) starts[i] = 8 * i;
    const std::vector<float> rows = coarse_rows(starts);
    const SemanticPool pool(starts, rows, 3, coarse_rows);
    std::vector<std::uint32_t> queries(random.below(5));
    for (std::uint32_t& q : queries) q = 1 + static_cast<std::uint32_t>(random.below(100));
    const std::size_t wanted = random.below(300);
    const std::uint64_t every = 1 + random.below(5);

    std::set<std::uint32_t> taken;
    const auto hits =
        pool.nearest(queries, wanted, [&](std::uint32_t s) { return s / 8 % every == 0 && taken.insert(s).second; });

    // The obvious way: all cosines of the query, the largest not yet taken.
    const std::vector<float> query_rows = coarse_rows(queries);
    std::set<std::uint32_t> out;
    std::size_t at = 0;
    for (bool any = true; any;) {
      any = false;
      for (std::size_t q = 0; q < queries.size() && at < hits.size(); ++q) {
        double best = -2.0;
        std::uint32_t nearest = 0;
        for (std::size_t i = 0; i < starts.size(); ++i) {
          double cosine = 0.0;
          for (std::size_t d = 0; d < 3; ++d) cosine += double{query_rows[3 * q + d]} * double{rows[3 * i + d]};
          if (starts[i] / 8 % every != 0 || out.count(starts[i]) != 0 || cosine < best + 1e-6) continue;
          best = cosine;
          nearest = starts[i];
        }
        if (best < -1.5) continue;
        ASSERT_NEAR(hits[at].cosine, best, 1e-5);
        ASSERT_EQ(hits[at].start, nearest) << "of equally near ones the first";
        out.insert(nearest);
        ++at;
        any = true;
      }
    }
    ASSERT_EQ(at, hits.size());
    std::size_t available = 0;
    for (const std::uint32_t s : starts) available += s / 8 % every == 0 ? 1U : 0U;
    ASSERT_EQ(hits.size(), queries.empty() ? 0 : std::min(wanted, available)) << "wanted, or all there are";
  }
}

TEST(NeighbourNegatives, BesideTheSilentWindowsChangeNothingElseAndAreInNoSplit) {
  constexpr std::uint32_t kLatents = 4;
  for (std::uint64_t trial = 0; trial < 20; ++trial) {
    const Sample run = make_run(index::testing::random_firings(trial, kLatents, 80 * 8, 0.05),
                                testing::documents_of(80, 1), 8, kLatents);
    Options options;
    options.window = 4;
    options.explain = options.test = options.refine = 10;
    options.silent = 6;
    options.min_windows = 1;
    const NeighbourSource near = neighbours({{1}, {0}, {0}, {2, 1}}, 2);
    const LatentExamples without = Builder(run.reader, run.tokens, options).build(LatentId{3});
    options.neighbours = 8;
    const LatentExamples e = Builder(run.reader, run.tokens, options, {near, nullptr}).build(LatentId{3});
    std::set<std::uint32_t> used;
    const auto same = [&](const std::vector<Window>& a, const std::vector<Window>& b) {
      ASSERT_EQ(a.size(), b.size());
      for (std::size_t i = 0; i < a.size(); ++i) {
        EXPECT_EQ(a[i].start, b[i].start);
        used.insert(a[i].start);
      }
    };
    same(e.explain, without.explain);
    same(e.test, without.test);
    same(e.refine, without.refine);
    same(e.explain_silent, without.explain_silent);
    same(e.test_silent, without.test_silent);
    same(e.refine_silent, without.refine_silent);
    EXPECT_FALSE(e.test_neighbours.empty());
    for (const Window& w : e.test_neighbours) {
      EXPECT_EQ(w.kind, WindowKind::silent_neighbour);
      EXPECT_TRUE(used.insert(w.start).second) << w.start;
    }
  }
}

}  // namespace
}  // namespace gloss::examples
