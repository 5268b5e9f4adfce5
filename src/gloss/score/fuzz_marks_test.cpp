#include "gloss/score/fuzz_marks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "gloss/base/error.h"
#include "gloss/score/judge.h"

namespace gloss::score {
namespace {

using examples::LatentExamples;
using examples::Window;
using examples::WindowKind;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Window window_of(std::vector<float> activation, std::uint32_t start = 0, std::uint8_t quantile = 1) {
  Window w;
  w.start = start;
  w.activation = std::move(activation);
  w.max = w.activation.empty() ? 0.0F : *std::max_element(w.activation.begin(), w.activation.end());
  w.kind = w.max > 0.0F ? WindowKind::activating : WindowKind::silent_random;
  w.quantile = w.max > 0.0F ? quantile : 0;
  return w;
}

Window random_window(Random& random, std::size_t width) {
  std::vector<float> activation(width);
  const double density = random.uniform();
  for (float& a : activation) a = random.uniform() < density ? 1.0F : 0.0F;
  return window_of(std::move(activation));
}

std::size_t count(const std::vector<bool>& marked) {
  return static_cast<std::size_t>(std::count(marked.begin(), marked.end(), true));
}

TEST(FuzzMarks, RunsAreOfAdjacentMarkedTokens) {
  EXPECT_THAT(run_lengths({}), ElementsAre());
  EXPECT_THAT(run_lengths({false, false}), ElementsAre());
  EXPECT_THAT(run_lengths({true, true, false, true, false, true, true, true}), ElementsAre(2, 1, 3));
}

TEST(FuzzMarks, MatchedOnesHaveTheRunsAskedForWhereTheyFit) {
  Window w = window_of(std::vector<float>(32, 0.0F));
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    std::vector<std::size_t> lengths = run_lengths(matched_marks(w, {1, 3, 2, 1}, Random(seed)));
    std::sort(lengths.begin(), lengths.end());
    EXPECT_THAT(lengths, ElementsAre(1, 1, 2, 3)) << seed;
  }
}

TEST(FuzzMarks, MatchedOnesMarkAsManyTokensAsThereAreSilentOnesFor) {
  Random random = Random::for_purpose(1, "windows");
  for (std::uint64_t trial = 0; trial < 500; ++trial) {
    const Window w = random_window(random, 1 + random.below(40));
    std::vector<std::size_t> lengths(random.below(6));
    for (std::size_t& length : lengths) length = 1 + random.below(5);
    const std::vector<bool> marked = matched_marks(w, lengths, Random(trial));
    ASSERT_EQ(marked.size(), w.activation.size());
    std::size_t silent = 0;
    for (std::size_t i = 0; i < marked.size(); ++i) {
      silent += w.activation[i] > 0.0F ? 0 : 1;
      ASSERT_FALSE(marked[i] && w.activation[i] > 0.0F) << "a token that fires was marked";
    }
    const std::size_t wanted = std::accumulate(lengths.begin(), lengths.end(), std::size_t{0});
    ASSERT_EQ(count(marked), std::min(wanted, silent)) << "trial " << trial;
    ASSERT_EQ(marked, matched_marks(w, lengths, Random(trial)));
  }
}

// docs/methods.md 21, fault 6.
TEST(FuzzMarks, MatchedOnesFavourNoPlace) {
  const Window w = window_of(std::vector<float>(16, 0.0F));
  std::vector<int> hits(16);
  constexpr int kSeeds = 4000;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    const std::vector<bool> marked = matched_marks(w, {1}, Random(seed));
    for (std::size_t i = 0; i < hits.size(); ++i) hits[i] += marked[i] ? 1 : 0;
  }
  for (const int n : hits) EXPECT_NEAR(n, kSeeds / 16, 77) << "five standard deviations";
}

TEST(FuzzMarks, OfANeighbourAreWhereItFires) {
  Window w = window_of({0, 0, 0, 0});
  w.kind = WindowKind::silent_neighbour;
  w.neighbour = {LatentId{3}, 1, {0.0F, 4.0F, 1.0F, 1.3F}};
  EXPECT_EQ(neighbour_marks(w, 0.3F), (std::vector<bool>{false, true, false, true}));
}

