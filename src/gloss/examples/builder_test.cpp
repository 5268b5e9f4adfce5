#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <functional>
#include <map>
#include <set>

#include "gloss/base/error.h"
#include "gloss/examples/examples.h"
#include "gloss/examples/examples_testing.h"
#include "gloss/examples/split.h"

namespace gloss::examples {
namespace {

using testing::documents_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::make_run;
using testing::once_a_window;
using testing::Sample;
using testing::sorted_starts;
using testing::starts;

constexpr LatentId kLatent{0};

LatentExamples build(const Sample& run, const Options& options, LatentId latent = kLatent) {
  return Builder(run.reader, run.tokens, options).build(latent);
}

/// Everything of `which` in one list, by start.
std::map<std::uint32_t, Window> by_start(const LatentExamples& e) {
  std::map<std::uint32_t, Window> all;
  for (const auto* windows : {&e.explain, &e.test}) {
    for (const Window& w : *windows) all[w.start] = w;
  }
  return all;
}

/// How many windows of each quantile 1..Q.
std::vector<int> per_quantile(const std::vector<Window>& windows, std::size_t quantiles) {
  std::vector<int> counts(quantiles);
  for (const Window& w : windows) ++counts.at(w.quantile - 1U);
  return counts;
}

std::string usage_error(const std::function<void()>& body, ErrorKind kind) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind);
    return error.what();
  }
  return "no error";
}

// docs/methods.md 2, first example: T = 8, W = 4.
TEST(Windows, AreRankedByTheirMaximum) {
  const Sample run = make_run({{0, 1, 2.0F}, {0, 2, 5.0F}, {0, 6, 1.0F}, {0, 8, 3.0F}}, {0, 1}, 8, 1);
  Options options;
  options.window = 4;
  options.quantiles = 3;
  options.min_windows = 1;
  options.explain = options.test = 3;
  options.split_documents = false;
  const LatentExamples e = build(run, options);
  EXPECT_EQ(e.status, Status::ok);
  EXPECT_EQ(e.window_count, 3U);
  EXPECT_EQ(e.silent_count, 1U);
  EXPECT_EQ(e.firing_count, 4U);
  EXPECT_EQ(e.max_activation, 5.0F);
  const auto windows = by_start(e);
  ASSERT_EQ(windows.size(), 3U);
  EXPECT_EQ(windows.at(0).quantile, 3);
  EXPECT_EQ(windows.at(8).quantile, 2);
  EXPECT_EQ(windows.at(4).quantile, 1);
  EXPECT_EQ(windows.at(0).max, 5.0F);
  EXPECT_THAT(windows.at(0).activation, ElementsAre(0.0F, 2.0F, 5.0F, 0.0F));
  EXPECT_THAT(windows.at(8).activation, ElementsAre(3.0F, 0.0F, 0.0F, 0.0F));
  EXPECT_THAT(sorted_starts(e.test_silent), ElementsAre(12));
  EXPECT_THAT(e.explain_silent, ::testing::IsEmpty());
}

// docs/methods.md 2, second example: n = 25, Q = 10.
TEST(Windows, HaveTheQuantileOfTheirRank) {
  const Sample run = make_run(once_a_window(25, 4), documents_of(30, 30), 4, 1);
  Options options;
  options.window = 4;
  options.explain = options.test = 100;
  const LatentExamples e = build(run, options);
  std::vector<int> quantiles;
  for (const auto& [start, window] : by_start(e)) quantiles.insert(quantiles.begin(), window.quantile);
  EXPECT_THAT(quantiles, ElementsAre(10, 10, 10, 9, 9, 8, 8, 8, 7, 7, 6, 6, 6, 5, 5, 4, 4, 4, 3, 3, 2, 2, 2, 1, 1));
}

TEST(Windows, OfEqualMaximaAreRankedByPosition) {
  std::vector<index::Firing> firings;
  for (std::uint32_t w = 0; w < 24; ++w) firings.push_back({0, w * 4, 2.0F});
  const Sample run = make_run(firings, documents_of(24, 24), 4, 1);
  Options options;
  options.window = 4;
  options.quantiles = 4;
  options.explain = options.test = 100;
  for (const auto& [start, window] : by_start(build(run, options)))
    EXPECT_EQ(window.quantile, 4 - (start / 4) * 4 / 24) << start;
}

