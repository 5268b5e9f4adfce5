#include "gloss/text/bpe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "gloss/base/random.h"
#include "gloss/text/test_support.h"

namespace gloss::text {
namespace {

using Json = nlohmann::json;
using ::testing::ElementsAre;

std::vector<std::uint32_t> encode(const Bpe& model, std::string_view piece, bool raw_bytes = false) {
  std::vector<TokenId> ids;
  model.encode(piece, raw_bytes, ids);
  return numbers(ids);
}

/// Merges of a vocabulary of `letters` letters, at random but possible: products get new ids.
MergeTable random_merges(Random& random, std::uint32_t letters, std::uint32_t count) {
  MergeTable merges;
  std::uint32_t ids = letters;
  for (std::uint32_t rank = 0; rank < count; ++rank) {
    const auto left = static_cast<std::uint32_t>(random.below(ids));
    const auto right = static_cast<std::uint32_t>(random.below(ids));
    if (merges.find(pair_key(left, right)) == nullptr) merges.set(pair_key(left, right), {rank, ids++});
  }
  return merges;
}

TEST(Merging, AgreesWithTheDefinitionOnRandomRows) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Random random = Random::for_purpose(seed, "merging");
    const MergeTable merges = random_merges(random, 3, 40);
    for (const std::size_t size : {0U, 1U, 2U, 3U, 7U, 20U, 47U, 48U, 49U, 50U, 120U, 300U}) {
      std::vector<std::uint32_t> ids;
      for (std::size_t i = 0; i < size; ++i) ids.push_back(static_cast<std::uint32_t>(random.below(3)));
      std::vector<std::uint32_t> wanted = ids;
      apply_merges(merges, ids);
      apply_merges_slowly(merges, wanted);
      ASSERT_EQ(ids, wanted) << "seed " << seed << ", size " << size;
    }
  }
}

TEST(Merging, OfEqualRanksTakesTheLeftmost) {
  MergeTable merges;
  merges.set(pair_key(0, 0), {0, 1});
  std::vector<std::uint32_t> ids{0, 0, 0};
  apply_merges(merges, ids);
  EXPECT_THAT(ids, ElementsAre(1, 0));
}

TEST(Merging, AMillionSymbolsTakeNoLongTime) {
  MergeTable merges;
  for (std::uint32_t level = 0; level < 20; ++level) merges.set(pair_key(level, level), {level, level + 1});
  std::vector<std::uint32_t> ids(std::size_t{1} << 20, 0);
  apply_merges(merges, ids);
  EXPECT_THAT(ids, ElementsAre(20));
}

TEST(IdMap, AgreesWithAMapUnderGrowth) {
  IdMap<std::uint32_t> map;
  std::map<std::uint64_t, std::uint32_t> wanted;
  Random random(7);
  for (std::uint32_t i = 0; i < 5000; ++i) {
    const std::uint64_t key = random.below(4000) * 0x100000001ULL;
    map.set(key, i);
    wanted[key] = i;
  }
  for (std::uint64_t k = 0; k < 4100; ++k) {
    const std::uint64_t key = k * 0x100000001ULL;
    const auto it = wanted.find(key);
    const std::uint32_t* found = map.find(key);
    ASSERT_EQ(found != nullptr, it != wanted.end()) << key;
    if (found != nullptr) {
      ASSERT_EQ(*found, it->second);
    }
  }
}

/// As read from a file: whole numbers are unsigned.
Json model(const Json& vocab, const Json& merges) {
  const Json json = {{"type", "BPE"}, {"vocab", vocab}, {"merges", merges}};
  return Json::parse(json.dump());
}

TEST(Bpe, UnknownCharactersAreOneTokenOrOneEach) {
  Json json = model({{"<unk>", 0}, {"a", 1}}, Json::array());
  json["unk_token"] = "<unk>";
  EXPECT_THAT(encode(Bpe::parse(json, "m"), "axyéa"), ElementsAre(1, 0, 0, 0, 1));
  json["fuse_unk"] = true;
  EXPECT_THAT(encode(Bpe::parse(json, "m"), "axyéa"), ElementsAre(1, 0, 1));
}

