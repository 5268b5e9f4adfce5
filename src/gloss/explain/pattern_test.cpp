#include "gloss/explain/pattern.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "gloss/base/error.h"
#include "gloss/base/random.h"
#include "gloss/base/utf8.h"
#include "gloss/explain/pattern_json.h"
#include "gloss/explain/pattern_render.h"
#include "gloss/explain/pattern_vocabulary.h"

namespace gloss::explain {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr std::uint32_t kW = 16;  // tokens a window

/// Filler that means nothing, and the words that patterns are planted with.
const std::vector<std::string>& words() {
  static const std::vector<std::string> all = [] {
    std::vector<std::string> w;
    for (const char* s : {" don't",  " never", " can't", " can",   " stop",    " walked", " jumped", " played",
                          " rained", " three", " seven", " miles", " 12",      " 1999",   ".",       ",",
                          " STOP",   " Stop",  "\n",     "\"",     "\xE2\x82", "\x07",    "<<"})
      w.emplace_back(s);
    const std::string vowels = "aeiou";
    const std::string consonants = "bcfghklmnprstv";
    for (const char c : consonants) {
      for (const char v : vowels)
        w.push_back(std::string(" ") + c + v + consonants[static_cast<std::size_t>(v + c) % 14]);
    }
    return w;
  }();
  return all;
}
constexpr std::size_t kFirstFiller = 23;

std::uint32_t id_of(const std::string& word) {
  const auto it = std::find(words().begin(), words().end(), word);
  EXPECT_NE(it, words().end()) << word;
  return static_cast<std::uint32_t>(it - words().begin());
}

Vocabulary vocabulary() {
  return Vocabulary(std::make_shared<const Vocabulary::Impl>(
      Vocabulary::Impl::make(words(), std::vector<bool>(words().size(), false))));
}

/// Windows of random filler; activating ones also hold `planted` somewhere, whose last token fires. `distractor` stands
/// in every window where it does not fire.
struct Planted {
  std::vector<std::vector<std::string>> phrases;
  std::vector<std::vector<std::string>> distractors;
};

struct Case {
  text::TokenFile tokens;
  examples::LatentExamples examples;
};

Case make_case(const Planted& planted, std::size_t activating, std::size_t silent, std::uint64_t seed) {
  Random random(seed);
  std::vector<TokenId> ids;
  examples::LatentExamples found;
  found.max_activation = 2.0F;
  const auto put = [&](std::vector<TokenId>& window, const std::vector<std::string>& phrase, std::size_t at) {
    for (std::size_t i = 0; i < phrase.size(); ++i) window[at + i] = TokenId{id_of(phrase[i])};
  };
  for (std::size_t w = 0; w < activating + silent; ++w) {
    std::vector<TokenId> window(kW);
    for (TokenId& id : window)
      id = TokenId{static_cast<std::uint32_t>(kFirstFiller + random.below(words().size() - kFirstFiller))};
    examples::Window example;
    example.start = static_cast<std::uint32_t>(w * kW);
    example.activation.assign(kW, 0.0F);
    if (!planted.distractors.empty()) put(window, planted.distractors[w % planted.distractors.size()], 11);
    if (w < activating) {
      const std::vector<std::string>& phrase = planted.phrases[w % planted.phrases.size()];
      const std::size_t at = 1 + random.below(6);
      put(window, phrase, at);
      example.max = example.activation[at + phrase.size() - 1] = 1.0F + static_cast<float>(random.uniform());
      example.quantile = 5;
      found.explain.push_back(example);
    } else {
      example.kind = examples::WindowKind::silent_random;
      found.explain_silent.push_back(example);
    }
    ids.insert(ids.end(), window.begin(), window.end());
  }
  found.window_count = static_cast<std::uint32_t>(activating);
  static int serial = 0;
  const auto path = std::filesystem::temp_directory_path() /
                    ("gloss-pattern-" + std::to_string(::getpid()) + "-" + std::to_string(serial++) + ".safetensors");
  const std::vector<std::uint32_t> documents(activating + silent, 0);
  text::write_token_file(path, ids, documents, kW);
  Case made{text::TokenFile::open(path), std::move(found)};
  std::filesystem::remove(path);
  return made;
}

Explanation learn(const Case& c) { return explain_pattern(vocabulary(), c.tokens, "layers.0", c.examples, {}); }

/// Share of activating windows in which exactly the firing token is predicted, and of silent ones with any prediction.
struct Quality {
  double exact = 0.0, alarms = 0.0;
};
Quality quality_on(const Explanation& explanation, const Case& fresh) {
  const PatternProgram program = PatternProgram::parse(vocabulary(), explanation.program);
  Quality q;
  const auto each = [&](const std::vector<examples::Window>& windows, const std::function<void(bool, bool)>& tell) {
    for (const examples::Window& w : windows) {
      const std::vector<float> level = program.predict(fresh.tokens.tokens().subspan(w.start, kW));
      bool same = true;
      bool any = false;
      for (std::size_t i = 0; i < kW; ++i) {
        same &= (level[i] > 0) == (w.activation[i] > 0);
        any |= level[i] > 0;
      }
      tell(same, any);
    }
  };
  each(fresh.examples.explain, [&](bool same, bool) { q.exact += same ? 1.0 : 0.0; });
  each(fresh.examples.explain_silent, [&](bool, bool any) { q.alarms += any ? 1.0 : 0.0; });
  q.exact /= static_cast<double>(fresh.examples.explain.size());
  q.alarms /= static_cast<double>(std::max<std::size_t>(fresh.examples.explain_silent.size(), 1));
  return q;
}

void expect_found(const Planted& planted, const std::string& sentence) {
  const Explanation explanation = learn(make_case(planted, 40, 50, 1));
  ASSERT_TRUE(explanation.ok()) << explanation.failure;
  EXPECT_THAT(explanation.text, HasSubstr(sentence));
  const Quality q = quality_on(explanation, make_case(planted, 60, 60, 2));
  EXPECT_GE(q.exact, 0.9) << explanation.text;
  EXPECT_LE(q.alarms, 0.1) << explanation.text;
}

TEST(Pattern, FindsALiteralToken) { expect_found({{{" miles"}}, {}}, "\" miles\""); }

TEST(Pattern, FindsATokenByTheWordsBeforeItAndMergesThem) {
  // So many words before " stop" in silent windows that an exception cannot list what the rule should say.
  Planted planted{{{" don't", " stop"}, {" never", " stop"}}, {}};
  for (std::size_t i = kFirstFiller; i < words().size(); ++i) planted.distractors.push_back({words()[i], " stop"});
  expect_found(planted, "\" stop\" right after the tokens \" don't\" or \" never\"");
}

TEST(Pattern, FindsASuffix) { expect_found({{{" walked"}, {" jumped"}, {" played"}, {" rained"}}, {}}, "ed"); }

TEST(Pattern, IsTheSameEveryTimeAndRoundTrips) {
  const Case c = make_case({{{" don't", " stop"}, {" three", " miles"}}, {{" can", " stop"}}}, 40, 50, 3);
  const Explanation a = learn(c);
  const Explanation b = learn(c);
  ASSERT_TRUE(a.ok());
  EXPECT_EQ(a.text, b.text);
  EXPECT_EQ(a.program, b.program);
  const Vocabulary v = vocabulary();
  EXPECT_EQ(nlohmann::json::parse(rules_to_json(v.impl(), rules_from_json(v.impl(), a.program))),
            nlohmann::json::parse(a.program));
}

TEST(Pattern, HasAtMostEightRulesWithSupportAndLevel) {
  Planted many;
  for (std::size_t i = 0; i < 20; ++i) many.phrases.push_back({words()[kFirstFiller + 3 * i]});
  const Explanation explanation = learn(make_case(many, 60, 50, 4));
  if (!explanation.ok()) GTEST_SKIP() << explanation.failure;
  const auto rules = nlohmann::json::parse(explanation.program)["rules"];
  EXPECT_LE(rules.size(), 8U);
  for (const auto& rule : rules) {
    EXPECT_GE(rule["matched"].get<int>(), rule["support"].get<int>());
    EXPECT_GT(rule["level"].get<double>(), 0.0);
    EXPECT_LE(rule["tests"].size(), 4U);
  }
}

TEST(Pattern, NothingToLearnIsAFailureWithAReason) {
  examples::LatentExamples none;
  const Case c = make_case({{{" miles"}}, {}}, 2, 2, 5);
  const Explanation explanation = explain_pattern(vocabulary(), c.tokens, "layers.0", none, {});
  EXPECT_FALSE(explanation.ok());
  EXPECT_FALSE(explanation.failure.empty());
  EXPECT_TRUE(explanation.text.empty());
  EXPECT_TRUE(explanation.program.empty());
}

TEST(Pattern, HostileTokensAreShownAsSigns) {
  for (const char* token : {"\xE2\x82", "\x07", "\n", "\"", "<<"}) {
    const std::string shown = in_quotes(token);
    EXPECT_TRUE(is_valid_utf8(shown));
    EXPECT_EQ(shown.find('\n'), std::string::npos);
    EXPECT_EQ(shown.find('\x07'), std::string::npos);
  }
  EXPECT_EQ(in_quotes("\xE2\x82"), "\"\\xE2\\x82\"");
  const Explanation explanation = learn(make_case({{{"\x07"}, {"\xE2\x82"}}, {}}, 40, 50, 6));
  ASSERT_TRUE(explanation.ok()) << explanation.failure;
  EXPECT_TRUE(is_valid_utf8(explanation.text));
  EXPECT_EQ(explanation.text.find('\x07'), std::string::npos);
}

TEST(Pattern, FaultsInAProgramSayWhere) {
  const Vocabulary v = vocabulary();
  const auto fault = [&](const std::string& json) {
    try {
      PatternProgram::parse(v, json);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string("accepted");
  };
  nlohmann::json good = nlohmann::json::parse(learn(make_case({{{" miles"}}, {}}, 40, 50, 7)).program);
  EXPECT_EQ(fault(good.dump()), "accepted");
  const auto broken = [&](const std::function<void(nlohmann::json&)>& change) {
    nlohmann::json bad = good;
    change(bad);
    return fault(bad.dump());
  };
  EXPECT_THAT(fault("{"), HasSubstr("is not JSON"));
  EXPECT_THAT(broken([](auto& j) { j["format"] = "x"; }), HasSubstr("'format' is 'x', wanted 'gloss-pattern-1'"));
  EXPECT_THAT(broken([](auto& j) { j["vocabulary"] = "0"; }), StartsWith("pattern"));
  EXPECT_THAT(broken([](auto& j) { j["rules"][0]["level"] = 3; }), HasSubstr("'level' is 3"));
  EXPECT_THAT(broken([](auto& j) { j["rules"][0]["tests"][0]["where"] = "nowhere"; }), HasSubstr("'nowhere' is no"));
  EXPECT_NE(broken([](auto& j) { j["rules"][0]["tests"] = nlohmann::json::array(); }), "accepted");
  const std::string text = good.dump();
  for (std::size_t n = 0; n < text.size(); ++n) EXPECT_NE(fault(text.substr(0, n)), "accepted") << n;
}

TEST(TopTokens, AreTheFewestThatCoverFourFifthsOfTheMarks) {
  // 40 windows in turn: 20 " miles", 10 " stop", 10 " can": the first two cover 30 of 40 = 75 %, all three cover all.
  const Planted planted{{{" miles"}, {" stop"}, {" miles"}, {" can"}}, {}};
  const Case c = make_case(planted, 40, 10, 8);
  const Explanation explanation = explain_top_tokens(vocabulary(), c.tokens, c.examples, {});
  ASSERT_TRUE(explanation.ok()) << explanation.failure;
  const auto rules = nlohmann::json::parse(explanation.program)["rules"];
  ASSERT_EQ(rules.size(), 3U);
  EXPECT_EQ(rules[0]["tests"][0]["values"][0], id_of(" miles"));
  EXPECT_EQ(rules[0]["support"], 20);
}

}  // namespace
}  // namespace gloss::explain