TEST(Windows, NeverReachOverTheEdgeOfAContext) {
  // Contexts of 8, windows of 4: the last token of one context and the first of the next are in different windows.
  const Sample run = make_run({{0, 7, 1.0F}, {0, 8, 2.0F}}, {0, 1}, 8, 1);
  Options options;
  options.window = 4;
  options.min_windows = 1;
  options.quantiles = 1;
  const LatentExamples e = build(run, options);
  EXPECT_EQ(e.window_count, 2U);
  const auto windows = by_start(e);
  EXPECT_THAT(windows.at(4).activation, ElementsAre(0.0F, 0.0F, 0.0F, 1.0F));
  EXPECT_THAT(windows.at(8).activation, ElementsAre(2.0F, 0.0F, 0.0F, 0.0F));
}

// docs/methods.md 21, fault 1.
TEST(MethodsFault1, NoTestWindowWasShownToTheExplainer) {
  for (const std::uint32_t windows : {200, 1000}) {
    for (const bool split_documents : {false, true}) {
      const Sample run = make_run(once_a_window(windows, 4), documents_of(windows + 200, 2), 4, 1);
      Options options;
      options.window = 4;
      options.split_documents = split_documents;
      const LatentExamples e = build(run, options);
      std::set<std::uint32_t> seen;
      for (const auto* part : {&e.explain, &e.test, &e.explain_silent, &e.test_silent}) {
        for (const Window& w : *part) EXPECT_TRUE(seen.insert(w.start).second) << w.start;
      }
      EXPECT_EQ(e.explain.size(), 40U);
      EXPECT_EQ(e.test.size(), 70U);
      EXPECT_EQ(e.explain_silent.size(), 50U);
      EXPECT_EQ(e.test_silent.size(), 50U);
      EXPECT_THAT(per_quantile(e.explain, 10), ::testing::Each(4));
      EXPECT_THAT(per_quantile(e.test, 10), ::testing::Each(7));
    }
  }
}

// docs/methods.md 21, fault 2: what is not asked to be centred is not.
TEST(MethodsFault2, PlainWindowsAreCutAtMultiplesOfTheirLength) {
  const Sample run = make_run(once_a_window(100, 8), documents_of(50, 5), 16, 1);
  Options options;
  options.window = 8;
  for (const auto& [start, window] : by_start(build(run, options))) {
    EXPECT_EQ(start % 8, 0U);
    EXPECT_EQ(window.activation.at(start / 8 % 8), window.max) << "activations are where the tokens are";
  }
}

// docs/methods.md 21, fault 5.
TEST(MethodsFault5, TheWeakestWindowsBelongToAQuantileToo) {
  const Sample run = make_run(once_a_window(29, 4), documents_of(29, 29), 4, 1);
  Options options;
  options.window = 4;
  options.explain = options.test = 1000;
  const LatentExamples e = build(run, options);
  EXPECT_EQ(e.explain.size() + e.test.size(), 29U);
  const auto windows = by_start(e);
  for (std::uint32_t w = 0; w < 3; ++w) EXPECT_LE(windows.at(4 * w).quantile, 2);
  EXPECT_EQ(windows.at(0).quantile, 1);
}

// docs/methods.md 21, fault 7.
TEST(MethodsFault7, SilentWindowsComeOnceAndDifferBetweenLatents) {
  std::vector<index::Firing> firings;
  for (const index::Firing& f : once_a_window(100, 4)) {
    firings.push_back(f);
    firings.push_back({1, f.position, f.activation});
  }
  const Sample run = make_run(firings, documents_of(1000, 4), 4, 2);
  Options options;
  options.window = 4;
  const LatentExamples a = build(run, options, LatentId{0});
  const LatentExamples b = build(run, options, LatentId{1});
  const auto distinct = [](const std::vector<Window>& windows) {
    const auto all = starts(windows);
    return std::set<std::uint32_t>(all.begin(), all.end()).size();
  };
  EXPECT_EQ(distinct(a.test_silent), 50U);
  EXPECT_EQ(distinct(a.explain_silent), 50U);
  EXPECT_NE(sorted_starts(a.test_silent), sorted_starts(b.test_silent));
  EXPECT_NE(sorted_starts(a.explain), sorted_starts(b.explain));
}

