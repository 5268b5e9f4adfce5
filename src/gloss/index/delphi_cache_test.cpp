#include "gloss/index/delphi_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "gloss/base/half.h"
#include "gloss/base/testing.h"
#include "gloss/index/index_testing.h"

namespace gloss::index {
namespace {

namespace fs = std::filesystem;
using gloss::testing::error_of;
using testing::Folder;
using ::testing::HasSubstr;

constexpr std::uint32_t kLatents = 37, kCtx = 16, kContexts = 40;

std::vector<TokenId> some_tokens() {
  std::vector<TokenId> tokens;
  for (std::uint32_t i = 0; i < kCtx * kContexts; ++i) tokens.push_back(TokenId{i * 7 % 300});
  return tokens;
}

Reader write_index(const Folder& folder, std::span<const Firing> firings) {
  Writer writer(folder.path(), testing::options(kLatents, kCtx));
  testing::append_from(writer, firings, kCtx * kContexts, 64);
  SilentReporter silent;
  writer.finish(kCtx * kContexts, 0, silent);
  return Reader::open(folder.path() / "index.safetensors");
}

std::vector<Firing> all_of(const DelphiCache& cache, DelphiCache::Losses* losses = nullptr) {
  std::vector<Firing> firings;
  std::uint64_t last = 0;
  const DelphiCache::Losses lost = cache.each_block([&](std::span<const Firing> block, std::uint64_t end) {
    for (const Firing& f : block) {
      EXPECT_GE(f.position, last);
      EXPECT_LT(f.position, end);
    }
    last = end;
    firings.insert(firings.end(), block.begin(), block.end());
  });
  EXPECT_EQ(last, kCtx * kContexts);
  if (losses != nullptr) *losses = lost;
  return firings;
}

TEST(DelphiCache, AnIndexThereAndBackHasTheSameBytes) {
  const std::vector<TokenId> tokens = some_tokens();
  for (const std::uint32_t splits : {1U, 5U, 36U}) {
    const Folder there, back;
    std::vector<Firing> firings = testing::random_firings(splits, kLatents, kCtx * kContexts, 0.2);
    for (Firing& f : firings) f.activation = float_from_half(half_from_float(f.activation));  // so that sums agree
    const Reader reader = write_index(there, firings);
    const fs::path out = there.path() / "delphi";
    SilentReporter silent;
    const DelphiLosses losses = export_delphi(reader, tokens, out, {"made/up", splits}, silent);
    EXPECT_EQ(losses.written, firings.size());
    EXPECT_EQ(losses.too_small + losses.too_large, 0U);
    const DelphiCache cache = DelphiCache::open(out);
    EXPECT_EQ(cache.tokens(), tokens);
    EXPECT_EQ(cache.model_name(), "made/up");
    EXPECT_EQ(cache.firing_count(), firings.size());
    ASSERT_EQ(cache.latent_count(), kLatents);
    EXPECT_EQ(cache.ctx_len(), kCtx);
    Writer writer(back.path(), testing::options(kLatents, kCtx));
    cache.each_block([&](std::span<const Firing> block, std::uint64_t end) { writer.append(block, end); });
    writer.finish(kCtx * kContexts, 0, silent);
    EXPECT_TRUE(back.index_bytes() == there.index_bytes()) << splits << " splits";
  }
}

TEST(DelphiCache, LiesAsDelphiWritesIt) {
  const Folder folder;
  const std::vector<Firing> firings = {{20, 5, 2.0F}, {3, 18, 0.5F}, {19, 18, 1.5F}, {36, 18, 4.0F}};
  const fs::path out = folder.path() / "out";
  SilentReporter silent;
  export_delphi(write_index(folder, firings), some_tokens(), out, {"m", 2}, silent);
  // floor(linspace(0, 37, 3)) = 0, 18, 37; both ends are inside.
  const auto first = formats::SafeTensors::open(out / "0_17.safetensors");
  const auto second = formats::SafeTensors::open(out / "18_36.safetensors");
  const auto locations = second.view<std::uint16_t>("locations", formats::Dtype::u16);
  EXPECT_THAT(std::vector<std::uint16_t>(locations.begin(), locations.end()),
              ::testing::ElementsAre(0, 5, 2, 1, 2, 1, 1, 2, 18))
      << "(context, position, latent from the file's first)";
  const auto halves = second.view<std::uint16_t>("activations", formats::Dtype::f16);
  ASSERT_EQ(halves.size(), 3U);
  EXPECT_EQ(float_from_half(halves[1]), 1.5F);
  EXPECT_EQ(first.tensor("locations").shape, (std::vector<std::uint64_t>{1, 3}));
  EXPECT_EQ(first.tensor("tokens").shape, (std::vector<std::uint64_t>{kContexts, kCtx}));
  const auto config = nlohmann::json::parse(read_file(out / "config.json"));
  EXPECT_EQ(config["cache_ctx_len"], kCtx);
  EXPECT_EQ(config["n_splits"], 2);
  EXPECT_THAT(error_of([&] {
                export_delphi(Reader::open(folder.path() / "index.safetensors"), some_tokens(), out, {}, silent);
              }),
              HasSubstr("is there already"));
}

TEST(DelphiCache, WhatItCannotHoldIsCounted) {
  const Folder folder;
  const std::vector<Firing> firings = {{1, 5, 1e6F}, {2, 6, 5e-6F}, {2, 7, 1.0F}};
  SilentReporter silent;
  const DelphiLosses losses =
      export_delphi(write_index(folder, firings), some_tokens(), folder.path() / "out", {"m", 4}, silent);
  EXPECT_EQ(losses.written, 2U);
  EXPECT_EQ(losses.too_large, 1U);
  EXPECT_EQ(losses.too_small, 1U);
  const DelphiCache cache = DelphiCache::open(folder.path() / "out");
  EXPECT_EQ(cache.latent_count(), kLatents) << "a split without a firing is there, for delphi opens it";
  EXPECT_EQ(cache.missing_latents(), 0U);
  const std::vector<Firing> read = all_of(cache);
  ASSERT_EQ(read.size(), 2U);
  EXPECT_EQ(read[0].activation, kHalfMax);
}

/// A split as delphi would write it, from rows.
void write_split(const fs::path& path, const std::vector<std::uint32_t>& rows, const std::vector<float>& activations) {
  formats::SafeTensorsWriter file(path,
                                  {{"tokens", formats::Dtype::i64, {2, 4}},
                                   {"locations", formats::Dtype::u32, {rows.size() / 3, 3}},
                                   {"activations", formats::Dtype::f16, {activations.size()}}},
                                  {});
  const std::vector<std::int64_t> tokens(8, 11);
  file.write_values(std::span<const std::int64_t>(tokens));
  file.write_values(std::span<const std::uint32_t>(rows));
  std::vector<std::uint16_t> halves;
  for (const float a : activations) halves.push_back(half_from_float(a));
  file.write_values(std::span<const std::uint16_t>(halves));
  file.commit();
}

class Foreign {
 public:
  Foreign() { write_file(folder_.path() / "config.json", "{\"cache_ctx_len\": 4}"); }
  void split(const std::string& name, const std::vector<std::uint32_t>& rows, const std::vector<float>& activations) {
    write_split(folder_.path() / name, rows, activations);
  }
  std::string fault() const {
    return error_of([&] { open().each_block([](std::span<const Firing>, std::uint64_t) {}); });
  }
  DelphiCache open() const { return DelphiCache::open(folder_.path()); }
  const fs::path& path() const { return folder_.path(); }

