/// Samplers, the three splits and kinds of silent windows on random runs: what must hold of each, whatever the options.
#include "gloss/examples/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>

#include "gloss/base/error.h"
#include "gloss/base/half.h"
#include "gloss/base/parallel.h"
#include "gloss/examples/examples.h"
#include "gloss/examples/examples_testing.h"
#include "gloss/examples/semantic_pool.h"

namespace gloss::examples {
namespace {

using testing::make_run;
using testing::Sample;

constexpr std::uint32_t kContexts = 120;
constexpr std::uint32_t kCtxLen = 16;
constexpr std::uint32_t kLatents = 12;
constexpr std::array<Sampler, 5> kSamplers{Sampler::quantiles, Sampler::top, Sampler::top_n, Sampler::random,
                                           Sampler::mixture};

/// A run with neighbours and sentence embeddings made from numbers.
struct Case {
  std::vector<index::Firing> firings;
  std::vector<std::uint32_t> documents;
  Options options;
  Sources sources;

  float activation(std::uint32_t latent, std::uint32_t position) const {
    for (const index::Firing& f : firings) {
      if (f.latent == latent && f.position == position) return float_from_half(half_from_float(f.activation));
    }
    return 0.0F;
  }
};

/// Latent f's nearest are f + 1, f + 2, f + 3 (modulo F), at cosines .9, .8, .7.
NeighbourSource some_neighbours() {
  const index::testing::Folder folder;
  index::LatentWeights weights;
  weights.latents = kLatents;
  weights.entries = 3;
  weights.vocabulary = 1;
  index::WeightArrays& list = weights.of(index::WeightList::decoder_neighbours);
  for (std::uint32_t f = 0; f < kLatents; ++f) {
    for (std::uint32_t i = 1; i <= 3; ++i) {
      list.id.push_back((f + i) % kLatents);
      list.value.push_back(1.0F - 0.1F * static_cast<float>(i));
    }
  }
  // Every file has this list.
  weights.of(index::WeightList::cooccurring) = {std::vector<std::uint32_t>(list.id.size(), index::kNoEntry),
                                                std::vector<float>(list.id.size(), 0.0F)};
  index::write_latent_weights(folder.path() / "weights.safetensors", weights);
  return {index::LatentWeightsReader::open(folder.path() / "weights.safetensors"),
          index::WeightList::decoder_neighbours};
}

std::shared_ptr<const SemanticPool> some_pool(std::uint32_t window) {
  const EmbedWindows embed = [](std::span<const std::uint32_t> starts) {
    std::vector<float> rows;
    for (const std::uint32_t s : starts) {
      const float angle = static_cast<float>(s % 97);
      rows.push_back(std::cos(angle));
      rows.push_back(std::sin(angle));
    }
    return rows;
  };
  std::vector<std::uint32_t> starts;
  for (std::uint32_t s = 0; s < kContexts * kCtxLen; s += 2 * window) starts.push_back(s);
  const std::vector<float> rows = embed(starts);
  return std::make_shared<SemanticPool>(std::move(starts), rows, 2, embed);
}

Case random_case(std::uint64_t seed) {
  Random random = Random::for_purpose(seed, "sampler case");
  Case c;
  c.firings = index::testing::random_firings(seed, kLatents, kContexts * kCtxLen, 0.01 + 0.15 * random.uniform());
  for (index::Firing& f : c.firings) {
    if (random.below(3) == 0) f.activation = 2.5F;  // many equal maxima
  }
  std::uint32_t document = 0;
  const std::uint64_t mean_length = 1 + random.below(3);
  for (std::uint32_t i = 0; i < kContexts; ++i) {
    c.documents.push_back(document);
    if (random.below(mean_length) == 0) ++document;
  }
  Options& o = c.options;
  o.window = std::array{2U, 4U, 8U, 16U}.at(random.below(4));
  o.quantiles = 1 + static_cast<std::uint32_t>(random.below(5));
  o.explain = static_cast<std::uint32_t>(random.below(20));
  o.test = static_cast<std::uint32_t>(random.below(20));
  o.refine = static_cast<std::uint32_t>(random.below(10));
  o.silent = static_cast<std::uint32_t>(random.below(12));
  o.contrast = static_cast<std::uint32_t>(random.below(6));
  o.top_n = 1 + static_cast<std::uint32_t>(random.below(40));
  o.min_windows = 1 + static_cast<std::uint32_t>(random.below(5));
  o.split_documents = random.below(2) == 0;
  o.center = random.below(2) == 0;
  o.sampler = kSamplers.at(random.below(kSamplers.size()));
  o.negatives = static_cast<Negatives>(random.below(4));
  o.seed = seed;
  c.sources = {some_neighbours(), some_pool(o.window)};
  return c;
}

using Parts = std::array<std::vector<const std::vector<Window>*>, 3>;

/// Windows of each split, silent ones with them.
Parts parts_of(const LatentExamples& e) {
  return {{{&e.explain, &e.explain_silent, &e.contrast}, {&e.test, &e.test_silent}, {&e.refine, &e.refine_silent}}};
}

void check_no_overlap(const Case& c, const LatentExamples& e) {
  std::set<std::uint32_t> tokens;
  for (const auto& part : parts_of(e)) {
    for (const auto* windows : part) {
      for (const Window& w : *windows) {
        ASSERT_EQ(w.start / kCtxLen, (w.start + c.options.window - 1) / kCtxLen) << "over the edge of a context";
        for (std::uint32_t i = 0; i < c.options.window; ++i)
          ASSERT_TRUE(tokens.insert(w.start + i).second) << "token " << w.start + i << " is in two windows";
      }
    }
  }
}

void check_documents(const Case& c, const LatentExamples& e) {
  std::map<std::uint32_t, std::size_t> side_of;
  const Parts parts = parts_of(e);
  for (std::size_t side = 0; side < parts.size(); ++side) {
    for (const auto* windows : parts.at(side)) {
      for (const Window& w : *windows) {
        const std::uint32_t context = w.start / kCtxLen;
        for (const std::uint32_t next : {context, std::min(context + 1, kContexts - 1)})
          ASSERT_EQ(side_of.emplace(c.documents[next], side).first->second, side) << "document " << c.documents[next];
      }
    }
  }
}

void check_activations(const Case& c, std::uint32_t latent, const LatentExamples& e) {
  for (const auto& part : parts_of(e)) {
    for (const auto* windows : part) {
      for (const Window& w : *windows) {
        ASSERT_EQ(w.activation.size(), c.options.window);
        for (std::uint32_t i = 0; i < c.options.window; ++i)
          ASSERT_EQ(w.activation[i], c.activation(latent, w.start + i));
        ASSERT_EQ(w.max, *std::max_element(w.activation.begin(), w.activation.end()));
        ASSERT_EQ(w.max > 0.0F, w.kind == WindowKind::activating) << "a silent window holds a firing";
        ASSERT_EQ(w.quantile > 0, w.kind == WindowKind::activating);
      }
    }
  }
}

void check_counts(const Case& c, const LatentExamples& e) {
  const Options& o = c.options;
  EXPECT_LE(e.explain.size(), o.explain);
  EXPECT_LE(e.test.size(), o.test);
  EXPECT_LE(e.refine.size(), o.refine);
  EXPECT_LE(e.explain_silent.size(), o.silent);
  EXPECT_LE(e.test_silent.size(), o.silent);
  EXPECT_LE(e.refine_silent.size(), o.silent);
  EXPECT_LE(e.contrast.size(), o.contrast);
}

void check_kinds(const Case& c, std::uint32_t latent, const LatentExamples& e) {
  std::map<std::uint32_t, int> given;
  int random = 0;
  for (const Window& w : e.test_silent) {
    if (w.kind == WindowKind::silent_random) ++random;
    if (w.kind != WindowKind::silent_neighbour) continue;
    ++given[to_index(w.neighbour.latent)];
    EXPECT_EQ(to_index(w.neighbour.latent), (latent + w.neighbour.rank) % kLatents);
    EXPECT_EQ(w.similarity, 1.0F - 0.1F * static_cast<float>(w.neighbour.rank));
    for (std::uint32_t i = 0; i < c.options.window; ++i)
      EXPECT_EQ(w.neighbour.activation[i], c.activation(to_index(w.neighbour.latent), w.start + i));
    EXPECT_GT(*std::max_element(w.neighbour.activation.begin(), w.neighbour.activation.end()), 0.0F);
  }
  for (const auto& [neighbour, count] : given) EXPECT_LE(count, 10) << neighbour;
  const auto silent = static_cast<int>(c.options.silent);
  switch (c.options.negatives) {
    case Negatives::random:
      EXPECT_EQ(static_cast<std::size_t>(random), e.test_silent.size());
      break;
    case Negatives::neighbours:
    case Negatives::semantic:
      EXPECT_EQ(random, 0);
      break;
    case Negatives::mixed:
      EXPECT_LE(random, silent - silent / 2);
      EXPECT_LE(static_cast<int>(e.test_silent.size()) - random, silent / 2);
      break;
  }
}

TEST(Splits, HoldWhateverTheOptionsAre) {
  for (std::uint64_t seed = 0; seed < 80; ++seed) {
    SCOPED_TRACE(seed);
    const Case c = random_case(seed);
    const Sample run = make_run(c.firings, c.documents, kCtxLen, kLatents);
    Builder builder(run.reader, run.tokens, c.options, c.sources);
    for (std::uint32_t f = 0; f < kLatents; ++f) {
      SCOPED_TRACE(f);
      const LatentExamples e = builder.build(LatentId{f});
      EXPECT_EQ(builder.count_windows(LatentId{f}), e.window_count);
      EXPECT_EQ(e.status == Status::ok, e.window_count >= std::max(1U, c.options.min_windows));
      ASSERT_NO_FATAL_FAILURE(check_no_overlap(c, e));
      if (e.documents_disjoint) {
        ASSERT_NO_FATAL_FAILURE(check_documents(c, e));
      }
      ASSERT_NO_FATAL_FAILURE(check_activations(c, f, e));
      check_counts(c, e);
      check_kinds(c, f, e);
    }
    if (HasFailure()) return;
  }
}

bool same(const std::vector<Window>& a, const std::vector<Window>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Window& x, const Window& y) {
    return x.start == y.start && x.kind == y.kind && x.quantile == y.quantile && x.similarity == y.similarity &&
           x.neighbour.latent == y.neighbour.latent && x.activation == y.activation;
  });
}