TEST(MethodsFault7, TooFewSilentWindowsAreGivenAsFarAsTheyGo) {
  const Sample run = make_run(once_a_window(93, 4), documents_of(100, 1), 4, 1);
  Options options;
  options.window = 4;
  options.split_documents = false;
  LatentExamples e = build(run, options);
  EXPECT_EQ(e.silent_count, 7U);
  EXPECT_EQ(e.test_silent.size(), 3U);
  EXPECT_EQ(e.explain_silent.size(), 4U);
  options.split_documents = true;
  e = build(run, options);
  EXPECT_GE(e.test_silent.size() + e.explain_silent.size(), 3U);
}

TEST(Splits, FollowTheRuleWhenThereAreTooFewWindows) {
  const auto expect = [](std::uint64_t m, std::uint64_t e, std::uint64_t t, std::uint64_t explain, std::uint64_t test) {
    const Counts counts = split_counts(m, {e, t});
    EXPECT_EQ(counts.explain, explain) << m;
    EXPECT_EQ(counts.test, test) << m;
  };
  expect(11, 4, 7, 4, 7);
  expect(1000, 4, 7, 4, 7);
  expect(10, 4, 7, 4, 6);
  expect(2, 4, 7, 1, 1);
  expect(1, 4, 7, 0, 1);
  expect(0, 4, 7, 0, 0);
  expect(3, 50, 50, 2, 1);
  expect(5, 4, 0, 4, 0);
  expect(3, 4, 0, 3, 0);
  expect(3, 0, 7, 0, 3);
}

TEST(Splits, GiveQuantilesTheirSharesWhenThereAreTooFewWindows) {
  const Sample run =
      make_run(once_a_window(60, 4), documents_of(300, 1), 4, 1);  // 6 a quantile: test floor(6*7/11) = 3
  Options options;
  options.window = 4;
  options.split_documents = false;
  const LatentExamples e = build(run, options);
  EXPECT_THAT(per_quantile(e.explain, 10), ::testing::Each(3));
  EXPECT_THAT(per_quantile(e.test, 10), ::testing::Each(3));
}

TEST(Splits, SpreadNumbersThatQuantilesDoNotDivide) {
  const Sample run = make_run(once_a_window(900, 4), documents_of(1000, 1), 4, 1);
  Options options;
  options.window = 4;
  options.explain = 45;
  options.test = 13;
  const LatentExamples e = build(run, options);
  EXPECT_EQ(e.explain.size(), 45U);
  EXPECT_EQ(e.test.size(), 13U);
  for (const int count : per_quantile(e.explain, 10)) EXPECT_TRUE(count == 4 || count == 5) << count;
  for (const int count : per_quantile(e.test, 10)) EXPECT_TRUE(count == 1 || count == 2) << count;
}

TEST(Splits, OneDocumentForEverythingIsSplitByWindowsAndSaysSo) {
  const Sample run = make_run(once_a_window(150, 4), documents_of(400, 400), 4, 1);
  Options options;
  options.window = 4;
  const LatentExamples e = build(run, options);
  EXPECT_FALSE(e.documents_disjoint);
  EXPECT_EQ(e.explain.size(), 40U);
  EXPECT_EQ(e.test.size(), 70U);
  EXPECT_EQ(e.test_silent.size(), 50U);
}

TEST(Splits, ALatentOfOneDocumentIsSplitByWindowsAndSaysSo) {
  // Documents of 100 contexts; the latent fires in the first one only.
  const Sample run = make_run(once_a_window(90, 4), documents_of(400, 100), 4, 1);
  Options options;
  options.window = 4;
  const LatentExamples e = build(run, options);
  EXPECT_FALSE(e.documents_disjoint);
  EXPECT_THAT(per_quantile(e.explain, 10), ::testing::Each(4));
  EXPECT_THAT(per_quantile(e.test, 10), ::testing::Each(5));
}

