#include "gloss/index/latent_weights.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "gloss/base/error.h"
#include "gloss/index/index_testing.h"

namespace gloss::index {
namespace {

using testing::Folder;

/// F = 3, n = 2, V = 7; every list filled from its own number, and one short list each.
LatentWeights sample() {
  LatentWeights w;
  w.latents = 3;
  w.entries = 2;
  w.vocabulary = 7;
  float value = 1.0F;
  for (WeightArrays& list : w.lists) {
    list.id = {1, 2, 0, kNoEntry, kNoEntry, kNoEntry};
    list.value = {value, value - 0.25F, 0.5F, 0, 0, 0};
    value += 1.0F;
  }
  w.of(WeightList::promoted).id[0] = 6;
  w.logit_moments = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  w.metadata = {{"hookpoint", "layers.1"}};
  return w;
}

LatentWeightsReader written(const Folder& folder, const LatentWeights& w) {
  write_latent_weights(folder.path() / "weights.safetensors", w);
  return LatentWeightsReader::open(folder.path() / "weights.safetensors");
}

template <class Act>
std::string error_of(const Act& act) {
  try {
    act();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

void expect_error(const std::string& found, const std::string& wanted) {
  EXPECT_NE(found.find(wanted), std::string::npos) << "got: " << found << "\nwanted: " << wanted;
}

TEST(LatentWeights, ComeBackAsWritten) {
  const Folder folder;
  const LatentWeightsReader reader = written(folder, sample());
  EXPECT_EQ(reader.latent_count(), 3U);
  EXPECT_EQ(reader.vocabulary(), 7U);
  EXPECT_EQ(reader.metadata().at("hookpoint"), "layers.1");
  const std::vector<WeightEntry> promoted = reader.entries(WeightList::promoted, LatentId{0});
  ASSERT_EQ(promoted.size(), 2U);
  EXPECT_EQ(promoted[0].id, 6U);
  EXPECT_EQ(promoted[1].value, 0.75F);
  EXPECT_EQ(reader.entries(WeightList::cooccurring, LatentId{0})[0].value, 5.0F);
  EXPECT_EQ(reader.entries(WeightList::encoder_neighbours, LatentId{1}).size(), 1U);
  EXPECT_TRUE(reader.entries(WeightList::decoder_neighbours, LatentId{2}).empty());
  ASSERT_TRUE(reader.moments(LatentId{1}).has_value());
  EXPECT_EQ(reader.moments(LatentId{1})->kurtosis, 7.0F);
}

TEST(LatentWeights, HistogramsStandBetweenTheEndsOfTheLists) {
  const Folder folder;
  LatentWeights w = sample();
  EXPECT_FALSE(written(folder, w).histogram(LatentId{0}));  // of an older gloss
  w.histogram_bins = 3;
  w.logit_histogram = {5, 0, 2, 1, 6, 0, 7, 0, 0};
  const LatentWeightsReader reader = written(folder, w);
  const std::optional<LogitHistogram> first = reader.histogram(LatentId{0});
  ASSERT_TRUE(first);
  EXPECT_EQ(first->low, 2.0);  // of suppressed, as the sample has it
  EXPECT_EQ(first->high, 1.0);
  EXPECT_EQ(first->counts, (std::vector<std::uint16_t>{5, 0, 2}));
  EXPECT_EQ(reader.histogram(LatentId{1})->counts, (std::vector<std::uint16_t>{1, 6, 0}));
  EXPECT_FALSE(reader.histogram(LatentId{2}));  // its lists are empty
  expect_error(error_of([&] { reader.histogram(LatentId{3}); }), "has 3 latents, but latent 3");
  w.logit_histogram.pop_back();
  EXPECT_THROW(written(folder, w), std::invalid_argument);
}

TEST(LatentWeights, ListsThatWereLeftOutAreEmpty) {
  const Folder folder;
  LatentWeights w = sample();
  for (const WeightList list : {WeightList::promoted, WeightList::suppressed, WeightList::decoder_neighbours})
    w.of(list) = {};
  w.logit_moments.clear();
  const LatentWeightsReader reader = written(folder, w);
  EXPECT_FALSE(reader.has(WeightList::promoted));
  EXPECT_TRUE(reader.entries(WeightList::promoted, LatentId{0}).empty());
  EXPECT_FALSE(reader.moments(LatentId{0}).has_value());
  EXPECT_TRUE(reader.has(WeightList::encoder_neighbours));
}

TEST(LatentWeights, FaultsAreNamedWhereTheyAreRead) {
  const Folder folder;
  const std::string file = (folder.path() / "weights.safetensors").string();
  const auto with = [&](const auto& change) {
    LatentWeights w = sample();
    change(w);
    return written(folder, w);
  };
  const auto list_error = [&](const LatentWeightsReader& reader, WeightList list) {
    return error_of([&] { static_cast<void>(reader.entries(list, LatentId{0})); });
  };
  expect_error(list_error(with([](LatentWeights& w) { w.of(WeightList::promoted).id[1] = 7; }), WeightList::promoted),
               file + ": tensor 'promoted': latent 0, entry 1 is 7, wanted one below 7\nhint: the file is damaged");
  expect_error(
      list_error(with([](LatentWeights& w) { w.of(WeightList::cooccurring).id[0] = 3; }), WeightList::cooccurring),
      "tensor 'cooccurring': latent 0, entry 0 is 3, wanted one below 3");
  expect_error(
      list_error(with([](LatentWeights& w) { w.of(WeightList::suppressed).id[0] = kNoEntry; }), WeightList::suppressed),
      "tensor 'suppressed': latent 0, entry 1 is 2, after the list's end");
  expect_error(list_error(with([](LatentWeights& w) {
                            w.of(WeightList::encoder_neighbours).value[0] = std::numeric_limits<float>::quiet_NaN();
                          }),
                          WeightList::encoder_neighbours),
               "tensor 'encoder_cosine': latent 0, entry 0 is nan, wanted a finite number");
  const LatentWeightsReader infinite =
      with([](LatentWeights& w) { w.logit_moments[2] = std::numeric_limits<float>::infinity(); });
  expect_error(error_of([&] { static_cast<void>(infinite.moments(LatentId{0})); }),
               "tensor 'logit_moments': latent 0 has values that are not finite");
  expect_error(error_of([&] { static_cast<void>(infinite.entries(WeightList::promoted, LatentId{3})); }),
               "has 3 latents, but latent 3 was asked for");
}

TEST(LatentWeights, OtherFilesAndShapesAreRefused) {
  const Folder folder;
  const auto path = folder.path() / "weights.safetensors";
  const auto open_error = [&] { return error_of([&] { LatentWeightsReader::open(path); }); };
  expect_error(open_error(), "weights.safetensors");
  const std::vector<float> zeros(12);
  const auto write = [&](const std::vector<formats::SafeTensorsWriter::Declared>& tensors,
                         const std::map<std::string, std::string>& metadata) {
    formats::SafeTensorsWriter writer(path, tensors, metadata);
    for (const auto& t : tensors) writer.write_values(std::span(zeros).subspan(0, t.shape[0] * t.shape.back()));
    writer.commit();
  };
  const std::map<std::string, std::string> good{{"format", "gloss-latent-weights-1"}, {"vocabulary", "7"}};
  write({{"x", formats::Dtype::f32, {2, 2}}}, {{"format", "gloss-index-1"}});
  expect_error(open_error(), "metadata 'format' is 'gloss-index-1', wanted 'gloss-latent-weights-2'\nhint:");
  write({{"x", formats::Dtype::f32, {2, 2}}}, {{"format", "gloss-latent-weights-1"}, {"vocabulary", "-7"}});
  expect_error(open_error(), "metadata 'vocabulary' is '-7', wanted a whole number");
  write({{"x", formats::Dtype::f32, {2, 2}}}, good);
  expect_error(open_error(), "cooccurring");
  write({{"cooccurring", formats::Dtype::u32, {0, 2}}, {"cooccurring_jaccard", formats::Dtype::f32, {0, 2}}}, good);
  expect_error(open_error(), "tensor 'cooccurring': is [0, 2], wanted [F, n]");
  write({{"cooccurring", formats::Dtype::u32, {2, 2}}, {"cooccurring_jaccard", formats::Dtype::f32, {2, 3}}}, good);
  expect_error(open_error(), "[2, 3]");
  write({{"cooccurring", formats::Dtype::u32, {2, 2}},
         {"cooccurring_jaccard", formats::Dtype::f32, {2, 2}},
         {"promoted", formats::Dtype::u32, {2, 2}},
         {"promoted_weight", formats::Dtype::f32, {2, 2}}},
        good);
  expect_error(open_error(), "logit_moments");
}

TEST(LatentWeights, EveryTruncationIsAnErrorNotACrash) {
  const Folder folder;
  written(folder, sample());
  const std::string good = read_file(folder.path() / "weights.safetensors");
  for (std::size_t n = 0; n < good.size(); ++n) {
    EXPECT_THROW(LatentWeightsReader::parse(MappedFile::of_bytes(good.substr(0, n), "cut")), Error)
        << "accepted a file cut at byte " << n;
  }
}

}  // namespace
}  // namespace gloss::index
