#include "gloss/examples/sae_dashboard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "gloss/base/error.h"
#include "gloss/base/output_file.h"
#include "gloss/examples/examples_testing.h"

namespace gloss::examples {
namespace {

using Json = nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

/// 0 "a" .. 25 "z", and 26 "<s>", which is special.
text::Tokenizer letters() {
  Json vocabulary = Json::object();
  for (int i = 0; i < 26; ++i) vocabulary[std::string(1, static_cast<char>('a' + i))] = i;
  const Json special = {{"id", 26},        {"content", "<s>"},    {"single_word", false}, {"lstrip", false},
                        {"rstrip", false}, {"normalized", false}, {"special", true}};
  const Json json = {{"added_tokens", Json::array({special})},
                     {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", Json::array()}}},
                     {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}},
                     {"decoder", {{"type", "ByteLevel"}}}};
  return text::Tokenizer::parse(json.dump(), "letters");
}

/// Contexts of 4: abcd, efgh, ... Latent 0 fires at b, e, k and l; latent 1 never.
LatentPage page(LatentId latent, PageOptions options = {}) {
  const auto run =
      testing::make_run({{0, 1, 1.0F}, {0, 4, 4.0F}, {0, 10, 3.5F}, {0, 11, 0.5F}}, testing::documents_of(5, 1), 4, 2);
  return latent_page(run.reader, run.tokens, letters(), nullptr, latent, options);
}

TEST(LatentPage, TheStrongestFiringsComeFirstEachInItsContext) {
  const LatentPage p = page(LatentId{0}, {.top = 3, .intervals = 0});
  ASSERT_THAT(p.sequences, SizeIs(3));
  EXPECT_DOUBLE_EQ(p.max, 4.0);
  EXPECT_DOUBLE_EQ(p.density, 4.0 / 20.0);
  EXPECT_THAT(p.sequences[0].tokens, ElementsAre("e", "f", "g", "h"));
  EXPECT_THAT(p.sequences[0].values, ElementsAre(4, 0, 0, 0));
  EXPECT_EQ(p.sequences[0].at, 0);
  EXPECT_THAT(p.sequences[1].values, ElementsAre(0, 0, 3.5, 0.5));
  EXPECT_EQ(p.sequences[1].at, 2);
  EXPECT_EQ(p.sequences[2].at, 1);
  EXPECT_TRUE(p.sequences[2].is_top());
}

TEST(LatentPage, IntervalsAreOfEqualWidthAndTheLowestCountsTheSilentTokens) {
  const LatentPage p = page(LatentId{0}, {.top = 0, .intervals = 4, .each = 5});
  ASSERT_THAT(p.sequences, SizeIs(5));  // 1.0 ends one interval and begins the next, as SAEDashboard has it
  EXPECT_DOUBLE_EQ(p.sequences[0].bin_min, 3.0);
  EXPECT_DOUBLE_EQ(p.sequences[0].bin_max, 4.0);
  EXPECT_DOUBLE_EQ(p.sequences[0].bin_contains, 2.0 / 20.0);
  EXPECT_DOUBLE_EQ(p.sequences[2].bin_min, 1.0);
  EXPECT_DOUBLE_EQ(p.sequences[2].bin_contains, 1.0 / 20.0);
  EXPECT_DOUBLE_EQ(p.sequences[4].bin_min, 0.0);
  EXPECT_DOUBLE_EQ(p.sequences[4].bin_contains, 18.0 / 20.0);
}

TEST(LatentContexts, AreTheStrongestAndSomeAtRandomWithTheMomentsOfAllTokens) {
  const auto run =
      testing::make_run({{0, 1, 1.0F}, {0, 4, 4.0F}, {0, 10, 3.5F}, {0, 11, 0.5F}}, testing::documents_of(5, 1), 4, 2);
  const LatentContexts c = latent_contexts(run.reader, run.tokens, letters(), LatentId{0}, 4, 1);
  ASSERT_THAT(c.strongest, SizeIs(3));  // two firings of one context are one
  EXPECT_THAT(c.strongest[0].tokens, ElementsAre("e", "f", "g", "h"));
  EXPECT_THAT(c.strongest[1].values, ElementsAre(0, 0, 3.5, 0.5));
  EXPECT_THAT(c.strongest[2].values, ElementsAre(0, 1, 0, 0));
  EXPECT_THAT(c.random, SizeIs(4));
  // Of 20 tokens, 16 of them silent: the mean of the squares is 1.475, of the cubes 5.4.
  EXPECT_NEAR(c.mean, 0.45, 1e-12);
  EXPECT_NEAR(c.variance, 1.475 - 0.45 * 0.45, 1e-12);
  EXPECT_NEAR(c.skewness, (5.4 - 3 * 0.45 * 1.475 + 2 * 0.45 * 0.45 * 0.45) / std::pow(1.2725, 1.5), 1e-12);
  const LatentContexts dead = latent_contexts(run.reader, run.tokens, letters(), LatentId{1}, 4, 1);
  EXPECT_THAT(dead.strongest, SizeIs(0));
  EXPECT_EQ(dead.variance, 0.0);
  EXPECT_TRUE(std::isnan(dead.kurtosis));
}

TEST(LatentPage, ADeadLatentHasNothingToShow) {
  const LatentPage p = page(LatentId{1});
  EXPECT_THAT(p.sequences, SizeIs(0));
  EXPECT_THAT(p.histogram_values, SizeIs(0));
}

TEST(LatentPage, TheHistogramCountsEveryFiring) {
  const LatentPage p = page(LatentId{0}, {.bins = 7});
  EXPECT_THAT(p.histogram_heights, ElementsAre(1, 1, 0, 0, 0, 0, 2));
  EXPECT_DOUBLE_EQ(p.histogram_values.front(), 0.75);
  EXPECT_DOUBLE_EQ(p.histogram_values.back(), 3.75);
}

const DashboardOrigin kOrigin{"small", "res", "a.txt", 2, 5, 4};

TEST(SaeDashboard, WhatIsWrittenIsReadTheSame) {
  const std::array<LatentPage, 2> pages{page(LatentId{0}), page(LatentId{1})};
  const std::string text = dashboard_text(kOrigin, pages);
  const DashboardBatch batch = DashboardBatch::parse(text, "batch-0.json");
  EXPECT_EQ(batch.name(), "small 2-res");
  EXPECT_THAT(batch.latents(), ElementsAre(LatentId{0}, LatentId{1}));
  const LatentPage back = batch.page(LatentId{0});
  ASSERT_EQ(back.sequences.size(), pages[0].sequences.size());
  for (std::size_t i = 0; i < back.sequences.size(); ++i) {
    EXPECT_EQ(back.sequences[i].tokens, pages[0].sequences[i].tokens);
    EXPECT_EQ(back.sequences[i].values, pages[0].sequences[i].values);
    EXPECT_EQ(back.sequences[i].at, pages[0].sequences[i].at);
    EXPECT_DOUBLE_EQ(back.sequences[i].bin_contains, pages[0].sequences[i].bin_contains);
  }
  EXPECT_EQ(back.histogram_heights, pages[0].histogram_heights);
  EXPECT_DOUBLE_EQ(back.max, 4.0);
  EXPECT_EQ(Json::parse(batch.text(batch.latents())), Json::parse(text));
}

TEST(SaeDashboard, ChosenLatentsAloneAreWrittenAgain) {
  const std::array<LatentPage, 2> pages{page(LatentId{0}), page(LatentId{1})};
  const DashboardBatch batch = DashboardBatch::parse(dashboard_text(kOrigin, pages), "x");
  const std::array<LatentId, 1> one{LatentId{1}};
  const Json json = Json::parse(batch.text(one));
  ASSERT_EQ(json["features"].size(), 1U);
  EXPECT_EQ(json["features"][0]["feature_index"], 1);
}

std::string fault_of(const std::string& text) {
  try {
    const DashboardBatch batch = DashboardBatch::parse(text, "b.json");
    return "read: " + batch.name();
  } catch (const Error& e) {
    return e.what();
  }
}

/// A batch of one latent, with one value of its first sequence, or of itself, replaced.
std::string with(const std::string& pointer, const Json& value) {
  Json json = Json::parse(R"({"model_id":"m","layer":0,"sae_set":"s","features":[{"feature_index":7,
    "pos_str":["a"],"pos_values":[1],"activations":[
      {"tokens":["a","b"],"values":[0,1.5],"qualifying_token_index":1}]}]})");
  json[Json::json_pointer(pointer)] = value;
  return json.dump();
}

