#include "gloss/index/cooccurrence.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "gloss/base/error.h"
#include "gloss/index/index_testing.h"

namespace gloss::index {
namespace {

using testing::Folder;

constexpr std::uint32_t kNone = 0xFFFFFFFF;

Reader make_index(const Folder& folder, std::span<const Firing> firings, std::uint32_t latents, std::uint32_t tokens) {
  testing::write_index(folder.path(), testing::options(latents, 1), firings, tokens);
  return Reader::open(folder.path() / "index.safetensors");
}

Cooccurring find(const Reader& index, CooccurrenceOptions options) {
  SilentReporter reporter;
  return cooccurring(index, options, reporter);
}

CooccurrenceOptions options(std::size_t n, std::uint64_t min_count, std::size_t threads = 2,
                            std::uint64_t memory = 1 << 20) {
  CooccurrenceOptions o;
  o.n = n;
  o.min_count = min_count;
  o.threads = threads;
  o.memory_bytes = memory;
  return o;
}

/// Sets and their intersections, one pair after the other.
void expect_brute_force(const Reader& index, const Cooccurring& found, std::uint64_t min_count) {
  std::vector<std::set<std::uint32_t>> fires(index.latent_count());
  for (std::uint32_t f = 0; f < index.latent_count(); ++f) {
    const Firings firings = index.firings(LatentId{f});
    fires[f].insert(firings.position.begin(), firings.position.end());
  }
  for (std::uint32_t a = 0; a < index.latent_count(); ++a) {
    std::vector<std::pair<double, std::uint32_t>> others;
    for (std::uint32_t b = 0; b < index.latent_count(); ++b) {
      std::set<std::uint32_t> both = fires[a];
      both.insert(fires[b].begin(), fires[b].end());
      const std::size_t common = fires[a].size() + fires[b].size() - both.size();
      if (a != b && common >= std::max<std::uint64_t>(1, min_count))
        others.emplace_back(static_cast<double>(common) / static_cast<double>(both.size()), b);
    }
    std::stable_sort(others.begin(), others.end(), [](const auto& x, const auto& y) { return x.first > y.first; });
    for (std::size_t i = 0; i < found.n; ++i) {
      EXPECT_EQ(found.latent[a * found.n + i], i < others.size() ? others[i].second : kNone) << a << " " << i;
      EXPECT_EQ(found.jaccard[a * found.n + i], i < others.size() ? static_cast<float>(others[i].first) : 0.0F);
    }
  }
}

TEST(Cooccurrence, TheExampleOfTheMethods) {
  const Folder folder;
  std::vector<Firing> firings;
  for (std::uint32_t p = 0; p < 10; ++p) {
    if (p >= 1 && p <= 5) firings.push_back({0, p, 1.0F});
    if (p == 3 || p == 4 || p == 5 || p == 9) firings.push_back({2, p, 1.0F});
  }
  const Reader index = make_index(folder, firings, 3, 10);
  const Cooccurring found = find(index, options(2, 1));
  EXPECT_EQ(found.latent, (std::vector<std::uint32_t>{2, kNone, kNone, kNone, 0, kNone}));
  EXPECT_EQ(found.jaccard, (std::vector<float>{0.5F, 0, 0, 0, 0.5F, 0}));
  EXPECT_EQ(find(index, options(1, 4)).latent, std::vector<std::uint32_t>(3, kNone)) << "only three common tokens";
  EXPECT_EQ(find(index, options(1, 3)).latent, (std::vector<std::uint32_t>{2, kNone, 0}));
}

TEST(Cooccurrence, IsThatOfBruteForceTiesAndDeadLatentsIncluded) {
  struct Size {
    std::uint32_t latents, tokens;
    double density;
  };
  for (const Size& s :
       {Size{1, 20, 0.5}, Size{2, 1, 1.0}, Size{40, 300, 0.1}, Size{150, 90, 0.3}, Size{130, 400, 0.02}}) {
    const Folder folder;
    const auto firings = testing::random_firings(s.latents, s.latents, s.tokens, s.density);
    const Reader index = make_index(folder, firings, s.latents, s.tokens);
    for (const std::uint64_t min_count : {0, 1, 4}) {
      SCOPED_TRACE(std::to_string(s.latents) + " latents, min_count " + std::to_string(min_count));
      expect_brute_force(index, find(index, options(7, min_count)), min_count);
    }
  }
}

TEST(Cooccurrence, MemoryAndThreadsChangeNothing) {
  const Folder folder;
  const auto firings = testing::random_firings(3, 200, 500, 0.2);
  const Reader index = make_index(folder, firings, 200, 500);
  const Cooccurring whole = find(index, options(10, 2, 1));
  for (const std::uint64_t memory : {0, 400, 4000, 1 << 20}) {
    for (const std::size_t threads : {0, 1, 4}) {
      const Cooccurring part = find(index, options(10, 2, threads, memory));
      EXPECT_EQ(part.latent, whole.latent) << memory << " bytes, " << threads << " threads";
      EXPECT_EQ(part.jaccard, whole.jaccard);
    }
  }
}

TEST(Cooccurrence, APositionBeyondTheTokensIsAnError) {
  const Folder folder;
  const auto firings = testing::random_firings(3, 20, 50, 0.2);
  make_index(folder, firings, 20, 50);
  std::string bytes = folder.index_bytes();
  const Reader whole = Reader::open(folder.path() / "index.safetensors");
  const auto position = whole.firings(LatentId{19}).position;
  const std::string wanted(reinterpret_cast<const char*>(position.data()), position.size_bytes());
  const std::size_t at = bytes.find(wanted);
  ASSERT_NE(at, std::string::npos);
  const std::uint32_t beyond = 50;
  std::memcpy(bytes.data() + at + wanted.size() - 4, &beyond, 4);
  write_file(folder.path() / "damaged.safetensors", bytes);
  const Reader damaged = Reader::open(folder.path() / "damaged.safetensors");
  try {
    find(damaged, options(3, 1));
    FAIL() << "accepted";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("latent 19 fires at position 50, but there are 50 tokens"), std::string::npos)
        << e.what();
  }
}

}  // namespace
}  // namespace gloss::index
