/// Builder against a slow and obvious reading of docs/methods.md 2 and 3, on random runs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "gloss/base/half.h"
#include "gloss/base/parallel.h"
#include "gloss/examples/examples.h"
#include "gloss/examples/examples_testing.h"
#include "gloss/examples/split.h"

namespace gloss::examples {
namespace {

using testing::make_run;
using testing::Sample;

constexpr std::uint32_t kContexts = 60;
constexpr std::uint32_t kCtxLen = 16;
constexpr std::uint32_t kLatents = 24;

struct Case {
  std::vector<index::Firing> firings;
  std::vector<std::uint32_t> documents;
  Options options;
};

Case random_case(std::uint64_t seed) {
  Random random = Random::for_purpose(seed, "case");
  Case c;
  c.firings = index::testing::random_firings(seed, kLatents, kContexts * kCtxLen, 0.02 + 0.3 * random.uniform());
  for (index::Firing& f : c.firings) {
    if (random.below(3) == 0) f.activation = 2.5F;  // many equal maxima
  }
  const std::uint64_t mean_length = 1 + random.below(20);
  std::uint32_t document = 3;
  for (std::uint32_t i = 0; i < kContexts; ++i) {
    c.documents.push_back(document);
    while (random.below(mean_length) == 0 && document < 1000)
      document += 1 + static_cast<std::uint32_t>(random.below(2));
  }
  const std::vector<std::uint32_t> lengths{1, 2, 4, 8, 16};
  c.options.window = lengths[random.below(lengths.size())];
  c.options.quantiles = 1 + static_cast<std::uint32_t>(random.below(12));
  c.options.explain = static_cast<std::uint32_t>(random.below(60));
  c.options.test = static_cast<std::uint32_t>(random.below(60));
  c.options.silent = static_cast<std::uint32_t>(random.below(40));
  c.options.min_windows = 1 + static_cast<std::uint32_t>(random.below(20));
  c.options.split_documents = random.below(2) == 0;
  c.options.seed = seed;
  return c;
}

/// The latent's activations at every token, and what follows from them.
struct Truth {
  std::vector<float> activation;               // [tokens]
  std::vector<float> maximum;                  // of each window
  std::map<std::uint32_t, unsigned> quantile;  // of each activating window
};

Truth find_truth(const Case& c, std::uint32_t latent) {
  Truth t;
  t.activation.resize(std::size_t{kContexts} * kCtxLen);
  for (const index::Firing& f : c.firings) {
    if (f.latent == latent) t.activation[f.position] = float_from_half(half_from_float(f.activation));
  }
  t.maximum.resize(t.activation.size() / c.options.window);
  std::vector<std::uint32_t> ranked;
  for (std::uint32_t w = 0; w < t.maximum.size(); ++w) {
    const auto begin = t.activation.begin() + w * c.options.window;
    t.maximum[w] = *std::max_element(begin, begin + c.options.window);
    if (t.maximum[w] > 0.0F) ranked.push_back(w);
  }
  std::stable_sort(ranked.begin(), ranked.end(), [&](auto a, auto b) { return t.maximum[a] > t.maximum[b]; });
  for (std::size_t r = 0; r < ranked.size(); ++r)
    t.quantile[ranked[r]] = c.options.quantiles - static_cast<unsigned>(r * c.options.quantiles / ranked.size());
  return t;
}

void check_window(const Case& c, const Truth& t, const Window& window, bool silent) {
  ASSERT_EQ(window.start % c.options.window, 0U);
  const std::uint32_t w = window.start / c.options.window;
  ASSERT_LT(w, t.maximum.size());
  EXPECT_EQ(window.kind, silent ? WindowKind::silent_random : WindowKind::activating);
  EXPECT_EQ(window.max, t.maximum[w]);
  EXPECT_EQ(window.max == 0.0F, silent);
  EXPECT_EQ(window.quantile, silent ? 0U : t.quantile.at(w));
  const auto begin = t.activation.begin() + window.start;
  EXPECT_TRUE(std::equal(window.activation.begin(), window.activation.end(), begin, begin + c.options.window));
}

void check_documents(const Case& c, const LatentExamples& e) {
  std::array<std::set<std::uint32_t>, 2> documents;
  const auto add = [&](const std::vector<Window>& windows, std::size_t side) {
    for (const Window& w : windows) {
      const std::uint32_t context = w.start / kCtxLen;
      const std::uint32_t last = context + 1 < kContexts ? c.documents[context + 1] : c.documents[context];
      for (std::uint32_t d = c.documents[context]; d <= last; ++d) documents.at(side).insert(d);
    }
  };
  add(e.explain, 0);
  add(e.explain_silent, 0);
  add(e.test, 1);
  add(e.test_silent, 1);
  for (const std::uint32_t d : documents[0]) EXPECT_EQ(documents[1].count(d), 0U) << "document " << d;
}

/// Windows per quantile are what the rule says, without documents exactly, with them at most.
void check_counts(const Case& c, const Truth& t, const LatentExamples& e) {
  for (unsigned q = 1; q <= c.options.quantiles; ++q) {
    const unsigned k = c.options.quantiles - q;
    const auto share = [&](std::uint64_t n) { return (k + 1) * n / c.options.quantiles - k * n / c.options.quantiles; };
    const auto of_quantile = [&](const std::vector<Window>& windows) {
      return static_cast<std::uint64_t>(
          std::count_if(windows.begin(), windows.end(), [&](const Window& w) { return w.quantile == q; }));
    };
    const auto available = static_cast<std::uint64_t>(
        std::count_if(t.quantile.begin(), t.quantile.end(), [&](const auto& entry) { return entry.second == q; }));
    const Counts wanted{share(c.options.explain), share(c.options.test)};
    const Counts target = split_counts(available, wanted);
    EXPECT_LE(of_quantile(e.explain), wanted.explain);
    EXPECT_LE(of_quantile(e.test), wanted.test);
    if (e.documents_disjoint) continue;
    EXPECT_EQ(of_quantile(e.explain), target.explain);
    EXPECT_EQ(of_quantile(e.test), target.test);
  }
  const Counts silent = split_counts(e.silent_count, {c.options.silent, c.options.silent});
  if (!e.documents_disjoint) {
    EXPECT_EQ(e.explain_silent.size(), silent.explain);
    EXPECT_EQ(e.test_silent.size(), silent.test);
  }
}

void check_latent(const Case& c, std::uint32_t latent, const LatentExamples& e) {
  const Truth t = find_truth(c, latent);
  EXPECT_EQ(e.window_count, t.quantile.size());
  EXPECT_EQ(e.silent_count, t.maximum.size() - t.quantile.size());
  EXPECT_EQ(e.firing_count, static_cast<std::uint64_t>(std::count_if(t.activation.begin(), t.activation.end(),
                                                                     [](float a) { return a > 0.0F; })));
  const Status status = t.quantile.empty()                          ? Status::dead
                        : t.quantile.size() < c.options.min_windows ? Status::too_rare
                                                                    : Status::ok;
  ASSERT_EQ(e.status, status);
  std::set<std::uint32_t> all;
  for (const auto* windows : {&e.explain, &e.test, &e.explain_silent, &e.test_silent}) {
    const bool silent = windows == &e.explain_silent || windows == &e.test_silent;
    for (const Window& w : *windows) {
      check_window(c, t, w, silent);
      EXPECT_TRUE(all.insert(w.start).second) << "window " << w.start << " is there twice";
    }
  }
  if (status != Status::ok) {
    EXPECT_TRUE(all.empty());
    return;
  }
  EXPECT_TRUE(c.options.split_documents || !e.documents_disjoint);
  if (e.documents_disjoint) check_documents(c, e);
  check_counts(c, t, e);
}

bool same(const std::vector<Window>& a, const std::vector<Window>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Window& x, const Window& y) {
    return x.start == y.start && x.kind == y.kind && x.quantile == y.quantile && x.max == y.max &&
           x.activation == y.activation;
  });
}

