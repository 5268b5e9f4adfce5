/// Windows around their strongest token, against a slow and obvious reading of docs/methods.md 2.
#include "gloss/examples/active_windows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "gloss/base/half.h"
#include "gloss/base/random.h"
#include "gloss/examples/examples_testing.h"

namespace gloss::examples {
namespace {

using ::testing::ElementsAre;
using testing::make_run;
using testing::Sample;

constexpr LatentId kLatent{0};

struct Found {
  std::uint32_t start;
  float max;
  bool operator==(const Found& other) const { return start == other.start && max == other.max; }
};

std::vector<Found> found_by(const Sample& run, std::uint32_t window) {
  ActiveWindows active(run.reader, window);
  active.find(kLatent);
  active.center();
  std::vector<Found> result;
  for (const Active& a : active.windows()) {
    const Window w = active.make(a.start, 1);
    EXPECT_EQ(w.activation, activations_in(active.firings(), a.start, window));
    result.push_back({w.start, w.max});
  }
  return result;
}

std::vector<std::uint32_t> starts_of(const std::vector<Found>& found) {
  std::vector<std::uint32_t> starts;
  for (const Found& f : found) starts.push_back(f.start);
  return starts;
}

/// `a` [tokens]: the activations.
std::vector<Found> obvious(const std::vector<float>& a, std::uint32_t ctx_len, std::uint32_t window) {
  struct Candidate {
    std::uint32_t start;
    float strongest;
  };
  std::vector<Candidate> candidates;
  for (std::uint32_t begin = 0; begin < a.size(); begin += window) {
    const auto first = a.begin() + begin;
    const auto strongest = std::max_element(first, first + window);  // the first of equal ones
    if (*strongest <= 0.0F) continue;
    const auto at = static_cast<std::int64_t>(strongest - a.begin());
    const std::int64_t context = at / ctx_len * ctx_len;
    const std::int64_t offset = std::min<std::int64_t>(window - window / 4, window - 1);
    const std::int64_t start = std::clamp<std::int64_t>(at - offset, context, context + ctx_len - window);
    candidates.push_back({static_cast<std::uint32_t>(start), *strongest});
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& x, const Candidate& y) { return x.strongest > y.strongest; });
  std::vector<Found> kept;
  for (const Candidate& c : candidates) {
    const bool free = std::all_of(kept.begin(), kept.end(), [&](const Found& k) {
      return k.start + window <= c.start || c.start + window <= k.start;
    });
    if (free) kept.push_back({c.start, *std::max_element(a.begin() + c.start, a.begin() + c.start + window)});
  }
  std::sort(kept.begin(), kept.end(), [](const Found& x, const Found& y) { return x.start < y.start; });
  return kept;
}

TEST(CenteredWindows, AreThoseOfAnObviousReading) {
  Random random = Random::for_purpose(1, "centred");
  constexpr std::uint32_t kCtxLen = 16;
  for (int trial = 0; trial < 300; ++trial) {
    SCOPED_TRACE(trial);
    const std::uint32_t contexts = 1 + static_cast<std::uint32_t>(random.below(8));
    const std::uint32_t window = 1U << random.below(5);
    const double density = random.uniform();
    std::vector<float> a(std::size_t{contexts} * kCtxLen);
    std::vector<index::Firing> firings;
    for (std::uint32_t p = 0; p < a.size(); ++p) {
      if (random.uniform() > density) continue;
      a[p] = 0.5F * static_cast<float>(1 + random.below(6));  // many equal ones
      firings.push_back({0, p, a[p]});
    }
    const Sample run = make_run(firings, testing::documents_of(contexts, 1), kCtxLen, 1);
    ASSERT_EQ(found_by(run, window), obvious(a, kCtxLen, window));
  }
}

TEST(CenteredWindows, HaveTheirStrongestTokenAt24Of32) {
  const Sample run = make_run({{0, 40, 0.5F}, {0, 90, 1.0F}, {0, 100, 2.0F}}, {0}, 256, 1);
  const std::vector<Found> found = found_by(run, 32);
  EXPECT_THAT(starts_of(found), ElementsAre(16, 76))
      << "40 and 100 stand at 24; the window of 90 overlaps that of 100, the stronger";
  EXPECT_EQ(found[1].max, 2.0F);
}

// docs/methods.md 21, faults 3 and 4.
TEST(MethodsFault4, WindowsAtTheEdgesOfAContextAreMovedInsideIt) {
  // Contexts of 64: the first and the last token of the second one.
  const Sample run = make_run({{0, 64, 1.0F}, {0, 127, 2.0F}}, {0, 1, 2}, 64, 1);
  ActiveWindows active(run.reader, 32);
  active.find(kLatent);
  active.center();
  ASSERT_EQ(active.windows().size(), 2U);
  EXPECT_EQ(active.windows()[0].start, 64U);
  EXPECT_EQ(active.windows()[1].start, 96U);
  EXPECT_EQ(active.make(64, 1).activation[0], 1.0F);
  EXPECT_EQ(active.make(96, 1).activation[31], 2.0F);
}

TEST(MethodsFault3, CenteredWindowsCarryTheActivationsOfTheirOwnTokens) {
  std::vector<index::Firing> firings;
  for (std::uint32_t p = 0; p < 64; ++p) firings.push_back({0, p, 1.0F + static_cast<float>(p == 40 ? 100 : p % 7)});
  const Sample run = make_run(firings, {0}, 64, 1);
  ActiveWindows active(run.reader, 32);
  active.find(kLatent);
  active.center();
  ASSERT_EQ(active.windows().size(), 1U) << "the window around token 6 would overlap";
  const Window w = active.make(active.windows()[0].start, 10);
  EXPECT_EQ(w.start, 16U);
  EXPECT_EQ(w.max, 101.0F);
  for (std::uint32_t i = 0; i < 32; ++i)
    EXPECT_EQ(w.activation[i], 1.0F + static_cast<float>(16 + i == 40 ? 100 : (16 + i) % 7)) << i;
}

TEST(CenteredWindows, OfTwoEqualMaximaStandAroundTheFirst) {
  const Sample run = make_run({{0, 33, 2.0F}, {0, 60, 2.0F}}, {0}, 128, 1);
  EXPECT_THAT(starts_of(found_by(run, 32)), ElementsAre(9));
}

TEST(CenteredWindows, OfALatentThatFiresOnceIsOne) {
  const Sample run = make_run({{0, 77, 0.25F}}, {0}, 128, 1);
  EXPECT_THAT(starts_of(found_by(run, 32)), ElementsAre(53));
}

}  // namespace
}  // namespace gloss::examples