TEST(Splits, TwoDocumentsGoOneToEachSide) {
  const Sample run = make_run(once_a_window(150, 4), documents_of(200, 100), 4, 1);
  Options options;
  options.window = 4;
  const LatentExamples e = build(run, options);
  EXPECT_TRUE(e.documents_disjoint);
  EXPECT_FALSE(e.explain.empty());
  EXPECT_FALSE(e.test.empty());
  EXPECT_FALSE(e.explain_silent.empty() && e.test_silent.empty());
  std::set<std::uint32_t> explain;
  std::set<std::uint32_t> test;
  for (const std::uint32_t s : starts(e.explain)) explain.insert(s / 400);
  for (const std::uint32_t s : starts(e.explain_silent)) explain.insert(s / 400);
  for (const std::uint32_t s : starts(e.test)) test.insert(s / 400);
  for (const std::uint32_t s : starts(e.test_silent)) test.insert(s / 400);
  EXPECT_EQ(explain.size(), 1U);
  EXPECT_EQ(test.size(), 1U);
  EXPECT_NE(*explain.begin(), *test.begin());
}

TEST(Examples, OfDeadAndRareLatentsAreCountsOnly) {
  std::vector<index::Firing> firings = once_a_window(19, 4);
  const Sample run = make_run(firings, documents_of(50, 1), 4, 2);
  Options options;
  options.window = 4;
  const LatentExamples rare = build(run, options);
  EXPECT_EQ(rare.status, Status::too_rare);
  EXPECT_EQ(rare.window_count, 19U);
  EXPECT_EQ(rare.silent_count, 31U);
  EXPECT_EQ(rare.max_activation, 19.0F);
  EXPECT_TRUE(rare.explain.empty() && rare.test.empty() && rare.test_silent.empty());
  const LatentExamples dead = build(run, options, LatentId{1});
  EXPECT_EQ(dead.status, Status::dead);
  EXPECT_EQ(dead.firing_count, 0U);
  EXPECT_EQ(dead.silent_count, 50U);
  EXPECT_EQ(name_of(Status::too_rare), "too_rare");
  EXPECT_EQ(name_of(Status::dead), "dead");
  EXPECT_EQ(name_of(Status::ok), "ok");
}

TEST(Examples, OfALatentThatFiresOnceAreOneWindow) {
  const Sample run = make_run({{0, 9, 0.5F}}, documents_of(3, 1), 8, 1);
  Options options;
  options.window = 4;
  options.min_windows = 1;
  const LatentExamples e = build(run, options);
  EXPECT_EQ(e.status, Status::ok);
  EXPECT_TRUE(e.explain.empty());
  ASSERT_EQ(e.test.size(), 1U);
  EXPECT_EQ(e.test[0].start, 8U);
  EXPECT_EQ(e.test[0].quantile, 10);
  EXPECT_THAT(e.test[0].activation, ElementsAre(0.0F, 0.5F, 0.0F, 0.0F));
  EXPECT_EQ(e.silent_count, 5U);
}

TEST(Examples, OfALatentThatFiresEverywhereHaveNoSilentWindows) {
  std::vector<index::Firing> firings;
  for (std::uint32_t p = 0; p < 1600; ++p) firings.push_back({0, p, 1.0F + static_cast<float>(p % 13)});
  const Sample run = make_run(firings, documents_of(200, 2), 8, 1);
  Options options;
  options.window = 4;
  const LatentExamples e = build(run, options);
  EXPECT_EQ(e.window_count, 400U);
  EXPECT_EQ(e.silent_count, 0U);
  EXPECT_EQ(e.explain.size(), 40U);
  EXPECT_EQ(e.test.size(), 70U);
  EXPECT_TRUE(e.explain_silent.empty());
  EXPECT_TRUE(e.test_silent.empty());
}