bool same(const LatentExamples& a, const LatentExamples& b) {
  return a.latent == b.latent && a.status == b.status && a.window_count == b.window_count &&
         a.documents_disjoint == b.documents_disjoint && same(a.explain, b.explain) && same(a.test, b.test) &&
         same(a.explain_silent, b.explain_silent) && same(a.test_silent, b.test_silent);
}

TEST(BuilderProperties, HoldOnRandomRuns) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    const Case c = random_case(seed);
    const Sample run = make_run(c.firings, c.documents, kCtxLen, kLatents);
    Builder builder(run.reader, run.tokens, c.options);
    for (std::uint32_t f = 0; f < kLatents; ++f) {
      SCOPED_TRACE(f);
      check_latent(c, f, builder.build(LatentId{f}));
    }
    if (HasFailure()) return;
  }
}

TEST(BuilderProperties, ALatentsExamplesDependOnNothingElse) {
  const Case c = random_case(7);
  const Sample run = make_run(c.firings, c.documents, kCtxLen, kLatents);
  Builder upwards(run.reader, run.tokens, c.options);
  std::vector<LatentExamples> first;
  for (std::uint32_t f = 0; f < kLatents; ++f) first.push_back(upwards.build(LatentId{f}));
  Builder downwards(run.reader, run.tokens, c.options);
  for (std::uint32_t f = kLatents; f-- > 0;) EXPECT_TRUE(same(downwards.build(LatentId{f}), first[f])) << f;

  // The same latent with another seed or in another hookpoint: another choice.
  Options other = c.options;
  other.seed += 1;
  EXPECT_FALSE(same(Builder(run.reader, run.tokens, other).build(LatentId{20}), first[20]));
  const Sample elsewhere = make_run(c.firings, c.documents, kCtxLen, kLatents, "layers.2");
  EXPECT_FALSE(same(Builder(elsewhere.reader, elsewhere.tokens, c.options).build(LatentId{20}), first[20]));
}

