#include "gloss/index/histograms.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gloss/index/index_testing.h"

namespace gloss::index {
namespace {

using ::testing::ElementsAre;
using testing::Folder;

/// Latent 1 of 3 in two contexts of 8: at offsets 1, 2, 6 and 0.
Reader example() {
  const Folder folder;
  WriterOptions options = testing::options(3, 8);
  options.full_precision = true;
  const std::vector<Firing> firings{{1, 1, 2.0F}, {1, 2, 5.0F}, {1, 6, 1.0F}, {1, 8, 3.0F}};
  SilentReporter reporter;
  Writer writer(folder.path(), options);
  writer.append(firings, 16);
  writer.finish(16, 2, reporter);
  return Reader::parse(MappedFile::of_bytes(folder.index_bytes(), "ix"));
}

TEST(Histograms, OfStrengthPutTheMaximumIntoTheLastBin) {
  const Histogram<double> h = strength_histogram(example(), LatentId{1}, 5);
  EXPECT_THAT(h.edges, ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(h.counts, ElementsAre(0, 1, 1, 1, 1)) << "what is at an edge belongs above it";
}

TEST(Histograms, OfOffsetsHaveNoMoreBinsThanThereAreOffsets) {
  const Histogram<std::uint32_t> fine = offset_histogram(example(), LatentId{1}, 100);
  EXPECT_THAT(fine.edges, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8));
  EXPECT_THAT(fine.counts, ElementsAre(1, 1, 1, 0, 0, 0, 1, 0));
  const Histogram<std::uint32_t> coarse = offset_histogram(example(), LatentId{1}, 3);
  EXPECT_THAT(coarse.edges, ElementsAre(0, 3, 6, 8)) << "the least offset of each";
  EXPECT_THAT(coarse.counts, ElementsAre(3, 0, 1));
}

TEST(Histograms, OfALatentThatNeverFiresAreEmpty) {
  EXPECT_THAT(strength_histogram(example(), LatentId{0}, 2).counts, ElementsAre(0, 0));
  EXPECT_THAT(offset_histogram(example(), LatentId{2}, 2).counts, ElementsAre(0, 0));
}

}  // namespace
}  // namespace gloss::index