 private:
  Folder folder_;
};

TEST(DelphiCache, NegativeZeroAndInfiniteActivationsAreTold) {
  Foreign foreign;
  foreign.split("0_9.safetensors", {0, 1, 3, 0, 1, 4, 1, 0, 0, 1, 3, 9}, {-1.0F, 0.0F, 1e9F, 2.0F});
  DelphiCache::Losses losses;
  std::vector<Firing> read;
  losses = foreign.open().each_block(
      [&](std::span<const Firing> block, std::uint64_t) { read.insert(read.end(), block.begin(), block.end()); });
  EXPECT_EQ(losses.negative, 1U);
  EXPECT_EQ(losses.zero, 1U);
  EXPECT_EQ(losses.infinite, 1U);
  ASSERT_EQ(read.size(), 2U);
  EXPECT_EQ(read[0].position, 4U);
  EXPECT_EQ(read[1].latent, 9U);
}

TEST(DelphiCache, FaultsAreNamed) {
  Foreign overlap;
  overlap.split("0_4.safetensors", {0, 0, 0}, {1.0F});
  overlap.split("3_9.safetensors", {0, 0, 0}, {1.0F});
  EXPECT_THAT(overlap.fault(), HasSubstr("begins at latent 3, but the file before it ends at 4"));
  Foreign range;
  range.split("0_4.safetensors", {0, 0, 5}, {1.0F});
  EXPECT_THAT(range.fault(), HasSubstr("latent 5), of 2 contexts of 4 tokens and 5 latents"));
  Foreign order;
  order.split("0_4.safetensors", {1, 0, 1, 0, 0, 1}, {1.0F, 1.0F});
  EXPECT_THAT(order.fault(), HasSubstr("location 1 is of context 0, after one of context 1"));
  Foreign twice;
  twice.split("0_4.safetensors", {0, 2, 1, 0, 2, 1}, {1.0F, 1.0F});
  EXPECT_THAT(twice.fault(), HasSubstr("latent 1 fires twice at context 0, position 2"));
  Foreign nan;
  nan.split("0_4.safetensors", {0, 2, 1}, {std::numeric_limits<float>::quiet_NaN()});
  EXPECT_THAT(nan.fault(), HasSubstr("activation 0 is no number"));
  Foreign count;
  count.split("0_4.safetensors", {0, 2, 1}, {1.0F, 2.0F});
  EXPECT_THAT(count.fault(), HasSubstr("activations"));
  Foreign name;
  name.split("first.safetensors", {0, 2, 1}, {1.0F});
  EXPECT_THAT(name.fault(), HasSubstr("is not named FIRST_LAST.safetensors"));
  EXPECT_THAT(Foreign().fault(), HasSubstr("holds no FIRST_LAST.safetensors"));
  Foreign bare;
  fs::remove(bare.path() / "config.json");
  EXPECT_THAT(bare.fault(), HasSubstr("holds no config.json"));
}

}  // namespace
}  // namespace gloss::index