/// Two quantiles of seven windows each with runs of 1 and 2, and 30 silent windows, every other one a neighbour's.
LatentExamples some_examples() {
  LatentExamples e;
  e.latent = LatentId{5};
  for (std::uint32_t i = 0; i < 14; ++i)
    e.test.push_back(window_of({0, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0}, 100 * i, static_cast<std::uint8_t>(1 + i / 7)));
  for (std::uint32_t i = 0; i < 30; ++i) {
    e.test_silent.push_back(window_of(std::vector<float>(12, 0.0F), 10'000 + 100 * i));
    if (i % 2 == 0) continue;
    e.test_silent.back().kind = WindowKind::silent_neighbour;
    e.test_silent.back().neighbour = {LatentId{i}, 1, {0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0}};
  }
  return e;
}

struct Marked {
  std::size_t right = 0, wrong = 0, wrong_in_activating = 0;
};

Marked ask(Scorer scorer, const std::function<void(const Question&)>& each_wrong) {
  QuestionOptions options;
  options.quantiles = 2;
  Marked found;
  for (const Question& q : make_questions(scorer, "layers.1", some_examples(), options)) {
    if (q.truth) {
      ++found.right;
      EXPECT_EQ(q.marked, right_marks(q.window, options.tau));
      continue;
    }
    ++found.wrong;
    if (q.window.kind == WindowKind::activating) ++found.wrong_in_activating;
    for (std::size_t i = 0; i < q.marked.size(); ++i) EXPECT_FALSE(q.marked[i] && q.window.activation[i] > 0.0F);
    each_wrong(q);
  }
  return found;
}

std::vector<std::size_t> sorted_runs(const Question& q) {
  std::vector<std::size_t> lengths = run_lengths(q.marked);
  std::sort(lengths.begin(), lengths.end());
  return lengths;
}

TEST(FuzzKinds, MarkWronglyWhatTheirNameSays) {
  Marked m = ask(Scorer::fuzz, [](const Question& q) { EXPECT_EQ(count(q.marked), 3U); });
  EXPECT_EQ(m.right, 10U);
  EXPECT_EQ(m.wrong_in_activating, 4U);

  m = ask(Scorer::fuzz_matched, [](const Question& q) { EXPECT_THAT(sorted_runs(q), ElementsAre(1, 2)); });
  EXPECT_EQ(m.right, 10U);
  EXPECT_EQ(m.wrong_in_activating, 4U);

  m = ask(Scorer::fuzz_silent, [](const Question& q) {
    EXPECT_NE(q.window.kind, WindowKind::activating);
    EXPECT_EQ(count(q.marked), 3U);
  });
  EXPECT_EQ(m.right, 10U);
  EXPECT_EQ(m.wrong, 4U);

  m = ask(Scorer::fuzz_silent_matched, [](const Question& q) {
    EXPECT_NE(q.window.kind, WindowKind::activating);
    EXPECT_THAT(sorted_runs(q), ElementsAre(1, 2));
  });
  EXPECT_EQ(m.wrong, 4U);

  m = ask(Scorer::fuzz_neighbours, [](const Question& q) {
    EXPECT_EQ(q.window.kind, WindowKind::silent_neighbour);
    EXPECT_EQ(q.marked, neighbour_marks(q.window, 0.3F));
    EXPECT_EQ(count(q.marked), 1U);
  });
  EXPECT_EQ(m.right, 10U);
  EXPECT_EQ(m.wrong, 4U);
}

TEST(FuzzKinds, AreNamedByShapeAndWindows) {
  EXPECT_EQ(fuzz_scorer("scattered", "own"), Scorer::fuzz);
  EXPECT_EQ(fuzz_scorer("matched", "own"), Scorer::fuzz_matched);
  EXPECT_EQ(fuzz_scorer("scattered", "silent"), Scorer::fuzz_silent);
  EXPECT_EQ(fuzz_scorer("matched", "silent"), Scorer::fuzz_silent_matched);
  EXPECT_EQ(fuzz_scorer("scattered", "neighbours"), Scorer::fuzz_neighbours);
  for (const Scorer s : {Scorer::detection, Scorer::fuzz, Scorer::fuzz_matched, Scorer::fuzz_silent,
                         Scorer::fuzz_silent_matched, Scorer::fuzz_neighbours})
    EXPECT_EQ(parse_scorer(name_of(s)), s);
  const auto error = [](std::string_view shape, std::string_view negatives) -> std::string {
    try {
      fuzz_scorer(shape, negatives);
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_THAT(error("matchd", "own"), HasSubstr("did you mean 'matched'?"));
  EXPECT_THAT(error("matched", "silence"), HasSubstr("'silence'"));
  EXPECT_THAT(error("matched", "neighbours"), HasSubstr("leave --fuzz-shape out"));
}

}  // namespace
}  // namespace gloss::score
