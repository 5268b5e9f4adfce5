#include "gloss/text/document_order.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "gloss/base/interrupt.h"
#include "gloss/text/corpus.h"
#include "gloss/text/test_support.h"

namespace gloss::text {
namespace {

TEST(Permutation, GivesEachNumberOnce) {
  for (const std::uint64_t n : {1U, 2U, 3U, 16U, 255U, 256U, 257U, 1000U, 4096U, 70000U}) {
    const Permutation order(n, 5);
    std::vector<bool> seen(n, false);
    for (std::uint64_t i = 0; i < n; ++i) {
      const std::uint64_t value = order(i);
      ASSERT_LT(value, n);
      EXPECT_FALSE(seen[value]) << n;
      seen[value] = true;
    }
  }
}

TEST(Permutation, AllOrdersOfThreeAreAboutAsFrequent) {
  std::map<std::vector<std::uint64_t>, int> counts;
  constexpr int kSeeds = 6000;
  for (int seed = 0; seed < kSeeds; ++seed) {
    const Permutation order(3, static_cast<std::uint64_t>(seed));
    ++counts[{order(0), order(1), order(2)}];
  }
  double chi2 = 0;
  for (const auto& [order, count] : counts) chi2 += (count - 1000.0) * (count - 1000.0) / 1000.0;
  EXPECT_EQ(counts.size(), 6U);
  EXPECT_LT(chi2, 20.5);  // 5 degrees of freedom, one in a thousand
}

std::vector<std::string> all_of(Corpus& corpus) {
  std::vector<std::string> out;
  while (std::optional<std::string> text = corpus.next()) out.push_back(std::move(*text));
  return out;
}

std::vector<std::string> shuffled(const TestFolder& folder, const std::filesystem::path& file, std::uint64_t seed) {
  Corpus corpus = Corpus::open({file});
  corpus.shuffle(seed, folder / "scratch");
  return all_of(corpus);
}

TEST(Shuffling, GivesTheSameDocumentsInAnOrderOfTheSeed) {
  const TestFolder folder;
  std::string lines;
  for (int i = 0; i < 500; ++i)
    lines += fmt::format("{{\"text\": \"{}\"}}\n", std::string(i % 7, 'x') + std::to_string(i));
  const auto file = folder.write("a.jsonl", lines);
  Corpus plain = Corpus::open({file});
  const std::vector<std::string> in_order = all_of(plain);
  const std::vector<std::string> one = shuffled(folder, file, 1);
  EXPECT_NE(one, in_order);
  EXPECT_THAT(one, ::testing::UnorderedElementsAreArray(in_order));
  EXPECT_EQ(shuffled(folder, file, 1), one);
  EXPECT_NE(shuffled(folder, file, 2), one);
  EXPECT_TRUE(std::filesystem::is_empty(folder / "scratch")) << "the scratch files are gone";
}

TEST(Shuffling, OfNoDocumentsIsNone) {
  const TestFolder folder;
  EXPECT_TRUE(shuffled(folder, folder.write("a.jsonl", "\n"), 1).empty());
}

TEST(Shuffling, LeavesNothingWhenInterrupted) {
  const TestFolder folder;
  const auto file = folder.write("a.txt", "x");
  set_interrupted(true);
  EXPECT_EQ(error_of([&] { shuffled(folder, file, 1); }), "interrupted");
  set_interrupted(false);
  EXPECT_TRUE(std::filesystem::is_empty(folder / "scratch"));
}

}  // namespace
}  // namespace gloss::text
