#include "gloss/index/filters.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "gloss/index/index_testing.h"

namespace gloss::index {
namespace {

using testing::Folder;

constexpr std::uint32_t kContexts = 400, kCtxLen = 16, kVocabulary = 600, kTokens = kContexts * kCtxLen;

/// Tokens drawn evenly, token 0 special and at the beginning of each context, four contexts a document.
struct Text {
  std::vector<TokenId> tokens;
  std::vector<std::uint32_t> documents;
  std::vector<bool> special = std::vector<bool>(kVocabulary, false);

  explicit Text(std::uint64_t seed) {
    special[0] = true;
    Random random = Random::for_purpose(seed, "text");
    for (std::uint32_t p = 0; p < kTokens; ++p)
      tokens.push_back(TokenId{p % kCtxLen == 0 ? 0 : 1 + static_cast<std::uint32_t>(random.below(kVocabulary - 1))});
    for (std::uint32_t c = 0; c < kContexts; ++c) documents.push_back(c / 4);
  }
  std::uint32_t token(std::uint32_t p) const { return to_index(tokens[p]); }
};

StatisticsReader statistics_of(const Folder& folder, const std::vector<Firing>& firings, std::uint32_t latents,
                               const Text& text) {
  std::vector<Firing> kept, at_special;
  for (const Firing& f : firings) (text.special[text.token(f.position)] ? at_special : kept).push_back(f);
  SilentReporter reporter;
  Writer writer(folder.path(), testing::options(latents, kCtxLen));
  writer.append(kept, kTokens, at_special);
  const IndexedTokens tokens{text.tokens, text.documents, text.special, 1};
  writer.finish(kTokens, kContexts, reporter, &tokens);
  return StatisticsReader::open(folder.path() / "statistics.safetensors");
}

std::set<std::string> kinds_of(const StatisticsReader& reader, std::uint32_t latent) {
  const LatentStatistics s = reader.latent(LatentId{latent});
  LatentFacts facts;
  facts.statistics = &s;
  facts.density = reader.density(LatentId{latent});
  std::set<std::string> found;
  for (const KindInfo& kind : latent_kinds()) {
    const std::optional<double> value = measure(kind.kind, facts);
    if (value && is_of_kind(kind, *value, kind.threshold)) found.emplace(kind.name);
  }
  return found;
}

/// Each latent is made to be of one kind; the others fire at random, some seldom and some often.
TEST(Filters, FindWhatWasPlantedAndNothingElse) {
  enum Planted : std::uint32_t { kPositional, kUnigram, kPrevious, kDense, kDead, kDocument, kSpecial, kPlain };
  constexpr std::uint32_t kLatents = 60;
  for (const std::uint64_t seed : {1U, 2U, 3U}) {
    const Text text(seed);
    Random random = Random::for_purpose(seed, "planted");
    std::vector<Firing> firings;
    for (std::uint32_t p = 0; p < kTokens; ++p) {
      const auto fire = [&](std::uint32_t latent, bool fires) {
        if (fires) firings.push_back({latent, p, static_cast<float>(0.1 + random.uniform())});
      };
      const bool special = text.special[text.token(p)];
      fire(kPositional, p % kCtxLen == 3 && random.uniform() < 0.9);
      fire(kUnigram, text.token(p) % 100 == 7);
      fire(kPrevious, p % kCtxLen > 1 && text.token(p - 1) % 100 == 9);
      fire(kDense, random.uniform() < 0.3);
      fire(kDocument, !special && (text.documents[p / kCtxLen] == 17 ? p % 2 == 0 : random.uniform() < 0.002));
      fire(kSpecial, special ? random.uniform() < 0.9 : random.uniform() < 0.02);
      for (std::uint32_t f = kPlain; f < kLatents; ++f) fire(f, random.uniform() < 0.08 * f / kLatents);
    }
    const Folder folder;
    const StatisticsReader reader = statistics_of(folder, firings, kLatents, text);
    const std::map<std::uint32_t, std::string> wanted = {
        {kPositional, "positional"}, {kUnigram, "unigram"}, {kPrevious, "previous-token"},
        {kDense, "dense"},           {kDead, "dead"},       {kDocument, "single-document"},
        {kSpecial, "special"}};
    for (std::uint32_t f = 0; f < kLatents; ++f) {
      const auto it = wanted.find(f);
      const std::set<std::string> kinds = it == wanted.end() ? std::set<std::string>{} : std::set{it->second};
      EXPECT_EQ(kinds_of(reader, f), kinds) << f << " of seed " << seed;
    }
  }
}

/// Every number against one that is counted from the firings the obvious way.
TEST(Filters, MeasureWhatCountingTheObviousWayGives) {
  constexpr std::uint32_t kLatents = 25;
  const Text text(5);
  const std::vector<Firing> firings = testing::random_firings(6, kLatents, kTokens, 0.03);
  const Folder folder;
  const StatisticsReader reader = statistics_of(folder, firings, kLatents, text);
  for (std::uint32_t f = 0; f < kLatents; ++f) {
    std::map<std::uint32_t, double> documents, offsets;
    double count = 0, special = 0;
    for (const Firing& firing : firings) {
      if (firing.latent != f) continue;
      if (text.special[text.token(firing.position)]) {
        ++special;
        continue;
      }
      ++count;
      ++documents[text.documents[firing.position / kCtxLen]];
      ++offsets[firing.position % kCtxLen];
    }
    const LatentStatistics s = reader.latent(LatentId{f});
    LatentFacts facts;
    facts.statistics = &s;
    facts.density = reader.density(LatentId{f});
    EXPECT_EQ(measure(LatentKind::dead, facts), count);
    EXPECT_DOUBLE_EQ(measure(LatentKind::dense, facts).value(), count / (kTokens - kContexts));
    if (count + special > 0) {
      EXPECT_DOUBLE_EQ(measure(LatentKind::special, facts).value(), special / (count + special));
    }
    if (count == 0) {
      EXPECT_FALSE(measure(LatentKind::positional, facts) || measure(LatentKind::single_document, facts));
      continue;
    }
    double most = 0, sum = 0, mean = count / kContexts / (kCtxLen - 1);
    for (const auto& [document, n] : documents) most = std::max(most, n);
    EXPECT_DOUBLE_EQ(measure(LatentKind::single_document, facts).value(), most / count);
    const auto term = [](double p, double q) { return p > 0 ? p * std::log(p / q) : 0.0; };
    for (std::uint32_t o = 1; o < kCtxLen; ++o) {  // offset 0 is special in every context
      const double p = offsets[o] / kContexts;
      sum += term(p, mean) + term(1 - p, 1 - mean);
    }
    EXPECT_NEAR(measure(LatentKind::positional, facts).value(), sum / (kCtxLen - 1), 1e-12);
  }
}

TEST(Filters, WhatIsNotKnownIsOfNoKind) {
  LatentStatistics s;
  LatentFacts facts;
  facts.statistics = &s;
  EXPECT_EQ(measure(LatentKind::dead, facts), 0.0);
  for (const LatentKind kind : {LatentKind::positional, LatentKind::unigram, LatentKind::single_document,
                                LatentKind::special, LatentKind::writes_few, LatentKind::output})
    EXPECT_FALSE(measure(kind, facts)) << info(kind).name;
  s.cached = false;
  EXPECT_FALSE(measure(LatentKind::dead, facts)) << "nobody looked whether it fires";
  s.cached = true;
  s.count = 25;
  s.tokens.different = 3;
  EXPECT_FALSE(measure(LatentKind::unigram, facts)) << "20 firings count, which cannot be at more than 20 tokens";
  s.count = 26;
  EXPECT_EQ(measure(LatentKind::unigram, facts), 3.0);
  facts.kurtosis = 30.0;
  EXPECT_EQ(measure(LatentKind::writes_few, facts), 30.0);
  EXPECT_FALSE(measure(LatentKind::output, facts)) << "it was not scored";
  facts.balanced_accuracy = 0.8;
  EXPECT_FALSE(measure(LatentKind::output, facts)) << "it is explained by what it fires on";
  facts.balanced_accuracy = 0.55;
  EXPECT_EQ(measure(LatentKind::output, facts), 30.0);
}

TEST(Filters, KindsAreFoundByTheirNames) {
  for (const KindInfo& kind : latent_kinds()) {
    EXPECT_EQ(find_kind(kind.name), kind.kind);
    EXPECT_EQ(&info(kind.kind), &kind);
    EXPECT_TRUE(std::is_sorted(kind.table.begin(), kind.table.end()));
  }
  EXPECT_FALSE(find_kind("position"));
}

TEST(Filters, EntropyAndBiasOfTheExamples) {
  EXPECT_NEAR(binary_entropy(0.5), std::log(2.0), 1e-15);
  EXPECT_NEAR(binary_entropy(0.01), 0.056, 1e-3);
  EXPECT_EQ(binary_entropy(0.0), 0.0);
  EXPECT_EQ(binary_entropy(1.0), 0.0);
  EXPECT_NEAR(position_bias(1000, 256), 1.0 / 2000, 1e-5);
}

/// Latents that fire without regard to position: their information is the bias on average.
TEST(Filters, TheBiasIsWhatRandomFiringsHave) {
  constexpr std::uint32_t kLatents = 300;
  const Text text(9);
  Random random = Random::for_purpose(9, "bias");
  std::vector<Firing> firings;
  for (std::uint32_t p = 0; p < kTokens; ++p) {
    for (std::uint32_t f = 0; f < kLatents; ++f) {
      if (random.uniform() < 0.05) firings.push_back({f, p, 1.0F});
    }
  }
  const Folder folder;
  const StatisticsReader reader = statistics_of(folder, firings, kLatents, text);
  double sum = 0.0;
  for (std::uint32_t f = 0; f < kLatents; ++f) sum += reader.latent(LatentId{f}).position_information;
  const double bias = position_bias(kContexts, kCtxLen - 1);
  EXPECT_NEAR(sum / kLatents, bias, 0.1 * bias);
}

TEST(KindTally, CountsByThreshold) {
  KindTally above(info(LatentKind::positional).table, false);
  for (const double value : {0.0, 0.01, 0.03, 0.05, 0.06, 0.3}) above.add(value);
  EXPECT_EQ(above.measured(), 6U);
  EXPECT_EQ(std::vector(above.counts().begin(), above.counts().end()), (std::vector<std::uint64_t>{4, 4, 2, 1, 1}));
  KindTally few(info(LatentKind::unigram).table, true);
  for (const double value : {1.0, 3.0, 20.0, 21.0}) few.add(value);
  EXPECT_EQ(std::vector(few.counts().begin(), few.counts().end()), (std::vector<std::uint64_t>{1, 1, 2, 2, 3}));
}

}  // namespace
}  // namespace gloss::index
