#include "gloss/dashboard/text_embeddings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <string>

#include "gloss/base/error.h"
#include "gloss/base/random.h"
#include "gloss/dashboard/dashboard_testing.h"

namespace gloss::dashboard {
namespace {

using ::testing::HasSubstr;

std::vector<float> random_row(std::uint64_t seed, std::size_t width) {
  Random random = Random::for_purpose(seed, "text-embeddings");
  std::vector<float> row(width);
  double square = 0.0;
  for (float& value : row) {
    value = static_cast<float>(random.uniform() - 0.5);
    square += double{value} * double{value};
  }
  for (float& value : row) value = static_cast<float>(value / std::sqrt(square));
  return row;
}

class TextEmbeddingsTest : public ::testing::Test {
 protected:
  TextEmbeddings written(std::size_t count, std::uint32_t width) {
    rows_.clear();
    std::vector<std::uint64_t> keys;
    std::vector<CodedRow> coded;
    for (std::size_t i = 0; i < count; ++i) {
      rows_.push_back(random_row(i, width));
      coded.push_back(code_row(rows_.back()));
      keys.push_back(text_key("text " + std::to_string(i)));
    }
    write_text_embeddings(file_, {"/models/mini", "f00d", "query: "}, width, keys, [&](std::size_t i) {
      return CodedView{coded[i].scale, coded[i].codes};
    });
    return TextEmbeddings::open(file_);
  }

  index::testing::Folder folder_;
  std::filesystem::path file_ = folder_.path() / "explanation-embeddings.safetensors";
  std::vector<std::vector<float>> rows_;
};

TEST_F(TextEmbeddingsTest, CosinesAreThoseOfTheRowsWithinWhatCodesCanTell) {
  constexpr std::size_t kRows = 200;
  for (const std::uint32_t width : {7U, 384U, 4096U}) {
    const TextEmbeddings texts = written(kRows, width);
    ASSERT_EQ(texts.size(), kRows);
    ASSERT_EQ(texts.width(), width);
    EXPECT_EQ(texts.by().embedder, "/models/mini");
    EXPECT_EQ(texts.by().fingerprint, "f00d");
    EXPECT_EQ(texts.by().query_prefix, "query: ");
    const std::vector<float> asked = random_row(1000, width);
    const TextEmbeddings::Query query = texts.query(asked);
    for (std::size_t i = 0; i < kRows; ++i) {
      double cosine = 0.0;
      for (std::size_t d = 0; d < width; ++d) cosine += double{rows_[i][d]} * double{asked[d]};
      // A code is off by half a step at most; errors of different places cancel, as sums of D of them do.
      const double step = double{texts.row(static_cast<TextEmbeddings::Place>(i)).scale};
      EXPECT_NEAR(texts.cosine(query, static_cast<TextEmbeddings::Place>(i)), cosine, 3 * step) << width << " " << i;
    }
  }
}

TEST_F(TextEmbeddingsTest, ARowIsNearestToItself) {
  const TextEmbeddings texts = written(100, 64);
  for (TextEmbeddings::Place i = 0; i < texts.size(); ++i) {
    const TextEmbeddings::Query query = texts.query(rows_[i]);
    EXPECT_NEAR(texts.cosine(query, i), 1.0F, 0.01F);
    for (TextEmbeddings::Place j = 0; j < texts.size(); ++j) {
      if (j == i) continue;
      EXPECT_LT(texts.cosine(query, j), texts.cosine(query, i));
    }
  }
}

TEST_F(TextEmbeddingsTest, SumsFitAtTheGreatestWidthAndNorm) {
  constexpr std::uint32_t kWidth = 1U << 16U;
  const std::vector<float> flat(kWidth, 1.0F / 256.0F);  // every code is 127
  const CodedRow coded = code_row(flat);
  const std::vector<std::uint64_t> keys{1};
  write_text_embeddings(file_, {"m", "f", ""}, kWidth, keys, [&](std::size_t) {
    return CodedView{coded.scale, coded.codes};
  });
  const TextEmbeddings texts = TextEmbeddings::open(file_);
  EXPECT_NEAR(texts.cosine(texts.query(flat), 0), 1.0F, 1e-4F);
}

TEST_F(TextEmbeddingsTest, NothingIsNearARowOfZeros) {
  EXPECT_EQ(code_row(std::vector<float>(5, 0.0F)).codes, std::vector<std::int8_t>(5, 0));
  const TextEmbeddings texts = written(2, 5);
  EXPECT_EQ(texts.cosine(texts.query(std::vector<float>(5, 0.0F)), 1), 0.0F);
}

TEST_F(TextEmbeddingsTest, PlacesAreFoundInAnyOrder) {
  const TextEmbeddings texts = written(50, 4);
  TextPlaces in_order(texts.keys());
  for (std::size_t i = 0; i < 50; ++i) EXPECT_EQ(in_order.find(text_key("text " + std::to_string(i))), i);
  TextPlaces backwards(texts.keys());
  for (std::size_t i = 50; i-- > 0;) EXPECT_EQ(backwards.find(text_key("text " + std::to_string(i))), i);
  EXPECT_EQ(backwards.find(text_key("another")), TextEmbeddings::kNone);
  EXPECT_EQ(backwards.find(text_key("text 7")), 7U);
  EXPECT_EQ(backwards.find(text_key("text 8")), 8U);
}

TEST_F(TextEmbeddingsTest, RefusesWhatIsNoSuchFileAndOtherQuestions) {
  const TextEmbeddings texts = written(3, 4);
  EXPECT_THROW(texts.query(std::vector<float>(5, 0.1F)), Error);
  EXPECT_THROW(texts.query(std::vector<float>(4, std::nanf(""))), Error);
  const std::vector<std::uint64_t> keys{1, 2};
  formats::SafeTensorsWriter writer(file_, {{"keys", formats::Dtype::u64, {2}}, {"codes", formats::Dtype::i8, {3, 4}}},
                                    {{"embedder", "m"}, {"fingerprint", "f"}, {"query_prefix", ""}});
  writer.write_values(std::span<const std::uint64_t>(keys));
  writer.write(std::as_bytes(std::span<const std::int8_t>(std::vector<std::int8_t>(12, 1))));
  writer.commit();
  try {
    TextEmbeddings::open(file_);
    FAIL() << "took two keys of three rows";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::bad_input);
    EXPECT_THAT(e.what(), HasSubstr("keys"));
  }
}

}  // namespace
}  // namespace gloss::dashboard