TEST(SaeDashboard, FaultsAreNamedWithTheirPlace) {
  const std::string first = "/features/0/activations/0";
  EXPECT_EQ(fault_of(with("/layer", 3)), "read: m 3-s");
  EXPECT_THAT(fault_of(with("/layer", "3")), HasSubstr("b.json: 'layer' is \"3\", wanted a whole number"));
  EXPECT_THAT(fault_of(with("/features", 1)), HasSubstr("'features' is number, wanted a list"));
  EXPECT_THAT(fault_of(with("/features/0/feature_index", -1)), HasSubstr("features 0: 'feature_index' is -1"));
  EXPECT_THAT(fault_of(with("/features/0/pos_values", Json::array())),
              HasSubstr("features 0: has 1 'pos_str' and 0 'pos_values', wanted as many"));
  EXPECT_THAT(fault_of(with(first + "/values", {1})),
              HasSubstr("features 0 (latent 7): activations 0: has 2 'tokens' and 1 'values', wanted as many"));
  EXPECT_THAT(fault_of(with(first + "/tokens/1", 5)), HasSubstr("'tokens' 1 is number, wanted a text"));
  EXPECT_THAT(fault_of(with(first + "/values/0", nullptr)), HasSubstr("'values' 0 is null, wanted a number"));
  EXPECT_THAT(fault_of(with(first + "/qualifying_token_index", 2)), HasSubstr("whole number from 0 to 1"));
  Json twice = Json::parse(with("/layer", 0));
  twice["features"].push_back(twice["features"][0]);
  EXPECT_THAT(fault_of(twice.dump()), HasSubstr("latent 7 comes twice"));
  EXPECT_THAT(fault_of(with("/more", Json::parse(std::string(40, '[') + std::string(40, ']')))),
              HasSubstr("lists nest deeper than 32"));
  const DashboardBatch batch = DashboardBatch::parse(with("/layer", 0), "b.json");
  try {
    batch.page(LatentId{3});
    FAIL() << "gave a latent that is not there";
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("has no latent 3: it holds 1 of 7 to 7"));
  }
}