TEST(Splits, OfParallelBuildersAreThoseOfOne) {
  for (std::uint64_t seed = 100; seed < 112; ++seed) {
    SCOPED_TRACE(seed);
    const Case c = random_case(seed);
    const Sample run = make_run(c.firings, c.documents, kCtxLen, kLatents);
    std::vector<Builder> builders;
    for (int i = 0; i < 4; ++i) builders.emplace_back(run.reader, run.tokens, c.options, c.sources);
    std::vector<LatentExamples> parallel(kLatents);
    parallel_for(kLatents, builders.size(), [&](std::size_t item, std::size_t worker) {
      parallel[item] = builders[worker].build(LatentId{static_cast<std::uint32_t>(item)});
    });
    for (std::uint32_t f = kLatents; f-- > 0;) {
      const LatentExamples e = builders[0].build(LatentId{f});
      const Parts one = parts_of(e);
      const Parts other = parts_of(parallel[f]);
      for (std::size_t side = 0; side < one.size(); ++side) {
        for (std::size_t i = 0; i < one.at(side).size(); ++i)
          EXPECT_TRUE(same(*one.at(side)[i], *other.at(side)[i])) << "latent " << f << ", split " << side;
      }
    }
  }
}

/// 400 activating windows of one token each in documents of their own, window w of rank w; and as many silent ones.
struct Ranked {
  Sample run;
  Options options;