TEST(Bpe, FallsBackToBytesOnlyWhenAllBytesOfACharacterAreTokens) {
  Json json = model({{"<unk>", 0}, {"a", 1}, {"<0xC3>", 2}, {"<0xA9>", 3}}, Json::array());
  json["unk_token"] = "<unk>";
  json["byte_fallback"] = true;
  EXPECT_THAT(encode(Bpe::parse(json, "m"), "aéa"), ElementsAre(1, 2, 3, 1));
  EXPECT_THAT(encode(Bpe::parse(json, "m"), "aèa"), ElementsAre(1, 0, 1));
  // an unknown character waits for a known one; bytes pass it by
  EXPECT_THAT(encode(Bpe::parse(json, "m"), "xéa"), ElementsAre(2, 3, 0, 1));
}

TEST(Bpe, IgnoringMergesTakesAWholePieceThatIsAToken) {
  Json json = model({{"a", 0}, {"b", 1}, {"ab", 2}, {"ba", 3}, {"bab", 4}}, {"a b", "b a"});
  EXPECT_THAT(encode(Bpe::parse(json, "m"), "bab"), ElementsAre(1, 2));
  json["ignore_merges"] = true;
  EXPECT_THAT(encode(Bpe::parse(json, "m"), "bab"), ElementsAre(4));
  EXPECT_THAT(encode(Bpe::parse(json, "m"), "baba"), ElementsAre(1, 2, 0));
}

TEST(Bpe, OfTwoRanksForOnePairTheLaterCounts) {
  const Json json = model({{"a", 0}, {"b", 1}, {"c", 2}, {"ab", 3}, {"bc", 4}}, {"a b", "b c", "a b"});
  EXPECT_THAT(encode(Bpe::parse(json, "m"), "abc"), ElementsAre(0, 4));
}

TEST(Bpe, CuttingAtWordsDoesNotChangeTheIds) {
  // "▁" begins words; "x" is unknown and vanishes when there is no token for unknown ones, so that its neighbours meet
  const Json vocab = {{"▁", 0}, {"a", 1}, {"▁▁", 2}, {"▁a", 3}, {"<unk>", 4}};
  Json json = model(vocab, {"▁ ▁", "▁ a"});
  EXPECT_THAT(encode(Bpe::parse(json, "m"), "a▁x▁a"), ElementsAre(1, 2, 1));
  json["unk_token"] = "<unk>";
  EXPECT_THAT(encode(Bpe::parse(json, "m"), "a▁x▁a"), ElementsAre(1, 0, 4, 3));
  EXPECT_THAT(encode(Bpe::parse(json, "m"), "▁▁▁a▁▁a"), ElementsAre(2, 3, 2, 1));
}

TEST(Bpe, ALongTextInOnePieceIsTheSameAsTheSlowWay) {
  Json vocab;
  for (const char* token : {"<unk>", "▁", "a", "b", "ab", "▁a", "▁ab", "ba", "aa", "▁▁"}) vocab[token] = vocab.size();
  Json json = model(vocab, {"a b", "▁ a", "▁ ab", "b a", "a a", "▁ ▁"});
  json["unk_token"] = "<unk>";
  const Bpe bpe = Bpe::parse(json, "m");
  MergeTable merges;
  std::uint32_t rank = 0;
  const auto id = [&](const char* token) { return vocab[token].get<std::uint32_t>(); };
  const std::vector<std::array<const char*, 3>> rows = {{"a", "b", "ab"}, {"▁", "a", "▁a"}, {"▁", "ab", "▁ab"},
                                                        {"b", "a", "ba"}, {"a", "a", "aa"}, {"▁", "▁", "▁▁"}};
  for (const auto& [left, right, both] : rows) merges.set(pair_key(id(left), id(right)), {rank++, id(both)});
  Random random(11);
  for (int round = 0; round < 300; ++round) {
    std::string text;
    std::vector<std::uint32_t> wanted;
    for (std::uint64_t i = random.below(200); i > 0; --i) {
      const std::array<const char*, 3> letters{"a", "b", "▁"};
      const char* letter = letters.at(random.below(3));
      text += letter;
      wanted.push_back(id(letter));
    }
    apply_merges_slowly(merges, wanted);
    ASSERT_EQ(encode(bpe, text), wanted) << text;
  }
}

}  // namespace
}  // namespace gloss::text
