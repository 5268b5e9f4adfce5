#include "gloss/app/firing_selection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <tuple>

#include "gloss/base/error.h"

namespace gloss::app {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Row = std::tuple<std::uint32_t, std::uint32_t, float>;  // latent, position, activation

std::vector<Row> rows(const std::vector<index::Firing>& firings) {
  std::vector<Row> found;
  for (const index::Firing& f : firings) found.emplace_back(f.latent, f.position, f.activation);
  return found;
}

/// Three tokens, the second of them special (id 1 of 3).
struct Batch {
  sparse::Encoded encoded{{0, 2, 4, 6}, {0, 2, 1, 0, 2, 1}, {3.0F, 0.5F, 2.0F, 0.25F, 4.0F, 0.5F}};
  std::vector<TokenId> ids{TokenId{0}, TokenId{1}, TokenId{2}};
  std::vector<bool> special{false, true, false};
};

std::pair<std::vector<Row>, std::vector<Row>> collect(const KeptFirings& kept, std::uint64_t resume = 0) {
  const Batch batch;
  std::vector<index::Firing> firings(1), at_special(1);  // what they held before goes
  kept.collect(batch.encoded, batch.ids, batch.special, 100, resume, firings, at_special);
  return {rows(firings), rows(at_special)};
}

TEST(KeptFirings, AllByDefaultWithThoseAtSpecialTokensApart) {
  const KeptFirings kept({}, "layers.1", 3, 1);
  EXPECT_THAT(kept.settings(), IsEmpty());
  EXPECT_THAT(kept.latents(), IsEmpty());
  const auto [firings, at_special] = collect(kept);
  EXPECT_THAT(firings, ElementsAre(Row{0, 100, 3.0F}, Row{2, 100, 0.5F}, Row{2, 102, 4.0F}, Row{1, 102, 0.5F}));
  EXPECT_THAT(at_special, ElementsAre(Row{1, 101, 2.0F}, Row{0, 101, 0.25F}));
  EXPECT_THAT(collect(kept, 102).first, ElementsAre(Row{2, 102, 4.0F}, Row{1, 102, 0.5F}));
  EXPECT_THAT(collect(kept, 102).second, IsEmpty());
}

TEST(KeptFirings, OnlyWhatIsAboveTheThreshold) {
  const KeptFirings kept({0.5, "all"}, "layers.1", 3, 1);
  EXPECT_THAT(kept.settings(), ElementsAre(std::pair<const std::string, std::string>("threshold", "0.5")));
  const auto [firings, at_special] = collect(kept);
  EXPECT_THAT(firings, ElementsAre(Row{0, 100, 3.0F}, Row{2, 102, 4.0F})) << "0.5 is not above 0.5";
  EXPECT_THAT(at_special, ElementsAre(Row{1, 101, 2.0F}));
}

TEST(KeptFirings, OnlyTheLatentsChosen) {
  const KeptFirings kept({0.0, "1-2"}, "layers.1", 3, 1);
  EXPECT_THAT(kept.latents(), ElementsAre(0, 1, 1));
  EXPECT_EQ(kept.settings().at("latents"), "1-2");
  EXPECT_THAT(kept.settings().at("latents_chosen"), HasSubstr("2 "));
  EXPECT_THAT(collect(kept).first, ElementsAre(Row{2, 100, 0.5F}, Row{2, 102, 4.0F}, Row{1, 102, 0.5F}));
  EXPECT_THAT(collect(kept).second, ElementsAre(Row{1, 101, 2.0F}));
}

TEST(KeptFirings, RandomLatentsDependOnTheSeedAndAreWrittenDown) {
  const FiringSelection ten{0.0, "random:10"};
  const KeptFirings one(ten, "layers.1", 1000, 1), again(ten, "layers.1", 1000, 1), other(ten, "layers.1", 1000, 2);
  EXPECT_EQ(std::count(one.latents().begin(), one.latents().end(), 1), 10);
  EXPECT_EQ(one.settings(), again.settings());
  EXPECT_NE(one.settings(), other.settings());
}

TEST(KeptFirings, AnActivationThatIsNoNumberIsNotDroppedInSilence) {
  const KeptFirings kept({1.0, "all"}, "layers.1", 1, 1);
  std::vector<index::Firing> firings, at_special;
  const std::vector<TokenId> ids{TokenId{0}};
  kept.collect({{0, 1}, {0}, {std::numeric_limits<float>::quiet_NaN()}}, ids, {false}, 0, 0, firings, at_special);
  EXPECT_EQ(firings.size(), 1U);
}

TEST(KeptFirings, SaysWhatIsWrong) {
  const auto error_of = [](const FiringSelection& selection) {
    try {
      KeptFirings(selection, "layers.1", 3, 1);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_THAT(error_of({-1.0, "all"}), HasSubstr("--threshold: is -1, wanted a number from 0"));
  EXPECT_THAT(error_of({std::numeric_limits<double>::infinity(), "all"}), HasSubstr("--threshold: is inf"));
  EXPECT_THAT(error_of({0.0, "2-3"}), HasSubstr("latent 3: layers.1 has 3"));
}

}  // namespace
}  // namespace gloss::app
