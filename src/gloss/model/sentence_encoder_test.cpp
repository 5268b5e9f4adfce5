#include "gloss/model/sentence_encoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>

#include "gloss/base/error.h"
#include "gloss/base/output_file.h"
#include "gloss/base/parallel.h"
#include "gloss/formats/safetensors.h"

namespace gloss::model {
namespace {

using ::testing::HasSubstr;

const std::filesystem::path kBert = std::filesystem::path(GLOSS_SOURCE_DIR) / "tests/golden/bert";
constexpr int kTexts = 5;
/// Of sums of 50 products in another order, on states of size 1.
constexpr float kTolerance = 2e-5F;

formats::SafeTensors golden() { return formats::SafeTensors::open(kBert / "golden.safetensors"); }

std::vector<TokenId> ids_of(const formats::SafeTensors& file, int text) {
  const formats::TensorView& view = file.tensor("ids." + std::to_string(text));
  std::vector<TokenId> ids(view.element_count());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    std::int64_t id = 0;
    std::memcpy(&id, view.bytes.data() + i * sizeof(id), sizeof(id));
    ids[i] = TokenId{static_cast<std::uint32_t>(id)};
  }
  return ids;
}

void expect_near(const std::vector<float>& found, const std::vector<float>& wanted) {
  ASSERT_EQ(found.size(), wanted.size());
  for (std::size_t i = 0; i < found.size(); ++i) ASSERT_NEAR(found[i], wanted[i], kTolerance) << "at " << i;
}

TEST(SentenceEncoder, GivesTheStatesAndEmbeddingsOfTransformers) {
  const SentenceEncoder encoder = SentenceEncoder::load(kBert);
  EXPECT_EQ(encoder.width(), 24U);
  EXPECT_EQ(encoder.max_tokens(), 50U);
  const formats::SafeTensors file = golden();
  for (int text = 0; text < kTexts; ++text) {
    SCOPED_TRACE(text);
    const std::vector<TokenId> ids = ids_of(file, text);
    expect_near(encoder.states(ids), formats::to_floats(file.tensor("last_hidden_state." + std::to_string(text))));
    expect_near(encoder.embed(ids), formats::to_floats(file.tensor("embedding." + std::to_string(text))));
  }
}

TEST(SentenceEncoder, CutsALongTextBeforeItsLastToken) {
  const SentenceEncoder encoder = SentenceEncoder::load(kBert);
  const std::vector<TokenId> whole = ids_of(golden(), 4);
  ASSERT_EQ(whole.size(), encoder.max_tokens());
  std::vector<TokenId> longer = whole;
  longer.insert(longer.end() - 1, 7, TokenId{20});
  EXPECT_EQ(encoder.embed(longer), encoder.embed(whole));
}

TEST(SentenceEncoder, GivesTheSameFromAnyThread) {
  const SentenceEncoder encoder = SentenceEncoder::load(kBert);
  const formats::SafeTensors file = golden();
  std::vector<std::vector<float>> alone(kTexts);
  for (int text = 0; text < kTexts; ++text) alone[static_cast<std::size_t>(text)] = encoder.embed(ids_of(file, text));
  std::vector<std::vector<float>> found(40);
  parallel_for(found.size(), 4, [&](std::size_t i, std::size_t) {
    found[i] = encoder.embed(ids_of(file, static_cast<int>(i) % kTexts));
  });
  for (std::size_t i = 0; i < found.size(); ++i) EXPECT_EQ(found[i], alone[i % kTexts]) << i;
}

TEST(SentenceEncoder, RefusesTokensOfAnotherVocabulary) {
  const SentenceEncoder encoder = SentenceEncoder::load(kBert);
  const std::vector<TokenId> ids{TokenId{encoder.vocabulary()}};
  try {
    encoder.embed(ids);
    FAIL() << "took a token that it has no row for";
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("token 92 is not below the model's vocabulary of 92"));
  }
}

/// What loading a copy of the folder says after `change`.
std::string error_after(const std::function<void(const std::filesystem::path&)>& change) {
  const std::filesystem::path folder = std::filesystem::path(::testing::TempDir()) / "gloss-sentence-encoder";
  std::filesystem::remove_all(folder);
  std::filesystem::copy(kBert, folder);
  change(folder);
  try {
    SentenceEncoder::load(folder);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::bad_input);
    return e.what();
  }
  return "no error";
}

std::function<void(const std::filesystem::path&)> replace(const std::string& old, const std::string& with) {
  return [=](const std::filesystem::path& folder) {
    std::string config = read_file(folder / "config.json");
    const std::size_t at = config.find(old);
    ASSERT_NE(at, std::string::npos);
    write_file(folder / "config.json", config.replace(at, old.size(), with));
  };
}

TEST(SentenceEncoder, SaysWhatItCannotLoad) {
  EXPECT_THAT(error_after(replace("\"model_type\": \"bert\"", "\"model_type\": \"t5\"")),
              HasSubstr("config.json: model_type is 't5', wanted 'bert'\nhint: gloss embeds sentences with BERT"));
  EXPECT_THAT(error_after(replace("\"num_attention_heads\": 4", "\"num_attention_heads\": 5")),
              HasSubstr("hidden_size 24 is no multiple of 5 num_attention_heads"));
  EXPECT_THAT(error_after(replace("\"gelu\"", "\"swish\"")), HasSubstr("hidden_act is 'swish', wanted gelu"));
  EXPECT_THAT(error_after(replace("\"num_hidden_layers\": 3", "\"num_hidden_layers\": 4")),
              HasSubstr("encoder.layer.3.attention.self.query.weight"));
  EXPECT_THAT(error_after(replace("\"intermediate_size\": 38", "\"intermediate_size\": 39")),
              HasSubstr("intermediate_size"));
  EXPECT_THAT(error_after([](const std::filesystem::path& folder) {
                std::filesystem::create_directory(folder / "1_Pooling");
                write_file(folder / "1_Pooling/config.json", R"({"pooling_mode_mean_tokens": false})");
              }),
              HasSubstr("pooling_mode_mean_tokens is false"));
  EXPECT_THAT(error_after([](const std::filesystem::path& folder) { std::filesystem::remove(folder / "config.json"); }),
              HasSubstr("config.json"));
}

TEST(SentenceEncoder, TakesTheLongestTextOfSentenceTransformers) {
  const std::filesystem::path folder = std::filesystem::path(::testing::TempDir()) / "gloss-sentence-longest";
  std::filesystem::remove_all(folder);
  std::filesystem::copy(kBert, folder);
  write_file(folder / "sentence_bert_config.json", R"({"max_seq_length": 9, "do_lower_case": false})");
  const SentenceEncoder shorter = SentenceEncoder::load(folder);
  EXPECT_EQ(shorter.max_tokens(), 9U);
  EXPECT_NE(shorter.fingerprint(), SentenceEncoder::load(kBert).fingerprint());
}

}  // namespace
}  // namespace gloss::model
