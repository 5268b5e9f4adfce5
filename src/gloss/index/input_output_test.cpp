#include "gloss/index/input_output.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "gloss/base/error.h"
#include "gloss/base/random.h"
#include "gloss/index/index_testing.h"
#include "gloss/index/latent_weights.h"

namespace gloss::index {
namespace {

using testing::Folder;

TEST(InputOutput, OutputScoreOfTheWorkedExample) {
  // Probabilities 0.5, 0.25, 0.125, 0.125.
  const std::vector<float> logits{std::log(0.5F), std::log(0.25F), std::log(0.125F), std::log(0.125F)};
  const std::vector<std::uint32_t> second{2, 1, kNoEntry};
  EXPECT_NEAR(output_score(logits, second), 0.75 * 0.25, 1e-7);
  const std::vector<std::uint32_t> first{3, 0};
  EXPECT_NEAR(output_score(logits, first), 0.5, 1e-7);
  const std::vector<std::uint32_t> tied{3};  // two are more probable, one is as probable
  EXPECT_NEAR(output_score(logits, tied), 0.5 * 0.125, 1e-7);
  const std::vector<std::uint32_t> none{kNoEntry, kNoEntry};
  EXPECT_EQ(output_score(logits, none), 0.0);
}

TEST(InputOutput, OutputScoreStandsLargeLogits) {
  const std::vector<float> logits{1000.0F, 990.0F, -1000.0F};
  const std::vector<std::uint32_t> promoted{1};
  EXPECT_NEAR(output_score(logits, promoted), (2.0 / 3.0) * std::exp(-10.0) / (1.0 + std::exp(-10.0)), 1e-12);
  const std::vector<std::uint32_t> hopeless{2};
  EXPECT_EQ(output_score(logits, hopeless), 0.0);
}

/// Contexts of 4 tokens; token i is i.
std::vector<TokenId> numbered(std::uint32_t count) {
  std::vector<TokenId> tokens(count);
  for (std::uint32_t i = 0; i < count; ++i) tokens[i] = TokenId{i};
  return tokens;
}

TEST(InputOutput, TheStrongestTokenOfAContextCounts) {
  const Folder folder;
  const std::vector<Firing> firings{{0, 1, 1.0F}, {0, 2, 3.0F}, {0, 5, 2.0F}, {0, 6, 2.0F}, {0, 11, 1.0F}};
  testing::write_index(folder.path(), testing::options(2, 4), firings, 16);
  const Reader reader = Reader::open(folder.path() / "index.safetensors");
  const std::vector<std::uint32_t> promoted{2, 5, 1, kNoEntry};  // 2 beats 1; of 5 and 6 the first counts; not 11
  const InputCount count = count_input(reader, numbered(16), LatentId{0}, promoted);
  EXPECT_EQ(count.contexts, 3U);
  EXPECT_EQ(count.hits, 2U);
  EXPECT_EQ(count_input(reader, numbered(16), LatentId{1}, promoted).contexts, 0U);
}

/// The same, by sorting all contexts.
InputCount slowly(const std::vector<Firing>& firings, std::uint32_t latent, std::uint32_t ctx_len,
                  const std::vector<std::uint32_t>& promoted) {
  std::map<std::uint32_t, Firing> strongest;
  for (const Firing& f : firings) {
    if (f.latent != latent) continue;
    const auto [at, added] = strongest.emplace(f.position / ctx_len, f);
    if (!added && f.activation > at->second.activation) at->second = f;
  }
  std::vector<Firing> sorted;
  sorted.reserve(strongest.size());
  for (const auto& [context, f] : strongest) sorted.push_back(f);
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Firing& a, const Firing& b) { return a.activation > b.activation; });
  if (sorted.size() > kMostInputContexts) sorted.resize(kMostInputContexts);
  InputCount count;
  for (const Firing& f : sorted) {
    ++count.contexts;
    count.hits += std::find(promoted.begin(), promoted.end(), f.position) != promoted.end() ? 1U : 0U;
  }
  return count;
}

TEST(InputOutput, TheStrongestHundredContextsAreThoseOfASort) {
  const Folder folder;
  constexpr std::uint32_t kTokens = 4000, kContext = 8;
  std::vector<Firing> firings = testing::random_firings(3, 6, kTokens, 0.3);
  Random random = Random::for_purpose(3, "values");
  for (Firing& f : firings) f.activation = 1.0F + static_cast<float>(random.below(40)) / 8.0F;  // many ties
  testing::write_index(folder.path(), testing::options(6, kContext), firings, kTokens);
  const Reader reader = Reader::open(folder.path() / "index.safetensors");
  const std::vector<TokenId> tokens = numbered(kTokens);
  std::vector<std::uint32_t> promoted;
  for (std::uint32_t i = 0; i < kTokens; i += 3) promoted.push_back(i);
  for (std::uint32_t f = 0; f < 6; ++f) {
    const InputCount fast = count_input(reader, tokens, LatentId{f}, promoted);
    const InputCount slow = slowly(firings, f, kContext, promoted);
    EXPECT_EQ(fast.contexts, slow.contexts) << f;
    EXPECT_EQ(fast.hits, slow.hits) << f;
  }
  EXPECT_EQ(count_input(reader, tokens, LatentId{5}, promoted).contexts, kMostInputContexts);
}

std::string error_of(const std::filesystem::path& path) {
  try {
    read_input_output(path);
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

TEST(InputOutput, ComesBackAsWritten) {
  const Folder folder;
  InputOutput scores = InputOutput::empty(3);
  scores.input[1] = 0.25F;
  scores.contexts[1] = 40;
  scores.output[2] = 0.5F;
  scores.made = {{"factor", "10"}};
  const auto path = folder.path() / "input-output.safetensors";
  write_input_output(path, scores);
  const InputOutput read = read_input_output(path);
  EXPECT_EQ(read.input_of(LatentId{0}), std::nullopt);
  EXPECT_EQ(read.input_of(LatentId{1}), 0.25);
  EXPECT_EQ(read.output_of(LatentId{1}), std::nullopt);
  EXPECT_EQ(read.output_of(LatentId{2}), 0.5);
  EXPECT_EQ(read.contexts, scores.contexts);
  EXPECT_EQ(read.made, scores.made);
}

TEST(InputOutput, ADamagedFileIsRefused) {
  const Folder folder;
  InputOutput scores = InputOutput::empty(3);
  const auto path = folder.path() / "input-output.safetensors";
  scores.output[0] = 1.5F;
  write_input_output(path, scores);
  EXPECT_NE(error_of(path).find("'output'"), std::string::npos) << error_of(path);
  scores.output[0] = 0.5F;
  write_input_output(path, scores);
  std::string bytes = read_file(path);
  bytes[bytes.size() - 30] = static_cast<char>(bytes[bytes.size() - 30] ^ 1);
  write_file(path, bytes);
  EXPECT_NE(error_of(path).find("checksum"), std::string::npos) << error_of(path);
  write_file(path, bytes.substr(0, 20));
  EXPECT_NE(error_of(path), "no error");
}

}  // namespace
}  // namespace gloss::index