  Ranked() : run(make_run(firings(), testing::documents_of(800, 1), 4, 1)) {
    options.window = 4;
    options.explain = 20;
    options.split_documents = false;
  }
  static std::vector<index::Firing> firings() {
    std::vector<index::Firing> made;
    for (std::uint32_t w = 0; w < 400; ++w) made.push_back({0, 4 * w, 1000.0F - static_cast<float>(w)});
    return made;
  }
  LatentExamples build(Sampler sampler, std::uint64_t seed = 1) {
    options.sampler = sampler;
    options.seed = seed;
    return Builder(run.reader, run.tokens, options).build(LatentId{0});
  }
};

std::set<std::uint32_t> ranks(const std::vector<Window>& windows) {
  std::set<std::uint32_t> found;
  for (const Window& w : windows) found.insert(w.start / 4);
  return found;
}

TEST(Samplers, JudgeTheSameTestWindows) {
  Ranked r;
  for (const bool documents : {false, true}) {
    r.options.split_documents = documents;
    const std::set<std::uint32_t> test = ranks(r.build(Sampler::quantiles).test);
    EXPECT_EQ(test.size(), 70U);
    for (const Sampler sampler : kSamplers) {
      const LatentExamples e = r.build(sampler);
      EXPECT_EQ(ranks(e.test), test) << name_of(sampler);
      EXPECT_EQ(e.explain.size(), 20U) << name_of(sampler);
      EXPECT_EQ(e.refine.size(), 20U) << name_of(sampler);
      for (const Window& w : e.explain) EXPECT_EQ(w.quantile, 10 - w.start / 4 * 10 / 400) << name_of(sampler);
    }
  }
}

