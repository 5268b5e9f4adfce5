#include "gloss/index/statistics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "gloss/base/error.h"
#include "gloss/base/half.h"
#include "gloss/formats/checked_file_testing.h"
#include "gloss/index/index_testing.h"
#include "gloss/index/statistics_count.h"

namespace gloss::index {
namespace {

using ::testing::ElementsAre;
using testing::Folder;
using ::testing::HasSubstr;
using testing::random_firings;
namespace fs = std::filesystem;

/// Made-up tokens: contexts of `ctx_len`, documents of a few contexts, token 0 special.
struct Corpus {
  std::vector<TokenId> tokens;
  std::vector<std::uint32_t> documents;
  std::vector<bool> special;

  Corpus(std::uint32_t contexts, std::uint32_t ctx_len, std::uint32_t vocabulary, std::uint64_t seed = 1)
      : special(vocabulary, false) {
    special[0] = true;
    Random random = Random::for_purpose(seed, "corpus");
    std::uint32_t document = 3;
    for (std::uint32_t c = 0; c < contexts; ++c) {
      if (random.below(3) == 0) document += 1 + static_cast<std::uint32_t>(random.below(2));
      documents.push_back(document);
      for (std::uint32_t i = 0; i < ctx_len; ++i) {
        const double u = random.uniform();
        tokens.push_back(TokenId{static_cast<std::uint32_t>(u * u * u * vocabulary)});
      }
    }
  }
  IndexedTokens view(std::size_t threads = 1) const { return {tokens, documents, special, threads}; }
  std::uint64_t special_tokens() const {
    return static_cast<std::uint64_t>(std::count(tokens.begin(), tokens.end(), TokenId{0}));
  }
};

void write(const fs::path& folder, const WriterOptions& options, std::span<const Firing> firings, const Corpus& corpus,
           std::size_t threads = 1) {
  std::vector<Firing> kept, at_special;
  for (const Firing& f : firings)
    (corpus.special[to_index(corpus.tokens[f.position])] ? at_special : kept).push_back(f);
  SilentReporter reporter;
  Writer writer(folder, options);
  writer.append(kept, corpus.tokens.size(), at_special);
  const IndexedTokens tokens = corpus.view(threads);
  writer.finish(corpus.tokens.size(), corpus.special_tokens(), reporter, &tokens);
}

StatisticsReader open(const fs::path& folder) { return StatisticsReader::open(folder / "statistics.safetensors"); }

/// The tokens of the strongest four fifths, counted the obvious way.
TokenList obvious_list(const Firings& firings, const Corpus& corpus, std::uint32_t ctx_len, bool previous) {
  std::vector<std::size_t> order(firings.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return firings.value(a) > firings.value(b); });
  order.resize(static_cast<std::size_t>(std::ceil(0.8 * static_cast<double>(order.size()) - 1e-9)));
  std::map<std::uint32_t, std::uint32_t> counts;
  for (const std::size_t i : order) {
    const std::uint32_t p = firings.position[i];
    if (previous) {
      ++counts[p % ctx_len == 0 ? kNoToken : to_index(corpus.tokens[p - 1])];
    } else {
      ++counts[to_index(corpus.tokens[p])];
    }
  }
  TokenList list;
  list.different = static_cast<std::uint32_t>(counts.size());
  for (const auto& [token, count] : counts) list.entries.push_back({token, count});
  std::stable_sort(list.entries.begin(), list.entries.end(),
                   [](const TokenList::Entry& a, const TokenList::Entry& b) { return a.count > b.count; });
  if (list.entries.size() > kListedTokens) list.entries.resize(kListedTokens);
  return list;
}

double obvious_information(const Firings& firings, const Corpus& corpus, std::uint32_t ctx_len) {
  std::vector<double> fires(ctx_len), tokens(ctx_len), p;
  for (const std::uint32_t position : firings.position) ++fires[position % ctx_len];
  for (std::size_t i = 0; i < corpus.tokens.size(); ++i)
    tokens[i % ctx_len] += corpus.special[to_index(corpus.tokens[i])] ? 0 : 1;
  for (std::size_t o = 0; o < ctx_len; ++o) {
    if (tokens[o] > 0) p.push_back(fires[o] / tokens[o]);
  }
  double mean = 0.0, sum = 0.0;
  for (const double x : p) mean += x / static_cast<double>(p.size());
  if (mean <= 0.0 || mean >= 1.0) return 0.0;
  for (const double x : p) {
    if (x > 0.0) sum += x * std::log(x / mean);
    if (x < 1.0) sum += (1.0 - x) * std::log((1.0 - x) / (1.0 - mean));
  }
  return sum / static_cast<double>(p.size());
}

void expect_list(const TokenList& found, const TokenList& wanted, std::uint32_t f) {
  EXPECT_EQ(found.different, wanted.different) << f;
  ASSERT_EQ(found.entries.size(), wanted.entries.size()) << f;
  for (std::size_t i = 0; i < wanted.entries.size(); ++i) {
    EXPECT_EQ(found.entries[i].token, wanted.entries[i].token) << f << " " << i;
    EXPECT_EQ(found.entries[i].count, wanted.entries[i].count) << f << " " << i;
  }
}

TEST(Divisor, DividesAsTheProcessorDoes) {
  Random random = Random::for_purpose(1, "divisor");
  const auto bits = [&](unsigned n) { return static_cast<std::uint32_t>(random.next_u64() >> 32) >> (32 - n); };
  for (int trial = 0; trial < 200000; ++trial) {
    const std::uint32_t d = std::max(1U, bits(1 + trial % 32));
    std::uint32_t n = bits(32);
    if (trial % 3 == 0) n = n / d * d;
    if (trial % 7 == 0) n = 0xFFFFFFFFU - n % 5;
    ASSERT_EQ(Divisor(d).quotient(n), n / d) << n << " / " << d;
    ASSERT_EQ(Divisor(d).divides(n), n % d == 0) << n << " % " << d;
  }
}

TEST(Statistics, AreWhatCountingTheObviousWayGives) {
  for (const bool full_precision : {false, true}) {
    for (std::uint64_t seed = 0; seed < 6; ++seed) {
      constexpr std::uint32_t kCtxLen = 12, kLatents = 40;
      const Corpus corpus(50, kCtxLen, 7 + 30 * static_cast<std::uint32_t>(seed), seed);
      const auto firings = random_firings(seed, kLatents, 600, 0.08);
      const Folder folder;
      WriterOptions options = testing::options(kLatents, kCtxLen, 9000);
      options.full_precision = full_precision;
      write(folder.path(), options, firings, corpus);
      const Reader index = Reader::open(folder.path() / "index.safetensors");
      const StatisticsReader statistics = open(folder.path());
      EXPECT_NO_THROW(statistics.verify(index));
      std::vector<std::uint64_t> offset_firings(kCtxLen, 0);
      for (std::uint32_t f = 0; f < kLatents; ++f) {
        const LatentStatistics found = statistics.latent(LatentId{f});
        const Firings of = index.firings(LatentId{f});
        EXPECT_EQ(found.count, of.size());
        EXPECT_EQ(found.special_count, index.special_count(LatentId{f}));
        EXPECT_EQ(found.sum, index.sum(LatentId{f}));
        EXPECT_EQ(found.max, index.max(LatentId{f}));
        expect_list(found.tokens, obvious_list(of, corpus, kCtxLen, false), f);
        expect_list(found.previous, obvious_list(of, corpus, kCtxLen, true), f);
        EXPECT_NEAR(found.position_information, obvious_information(of, corpus, kCtxLen), 1e-12) << f;
        std::map<std::uint32_t, std::uint32_t> documents, offsets;
        for (const std::uint32_t p : of.position) {
          ++documents[corpus.documents[p / kCtxLen]];
          ++offsets[p % kCtxLen];
          ++offset_firings[p % kCtxLen];
        }
        const auto less = [](const auto& a, const auto& b) { return a.second < b.second; };
        const auto largest = std::max_element(documents.begin(), documents.end(), less);
        EXPECT_EQ(found.documents, documents.size());
        if (of.size() == 0) continue;
        EXPECT_EQ(found.largest_document, largest->first) << f;
        EXPECT_EQ(found.largest_document_count, largest->second) << f;
        EXPECT_EQ(found.peak_offset, std::max_element(offsets.begin(), offsets.end(), less)->first) << f;
      }
      EXPECT_TRUE(std::equal(offset_firings.begin(), offset_firings.end(), statistics.offset_firings().begin()));
    }
  }
}

/// More firings than are looked at together, and more different tokens than are listed, in both precisions.
TEST(Statistics, TheStrongestOfVeryManyFiringsAreTheSame) {
  constexpr std::uint32_t kTokens = 90'000, kCtxLen = 8;
  const Corpus corpus(kTokens / kCtxLen, kCtxLen, 500);
  Random random = Random::for_purpose(2, "many");
  std::vector<Firing> firings;
  for (std::uint32_t p = 0; p < kTokens; ++p) {
    if (corpus.tokens[p] != TokenId{0})  // values in steps, so that many are equal to the one at the cut
      firings.push_back({0, p, 0.25F * static_cast<float>(1 + random.below(40)) + (p % 3 == 0 ? 0.0001F : 0.0F)});
  }
  ASSERT_GT(firings.size(), std::size_t{1} << 16);
  for (const bool full_precision : {false, true}) {
    const Folder folder;
    WriterOptions options = testing::options(1, kCtxLen);
    options.full_precision = full_precision;
    write(folder.path(), options, firings, corpus);
    const Reader index = Reader::open(folder.path() / "index.safetensors");
    const LatentStatistics found = open(folder.path()).latent(LatentId{0});
    expect_list(found.tokens, obvious_list(index.firings(LatentId{0}), corpus, kCtxLen, false), 0);
    expect_list(found.previous, obvious_list(index.firings(LatentId{0}), corpus, kCtxLen, true), 0);
    EXPECT_EQ(found.position_information, 0.0) << "it fires at every indexed token";
  }
}

/// docs/methods.md: p = (1, 0) gives ln 2; p = (.9, .1, .1, .1) gives 0.2858.
TEST(Statistics, PositionalInformationOfTheExamples) {
  Corpus two(10, 2, 2), four(10, 4, 2);
  std::fill(two.tokens.begin(), two.tokens.end(), TokenId{1});
  std::fill(four.tokens.begin(), four.tokens.end(), TokenId{1});
  std::vector<Firing> first, mixed;
  for (std::uint32_t c = 0; c < 10; ++c) {
    first.push_back({0, 2 * c, 1.0F});
    for (std::uint32_t o = 0; o < 4; ++o) {
      if (o == 0 ? c < 9 : c < 1) mixed.push_back({0, 4 * c + o, 1.0F});
    }
  }
  const Folder a, b;
  write(a.path(), testing::options(1, 2), first, two);
  write(b.path(), testing::options(1, 4), mixed, four);
  EXPECT_NEAR(open(a.path()).latent(LatentId{0}).position_information, std::log(2.0), 1e-12);
  EXPECT_NEAR(open(b.path()).latent(LatentId{0}).position_information, 0.2858, 5e-5);
  EXPECT_EQ(open(a.path()).latent(LatentId{0}).peak_offset, 0U);
}

TEST(Statistics, AnOffsetWhoseTokensAreAllSpecialSaysNothingOfPositions) {
  Corpus corpus(30, 5, 4);
  for (std::size_t i = 0; i < corpus.tokens.size(); ++i) corpus.tokens[i] = TokenId{i % 5 == 0 ? 0U : 2U};
  std::vector<Firing> everywhere;
  for (std::uint32_t p = 0; p < 150; ++p) everywhere.push_back({0, p, 1.0F});
  const Folder folder;
  write(folder.path(), testing::options(1, 5), everywhere, corpus);
  const StatisticsReader statistics = open(folder.path());
  EXPECT_EQ(statistics.latent(LatentId{0}).position_information, 0.0);
  EXPECT_EQ(statistics.latent(LatentId{0}).special_count, 30U);
  EXPECT_THAT(statistics.offset_tokens(), ElementsAre(0, 30, 30, 30, 30));
  EXPECT_EQ(statistics.density(LatentId{0}), 1.0);
}

TEST(Statistics, SameBytesWhateverMemoryThreadsAndParts) {
  const Corpus corpus(80, 8, 60);
  const auto firings = random_firings(4, 90, 640, 0.05);
  const auto bytes = [&](std::uint64_t memory, std::size_t threads) {
    const Folder folder;
    write(folder.path(), testing::options(90, 8, memory), firings, corpus, threads);
    const std::string gathered = read_file(folder.path() / "statistics.safetensors");
    // What is made of the finished index, for a run that has none, is the same.
    write_statistics(folder.path() / "again", Reader::open(folder.path() / "index.safetensors"), corpus.view(3));
    EXPECT_EQ(read_file(folder.path() / "again"), gathered);
    return gathered;
  };
  const std::string wanted = bytes(1 << 24, 1);
  for (const std::uint64_t memory : {0, 9000, 30000}) {
    for (const std::size_t threads : {1, 3}) EXPECT_EQ(bytes(memory, threads), wanted) << memory << " " << threads;
  }
}

TEST(Statistics, SummaryCountsTheKindsOfLatents) {
  constexpr std::uint32_t kCtxLen = 10;
  Corpus corpus(100, kCtxLen, 300);
  for (std::size_t i = 0; i < corpus.tokens.size(); ++i)
    corpus.tokens[i] = TokenId{1 + static_cast<std::uint32_t>(i % 250)};
  for (std::size_t c = 0; c < 100; ++c) corpus.documents[c] = static_cast<std::uint32_t>(c / 10);
  for (std::size_t c = 90; c < 100; ++c) corpus.tokens[c * kCtxLen] = TokenId{0};
  std::vector<Firing> firings;
  for (std::uint32_t p = 0; p < 1000; ++p) {
    if (p % 10 == 3) firings.push_back({1, p, 1.0F});                        // positional, 10.1 % of 990 tokens: dense
    if (p % 250 < 10 && p % 10 != 0) firings.push_back({2, p, 1.0F});        // tokens 2 to 10 alone, 36 times
    if (p >= 200 && p < 300 && p % 3 == 1) firings.push_back({3, p, 1.0F});  // document 2 alone
    if (p == 77) firings.push_back({4, p, 1.0F});                            // once
    if (p >= 900 && p % 10 == 0) firings.push_back({5, p, 1.0F});            // at special tokens alone
  }
  const Folder folder;
  WriterOptions options = testing::options(8, kCtxLen);
  options.cached = {1, 1, 1, 1, 1, 1, 0, 1};
  write(folder.path(), options, firings, corpus);
  const StatisticsSummary s = open(folder.path()).summary();
  EXPECT_EQ(s.latents, 8U);
  EXPECT_EQ(s.cached, 7U);
  EXPECT_EQ(s.dead, 3U) << "latents 0, 5 and 7; 6 was left out";
  EXPECT_EQ(s.firings, 100U + 36U + 33U + 1U);
  EXPECT_EQ(s.special_firings, 10U);
  EXPECT_EQ(s.special, 1U);
  EXPECT_EQ(s.over_1_percent, 3U);
  EXPECT_EQ(s.over_10_percent, 1U);
  EXPECT_EQ(s.few_firings, 1U);
  EXPECT_EQ(s.single_token, 1U);
  EXPECT_EQ(s.previous_token, 1U);
  EXPECT_EQ(s.single_document, 2U) << "latents 3 and 4";
  EXPECT_EQ(s.positional, 1U);
}

std::string error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::bad_input);
    return error.what();
  }
  return "no error";
}

