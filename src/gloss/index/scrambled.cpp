#include "gloss/index/scrambled.h"

#include <algorithm>
#include <unordered_set>

#include "gloss/base/random.h"

namespace gloss::index {

std::vector<TokenId> scrambled_text(std::uint64_t seed, ScrambledPlace place, TokenId token, std::uint32_t number,
                                    std::span<const TokenId> ordinary) {
  Random random = Random::for_purpose(seed, place == ScrambledPlace::last ? "scrambled-last" : "scrambled-before-last",
                                      std::uint64_t{to_index(token)} * kScrambledTexts + number);
  std::vector<TokenId> text(kScrambledTokens);
  for (TokenId& id : text) id = ordinary[random.below(ordinary.size())];
  text[kScrambledTokens - (place == ScrambledPlace::last ? 1 : 2)] = token;
  return text;
}

void ScrambledTally::add_latent(LatentId latent, const TokenList& list) {
  for (const TokenList::Entry& entry : list.entries) {
    if (entry.token != kNoToken) latents_of_[entry.token].push_back(to_index(latent));
  }
}

std::vector<TokenId> ScrambledTally::tokens() const {
  std::vector<TokenId> all;
  for (const auto& [token, latents] : latents_of_) all.push_back(TokenId{token});
  return all;
}

void ScrambledTally::add_text(TokenId token, const ScrambledFirings& fired) {
  const auto at = latents_of_.find(to_index(token));
  if (at == latents_of_.end()) return;
  const std::unordered_set<std::uint32_t> last(fired.last.begin(), fired.last.end());
  const std::unordered_set<std::uint32_t> anywhere(fired.anywhere.begin(), fired.anywhere.end());
  for (const std::uint32_t latent : at->second) {
    Count& count = count_[latent];
    ++count.texts;
    count.last += static_cast<std::uint32_t>(last.count(latent));
    count.anywhere += static_cast<std::uint32_t>(anywhere.count(latent));
  }
}

std::vector<ScrambledTally::Share> ScrambledTally::shares() const {
  std::vector<Share> all;
  for (const auto& [latent, count] : count_) {
    const double texts = count.texts;
    all.push_back({LatentId{latent}, count.texts, count.last / texts, count.anywhere / texts});
  }
  return all;
}

}  // namespace gloss::index