TEST(Samplers, TopTakesTheStrongestThatTestLeaves) {
  Ranked r;
  const LatentExamples e = r.build(Sampler::top);
  const std::set<std::uint32_t> test = ranks(e.test);
  std::set<std::uint32_t> wanted;
  for (std::uint32_t rank = 0; wanted.size() < 20; ++rank) {
    if (test.count(rank) == 0) wanted.insert(rank);
  }
  EXPECT_EQ(ranks(e.explain), wanted);
}

TEST(Samplers, DrawUniformlyFromTheRanksThatTheyName) {
  constexpr int kSeeds = 600;
  Ranked r;
  r.options.top_n = 100;
  r.options.test = 0;
  const auto counts = [&](Sampler sampler) {
    std::array<int, 400> count{};
    for (int seed = 0; seed < kSeeds; ++seed) {
      for (const std::uint32_t rank : ranks(r.build(sampler, static_cast<std::uint64_t>(seed)).explain))
        ++count.at(rank);
    }
    return count;
  };
  // Binomial, five standard deviations: 20 of 100 and 20 of 400 windows, 600 times; and half of each.
  const auto top_n = counts(Sampler::top_n);
  for (std::size_t rank = 0; rank < 400; ++rank) EXPECT_NEAR(top_n.at(rank), rank < 100 ? 120 : 0, rank < 100 ? 49 : 0);
  const auto random = counts(Sampler::random);
  for (const int count : random) EXPECT_NEAR(count, 30, 27);
  const auto mixture = counts(Sampler::mixture);
  int of_strongest = 0;
  for (std::size_t rank = 0; rank < 100; ++rank) of_strongest += mixture.at(rank);
  // 10 of the strongest 100, and of the 390 left 10 more, 90 of which are among the strongest.
  EXPECT_NEAR(of_strongest, kSeeds * (10.0 + 10.0 * 90 / 390), 170);
}

TEST(Samplers, AreKnownByName) {
  for (const Sampler sampler : kSamplers) EXPECT_EQ(parse_sampler(name_of(sampler)), sampler);
  for (const Negatives n : {Negatives::random, Negatives::neighbours, Negatives::semantic, Negatives::mixed})
    EXPECT_EQ(parse_negatives(name_of(n)), n);
  const auto error = [](const auto& body) -> std::string {
    try {
      body();
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_THAT(error([] { parse_sampler("quantile"); }), ::testing::HasSubstr("did you mean 'quantiles'?"));
  EXPECT_THAT(error([] { parse_negatives("neighbors"); }), ::testing::HasSubstr("did you mean 'neighbours'?"));
}

TEST(Refine, LeavesTheOtherSplitsAsTheyAre) {
  const Case c = random_case(5);
  const Sample run = make_run(c.firings, c.documents, kCtxLen, kLatents);
  Options with = c.options;
  with.refine = 8;
  Options without = c.options;
  without.refine = 0;
  Builder a(run.reader, run.tokens, with, c.sources);
  Builder b(run.reader, run.tokens, without, c.sources);
  for (std::uint32_t f = 0; f < kLatents; ++f) {
    const LatentExamples x = a.build(LatentId{f});
    const LatentExamples y = b.build(LatentId{f});
    EXPECT_TRUE(same(x.explain, y.explain) && same(x.test, y.test) && same(x.test_silent, y.test_silent) &&
                same(x.explain_silent, y.explain_silent));
    EXPECT_TRUE(y.refine.empty() && y.refine_silent.empty());
  }
}

}  // namespace
}  // namespace gloss::examples
