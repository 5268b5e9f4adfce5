#include "gloss/llm/prefix_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "gloss/base/random.h"

namespace gloss::llm {
namespace {

using Tokens = std::vector<TokenId>;

std::vector<ReadStep> plan(const std::vector<Tokens>& texts, const std::vector<bool>& known, std::uint32_t worth) {
  std::vector<std::span<const TokenId>> spans(texts.begin(), texts.end());
  return plan_reading(spans, known, worth);
}

/// The text that a step ends: its tokens so far, from the first step on.
Tokens read_so_far(const std::vector<Tokens>& texts, const std::vector<ReadStep>& steps, std::size_t i) {
  Tokens all;
  if (steps[i].parent != ReadStep::kNone) all = read_so_far(texts, steps, steps[i].parent);
  EXPECT_EQ(all.size(), steps[i].begin);
  const Tokens& text = texts[steps[i].text];
  all.insert(all.end(), text.begin() + steps[i].begin, text.begin() + steps[i].end);
  return all;
}

Tokens tokens_of(std::string_view letters) {
  Tokens tokens;
  for (const char c : letters) tokens.push_back(TokenId{static_cast<std::uint32_t>(c)});
  return tokens;
}

TEST(PrefixPlan, ReadsSystemThenExplanationThenEachExample) {
  const std::vector<Tokens> texts = {tokens_of("system A one"), tokens_of("system A two"), tokens_of("system B one"),
                                     tokens_of("system B six")};
  const std::vector<ReadStep> steps = plan(texts, std::vector<bool>(4, false), 2);
  ASSERT_EQ(steps.size(), 7U);
  std::size_t computed = 0;
  for (const ReadStep& step : steps) computed += step.end - step.begin;
  EXPECT_EQ(computed, 7U + 2 * 2 + 4 * 3);
  EXPECT_EQ(std::count_if(steps.begin(), steps.end(), [](const ReadStep& s) { return s.shared; }), 3);
  EXPECT_EQ(std::max_element(steps.begin(), steps.end(), [](const auto& a, const auto& b) { return a.level < b.level; })
                ->level,
            2U);
}

TEST(PrefixPlan, ReadsEveryTextToItsEndAndNothingTwice) {
  Random random(11);
  for (int round = 0; round < 300; ++round) {
    const std::uint32_t worth = 1 + static_cast<std::uint32_t>(random.below(4));
    std::vector<std::pair<Tokens, bool>> made;
    const std::size_t count = 1 + random.below(12);
    for (std::size_t i = 0; i < count; ++i) {
      Tokens text;
      if (i > 0 && random.below(3) > 0) {  // begins as another does
        const Tokens& other = made[random.below(made.size())].first;
        text.assign(other.begin(), other.begin() + static_cast<std::ptrdiff_t>(random.below(other.size() + 1)));
      }
      const std::size_t more = (text.empty() ? 1 : 0) + random.below(6);
      for (std::size_t t = 0; t < more; ++t) text.push_back(TokenId{static_cast<std::uint32_t>(random.below(3))});
      made.emplace_back(std::move(text), random.below(5) == 0);
    }
    std::stable_sort(made.begin(), made.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    std::vector<Tokens> texts;
    std::vector<bool> known;
    for (const auto& [text, is_known] : made) {
      texts.push_back(text);
      known.push_back(is_known);
    }
    const std::vector<ReadStep> steps = plan(texts, known, worth);
    std::multiset<std::size_t> ended;
    std::size_t computed = 0, alone = 0;
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const ReadStep& step = steps[i];
      ASSERT_LT(step.begin, step.end);
      if (step.parent != ReadStep::kNone) {
        ASSERT_LT(step.parent, i);
        EXPECT_TRUE(steps[step.parent].shared);
        EXPECT_EQ(step.level, steps[step.parent].level + 1);
      }
      const Tokens read = read_so_far(texts, steps, i);
      EXPECT_EQ(read, Tokens(texts[step.text].begin(), texts[step.text].begin() + step.end));
      if (!step.shared) {
        EXPECT_EQ(step.end, texts[step.text].size());
        EXPECT_FALSE(known[step.text]);
        ended.insert(step.text);
      } else {
        EXPECT_GE(step.end - step.begin, worth);
      }
      EXPECT_EQ(step.is_known, step.shared && known[step.text]);
      if (!step.is_known) computed += step.end - step.begin;
    }
    for (std::size_t i = 0; i < texts.size(); ++i) {
      EXPECT_EQ(ended.count(i), known[i] ? 0U : 1U) << i;
      alone += known[i] ? 0 : texts[i].size();
    }
    EXPECT_LE(computed, alone);
    // No two steps read the same stretch of the same text, unless it is too short to share.
    std::map<Tokens, std::size_t> shared;
    for (std::size_t i = 0; i < steps.size(); ++i) {
      if (steps[i].shared) {
        EXPECT_EQ(++shared[read_so_far(texts, steps, i)], 1U);
      }
    }
  }
}

}  // namespace
}  // namespace gloss::llm
