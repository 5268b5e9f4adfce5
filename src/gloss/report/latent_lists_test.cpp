#include "gloss/report/latent_lists.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "gloss/report/report_testing.h"
#include "gloss/report/terminal.h"

namespace gloss::report {
namespace {

using testing::HasSubstr;
using testing::Not;

/// Gives the run weights of layers.2: latent 1 promotes the token of an escape sequence and suppresses " the".
void add_weights(MadeUpRun& run, std::uint32_t latents) {
  index::LatentWeights w;
  w.latents = latents;
  w.entries = 2;
  w.vocabulary = 1000;  // more than the tokenizer has
  for (index::WeightArrays& list : w.lists) {
    list.id.assign(std::size_t{latents} * 2, index::kNoEntry);
    list.value.assign(list.id.size(), 0.0F);
  }
  const auto set = [&](index::WeightList list, std::uint32_t id, float value, std::size_t place = 0) {
    w.of(list).id[2 + place] = id;
    w.of(list).value[2 + place] = value;
  };
  const std::vector<std::string> texts = token_texts();
  const auto id_of = [&](const std::string& text) {
    return static_cast<std::uint32_t>(std::find(texts.begin(), texts.end(), text) - texts.begin());
  };
  set(index::WeightList::promoted, id_of("\x1B[31mred"), 3.25F);
  set(index::WeightList::promoted, 999, 1.5F, 1);
  set(index::WeightList::suppressed, id_of(" the"), -2.0F);
  set(index::WeightList::decoder_neighbours, 3, 0.75F);
  w.logit_moments.assign(std::size_t{latents} * 4, 0.0F);
  for (std::size_t i = 0; i < 4; ++i) w.logit_moments[4 + i] = static_cast<float>(i) + 0.5F;
  const auto path = std::filesystem::temp_directory_path() / ("gloss-lists-" + std::to_string(::getpid()));
  index::write_latent_weights(path, w);
  const auto reader = std::make_shared<index::LatentWeightsReader>(index::LatentWeightsReader::open(path));
  std::filesystem::remove(path);  // stays mapped
  run.data.weights = [reader](std::string_view hookpoint) -> const index::LatentWeightsReader* {
    return hookpoint == "layers.2" ? reader.get() : nullptr;
  };
}

TEST(LatentLists, AreShownWithHarmlessTokens) {
  MadeUpRun run(4);
  add_weights(run, 4);
  const std::vector<ShownList> lists = latent_lists(run.data, "layers.2", LatentId{1});
  ASSERT_EQ(lists.size(), 3U);
  EXPECT_EQ(lists[0].entries[0].first, "\"␛[31mred\"");
  EXPECT_EQ(lists[0].entries[1].first, "token 999");
  EXPECT_EQ(lists[1].entries[0].first, "\" the\"");
  EXPECT_EQ(lists[2].entries[0].first, "3");
  EXPECT_TRUE(latent_lists(run.data, "layers.3", LatentId{1}).empty());
  EXPECT_TRUE(latent_lists(run.data, "layers.2", LatentId{2}).empty());

  const std::string text = show_text(run.data, "layers.2", LatentId{1}, {});
  for (const char* wanted : {"promotes", "\"␛[31mred\" 3.25", "suppresses", "\" the\" -2.00", "writes like", "3 0.75",
                             "skewness 2.50, kurtosis 3.5"})
    EXPECT_THAT(text, HasSubstr(wanted));
  EXPECT_THAT(show_text(run.data, "layers.2", LatentId{2}, {}), Not(HasSubstr("promotes")));
  const nlohmann::json json = show_json(run.data, "layers.2", LatentId{1}, {});
  EXPECT_EQ(json["weights"]["suppressed"][0][0], "\" the\"");
  EXPECT_EQ(json["weights"]["logit_moments"][3], 3.5);
}

TEST(LatentLists, ARunWithoutThemIsShownWithout) {
  const MadeUpRun run(2);
  EXPECT_THAT(show_text(run.data, "layers.2", LatentId{1}, {}), Not(HasSubstr("promotes")));
  EXPECT_TRUE(show_json(run.data, "layers.2", LatentId{1}, {})["weights"].empty());
}

}  // namespace
}  // namespace gloss::report
