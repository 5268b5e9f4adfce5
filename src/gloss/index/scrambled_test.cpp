#include "gloss/index/scrambled.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>

#include "gloss/index/filters.h"

namespace gloss::index {
namespace {

constexpr std::uint32_t kVocabulary = 500;

/// All but tokens 0 to 3, which are special.
std::vector<TokenId> ordinary_tokens() {
  std::vector<TokenId> ordinary;
  for (std::uint32_t t = 4; t < kVocabulary; ++t) ordinary.push_back(TokenId{t});
  return ordinary;
}

TEST(Scrambled, TextsHaveTheTokenInItsPlaceAmongOrdinaryOnes) {
  const std::vector<TokenId> ordinary = ordinary_tokens();
  std::set<std::vector<TokenId>> different;
  std::set<TokenId> met;
  for (std::uint32_t token = 10; token < 60; ++token) {
    for (std::uint32_t number = 0; number < kScrambledTexts; ++number) {
      for (const auto place : {ScrambledPlace::last, ScrambledPlace::before_last}) {
        const auto text = scrambled_text(1, place, TokenId{token}, number, ordinary);
        ASSERT_EQ(text.size(), kScrambledTokens);
        EXPECT_EQ(text[place == ScrambledPlace::last ? 19 : 18], TokenId{token});
        EXPECT_GE(*std::min_element(text.begin(), text.end()), TokenId{4}) << "no special token";
        EXPECT_EQ(scrambled_text(1, place, TokenId{token}, number, ordinary), text);
        EXPECT_NE(scrambled_text(2, place, TokenId{token}, number, ordinary), text);
        different.insert(text);
        met.insert(text.begin(), text.end());
      }
    }
  }
  EXPECT_EQ(different.size(), 200U);
  EXPECT_GT(met.size(), 480U) << "from the whole vocabulary";
}

/// A latent as a function of what was read so far: whether it fires at the last of these tokens.
using Fires = std::function<bool(std::span<const TokenId>)>;

ScrambledFirings read(const std::vector<TokenId>& text, const std::vector<Fires>& latents) {
  ScrambledFirings fired;
  for (std::uint32_t f = 0; f < latents.size(); ++f) {
    for (std::size_t end = 1; end <= text.size(); ++end) {
      if (!latents[f](std::span(text).first(end))) continue;
      fired.anywhere.push_back(f);
      if (end == text.size()) fired.last.push_back(f);
    }
  }
  return fired;
}

TokenList list_of(std::initializer_list<std::uint32_t> tokens) {
  TokenList list;
  for (const std::uint32_t token : tokens) list.entries.push_back({token, 1});
  list.different = static_cast<std::uint32_t>(list.entries.size());
  return list;
}

TEST(Scrambled, ConfirmsPlantedLatentsAndNothingElse) {
  const auto is = [](TokenId id, std::initializer_list<std::uint32_t> tokens) {
    return std::find(tokens.begin(), tokens.end(), to_index(id)) != tokens.end();
  };
  const std::vector<Fires> latents = {
      [&](auto t) {
        return is(t.back(), {7, 8, 9});
      },  // of three tokens
      [&](auto t) {
        return t.size() > 1 && is(t[t.size() - 2], {20, 21});
      },                                                                                       // after two tokens
      [&](auto t) { return t.size() > 1 && is(t.back(), {7}) && is(t[t.size() - 2], {50}); },  // 50 7
      [&](auto t) { return is(t.back(), {7}) && t.size() == 3; },                              // 7 at one position
      [](auto) { return false; },                                                              // context that is gone
  };
  const std::vector<TokenId> ordinary = ordinary_tokens();
  const auto shares = [&](ScrambledPlace place, const std::vector<TokenList>& lists) {
    ScrambledTally tally;
    for (std::uint32_t f = 0; f < lists.size(); ++f) tally.add_latent(LatentId{f}, lists[f]);
    const std::vector<TokenId> tokens = tally.tokens();
    EXPECT_TRUE(std::is_sorted(tokens.begin(), tokens.end()));
    for (const TokenId token : tokens) {
      for (std::uint32_t number = 0; number < kScrambledTexts; ++number)
        tally.add_text(token, read(scrambled_text(3, place, token, number, ordinary), latents));
    }
    return tally.shares();
  };

  // Candidates by the tokens at which they fire in running text.
  const auto unigram =
      shares(ScrambledPlace::last, {list_of({7, 8, 9}), list_of({}), list_of({7}), list_of({7}), list_of({7, 30})});
  ASSERT_EQ(unigram.size(), 4U) << "the second has no tokens";
  const KindInfo& unigram_checked = info(LatentKind::unigram_checked);
  for (const ScrambledTally::Share& share : unigram) {
    const bool planted = share.latent == LatentId{0};
    EXPECT_EQ(is_of_kind(unigram_checked, share.last, unigram_checked.threshold), planted) << to_index(share.latent);
    EXPECT_GE(share.anywhere, share.last);
  }
  EXPECT_EQ(unigram[0].texts, 6U);
  EXPECT_EQ(unigram[0].last, 1.0);

  const auto previous = shares(ScrambledPlace::before_last, {list_of({40, 41}), list_of({20, 21, kNoToken}),
                                                             list_of({50}), list_of({3}), list_of({})});
  ASSERT_EQ(previous.size(), 4U);
  const KindInfo& previous_checked = info(LatentKind::previous_token_checked);
  for (const ScrambledTally::Share& share : previous) {
    const bool planted = share.latent == LatentId{1};
    EXPECT_EQ(is_of_kind(previous_checked, share.last, previous_checked.threshold), planted) << to_index(share.latent);
  }
  EXPECT_EQ(previous[1].texts, 4U) << "before a context there is no token";
}

}  // namespace
}  // namespace gloss::index