TEST(BuilderProperties, ParallelBuildersGiveWhatOneGives) {
  const Case c = random_case(8);
  const Sample run = make_run(c.firings, c.documents, kCtxLen, kLatents);
  Builder one(run.reader, run.tokens, c.options);
  std::vector<LatentExamples> parallel(kLatents);
  std::vector<Builder> builders;
  for (int i = 0; i < 4; ++i) builders.emplace_back(run.reader, run.tokens, c.options);
  parallel_for(kLatents, builders.size(), [&](std::size_t item, std::size_t worker) {
    parallel[item] = builders[worker].build(LatentId{static_cast<std::uint32_t>(item)});
  });
  for (std::uint32_t f = 0; f < kLatents; ++f) EXPECT_TRUE(same(one.build(LatentId{f}), parallel[f])) << f;
}

/// Draws with many seeds: each window is chosen as often as any other of its kind.
TEST(BuilderProperties, WindowsAreChosenUniformly) {
  constexpr std::uint32_t kWindows = 120;
  const Sample run = make_run(testing::once_a_window(40, 4), testing::documents_of(kWindows, kWindows), 4, 1);
  Options options;
  options.window = 4;
  options.quantiles = 2;
  options.explain = options.test = 8;
  options.silent = 5;
  std::map<std::uint32_t, int> explain;
  std::map<std::uint32_t, int> silent;
  constexpr int kSeeds = 3000;
  for (int seed = 0; seed < kSeeds; ++seed) {
    options.seed = static_cast<std::uint64_t>(seed);
    const LatentExamples e = Builder(run.reader, run.tokens, options).build(LatentId{0});
    for (const Window& w : e.explain) ++explain[w.start];
    for (const Window& w : e.test_silent) ++silent[w.start];
  }
  ASSERT_EQ(explain.size(), 40U);
  ASSERT_EQ(silent.size(), 80U);
  // Binomial: standard deviations 22 and 13.3; five of them allow for the largest of 120.
  for (const auto& [start, count] : explain) EXPECT_NEAR(count, kSeeds * 8 / 40, 110) << start;
  for (const auto& [start, count] : silent) EXPECT_NEAR(count, kSeeds * 5 / 80.0, 67) << start;
}

}  // namespace
}  // namespace gloss::examples