TEST(SaeDashboard, EveryTruncationIsAnError) {
  const std::string text = with("/layer", 0);
  for (std::size_t n = 0; n < text.size(); ++n)
    EXPECT_THROW(DashboardBatch::parse(text.substr(0, n), "cut"), Error) << "accepted a file cut at byte " << n;
}

TEST(SaeDashboard, ItsOwnFilesAreReadAndWrittenAgainEqual) {
  const std::filesystem::path folder =
      std::filesystem::path(GLOSS_SOURCE_DIR) / "../shared/data/fixtures/sae-dashboard";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << folder << " is not there";
  for (const char* name : {"gpt2-small_res-jb_layer0_batch-0.json", "gpt2-small_res-jb_layer0_batch-1.json"}) {
    const DashboardBatch batch = DashboardBatch::open(folder / name);
    EXPECT_EQ(batch.name(), "gpt2-small 0-res-jb");
    EXPECT_THAT(batch.latents(), SizeIs(2));
    EXPECT_EQ(Json::parse(batch.text(batch.latents())), Json::parse(read_file(folder / name)));
  }
  const LatentPage p = DashboardBatch::open(folder / "gpt2-small_res-jb_layer0_batch-0.json").page(LatentId{0});
  EXPECT_DOUBLE_EQ(p.max, 2.214);
  EXPECT_THAT(p.sequences, SizeIs(38));
  EXPECT_EQ(p.promoted.front().first, " Brigade");
}

}  // namespace
}  // namespace gloss::examples