TEST(Examples, MarkedTokensReachAShareOfTheWindowsMaximum) {
  Window w;
  w.max = 10.0F;
  w.activation = {0.0F, 2.9F, 3.0F, 10.0F};
  EXPECT_FALSE(is_marked(w, 0, 0.3F));
  EXPECT_FALSE(is_marked(w, 1, 0.3F));
  EXPECT_TRUE(is_marked(w, 3, 0.3F));
  EXPECT_FALSE(is_marked(w, 0, 0.0F)) << "what is silent is never marked";
}

TEST(Builder, RefusesWindowsThatDoNotFitTheContexts) {
  const Sample run = make_run({{0, 1, 1.0F}}, {0, 1}, 8, 1);
  Options options;
  options.window = 3;
  const auto open = [&] { Builder(run.reader, run.tokens, options); };
  EXPECT_EQ(usage_error(open, ErrorKind::usage), "--window: 3 tokens do not divide the contexts of 8 tokens");
  options.window = 0;
  EXPECT_EQ(usage_error(open, ErrorKind::usage), "--window: 0 tokens do not divide the contexts of 8 tokens");
  options.window = 4;
  options.quantiles = 256;
  EXPECT_EQ(usage_error(open, ErrorKind::usage), "--quantiles: is 256, wanted 1 to 255");
}

TEST(Builder, RefusesTokensOfAnotherRun) {
  const Sample a = make_run({{0, 1, 1.0F}}, {0, 1}, 8, 1);
  const Sample b = make_run({{0, 1, 1.0F}}, {0, 1, 2}, 8, 1);
  Options options;
  options.window = 4;
  EXPECT_THAT(usage_error([&] { Builder(a.reader, b.tokens, options); }, ErrorKind::bad_input),
              HasSubstr("covers 16 tokens in contexts of 8, but the token file has 24 in contexts of 8"));
  const Sample c = make_run({{0, 1, 1.0F}}, {0, 1}, 8, 1, "layers.1", {{"tokens_fingerprint", "another"}});
  EXPECT_THAT(usage_error([&] { Builder(c.reader, c.tokens, options); }, ErrorKind::bad_input),
              HasSubstr("was made from tokens another, but the token file is " + c.tokens.fingerprint()));
}

TEST(Builder, RefusesFiringsThatTheIndexHasDamaged) {
  const index::testing::Folder folder;
  index::WriterOptions options = index::testing::options(1, 8);
  options.full_precision = true;
  const std::vector<index::Firing> firings{{0, 3, 1.0F}, {0, 5, 2.0F}};
  index::testing::write_index(folder.path(), options, firings, 16);
  const Sample run = make_run(firings, {0, 1}, 8, 1);
  const std::string good = folder.index_bytes();
  const auto place_of = [&](const auto& values) {
    return good.find(std::string(reinterpret_cast<const char*>(values.data()), sizeof(values)));
  };
  const std::size_t positions = place_of(std::array<std::uint32_t, 2>{3, 5});
  const std::size_t activations = place_of(std::array<float, 2>{1.0F, 2.0F});
  ASSERT_NE(positions, std::string::npos);
  ASSERT_NE(activations, std::string::npos);
  const auto error_with = [&](std::size_t place, std::uint32_t bits) {
    std::string bad = good;
    std::memcpy(bad.data() + place, &bits, sizeof(bits));
    Options o;
    o.window = 4;
    o.min_windows = 1;
    Builder builder(index::Reader::parse(MappedFile::of_bytes(bad, "ix")), run.tokens, o);
    return usage_error([&] { builder.build(kLatent); }, ErrorKind::bad_input);
  };
  EXPECT_THAT(error_with(activations + 4, 0),
              HasSubstr("ix: latent 0: firing 1 is at position 5 with activation bits 0x0"));
  EXPECT_THAT(error_with(activations, 0x7FC00000),
              HasSubstr("firing 0 is at position 3 with activation bits 0x7fc00000"));
  EXPECT_THAT(error_with(positions + 4, 16), HasSubstr("firing 1 is at position 16 with"));
  EXPECT_THAT(error_with(positions + 4, 3), HasSubstr("not ascending below 16"));
}

}  // namespace
}  // namespace gloss::examples