TEST(Statistics, OtherTokensAreRefused) {
  const Folder folder;
  SilentReporter reporter;
  Writer writer(folder.path(), testing::options(3, 8));
  writer.append(std::vector<Firing>{{1, 3, 1.0F}}, 80);
  const Corpus fewer(9, 8, 5), wrong(10, 8, 50);
  IndexedTokens tokens = fewer.view();
  EXPECT_THAT(error_of([&] { writer.finish(80, 0, reporter, &tokens); }),
              HasSubstr("72 tokens in 9 contexts are given, wanted 80 in contexts of 8"));
  tokens = wrong.view();
  tokens.special.resize(2);
  EXPECT_THAT(error_of([&] { writer.finish(80, 0, reporter, &tokens); }), HasSubstr("but the vocabulary has 2"));
  tokens = wrong.view();
  EXPECT_NO_THROW(writer.finish(80, 0, reporter, &tokens)) << "a refused call changes nothing";
}

TEST(Statistics, EveryFlippedBitAndEveryCutIsFound) {
  const Corpus corpus(6, 4, 9);
  const Folder folder;
  write(folder.path(), testing::options(3, 4), random_firings(2, 3, 24, 0.5), corpus);
  const Reader index = Reader::open(folder.path() / "index.safetensors");
  const std::string good = read_file(folder.path() / "statistics.safetensors");
  const auto check = [&](std::string bytes) {
    StatisticsReader::parse(MappedFile::of_bytes(std::move(bytes), "st")).verify(index);
  };
  EXPECT_NO_THROW(check(good));
  for (std::size_t byte = 0; byte < good.size(); ++byte) {
    std::string bad = good;
    bad[byte] = static_cast<char>(static_cast<unsigned char>(bad[byte]) ^ (1U << (byte % 8)));
    EXPECT_THROW(check(bad), Error) << byte;
    EXPECT_THROW(StatisticsReader::parse(MappedFile::of_bytes(good.substr(0, byte), "st")), Error) << byte;
  }
}

TEST(Statistics, OfAnotherIndexAreNamed) {
  const Corpus corpus(6, 4, 9);
  const Folder one, other;
  write(one.path(), testing::options(3, 4), random_firings(2, 3, 24, 0.5), corpus);
  write(other.path(), testing::options(3, 4), random_firings(3, 3, 24, 0.5), corpus);
  const Reader index = Reader::open(other.path() / "index.safetensors");
  EXPECT_THAT(error_of([&] { open(one.path()).verify(index); }), HasSubstr("the file belongs to another index"));
  EXPECT_THAT(error_of([&] { open(one.path()).latent(LatentId{3}); }),
              HasSubstr("has 3 latents, but latent 3 was asked for"));
  std::string bytes = read_file(one.path() / "statistics.safetensors");
  bytes.replace(bytes.find("gloss-statistics-1"), 18, "gloss-statistics-7");
  EXPECT_THAT(error_of([&] { StatisticsReader::parse(MappedFile::of_bytes(bytes, "st")); }),
              HasSubstr("st: metadata 'format' is 'gloss-statistics-7', wanted 'gloss-statistics-1'"));
}

}  // namespace
}  // namespace gloss::index
