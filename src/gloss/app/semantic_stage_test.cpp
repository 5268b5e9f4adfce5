#include "gloss/app/semantic_stage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "gloss/base/error.h"
#include "gloss/base/output_file.h"
#include "gloss/formats/checked_file.h"
#include "gloss/formats/safetensors.h"
#include "gloss/model/sentence_encoder.h"

namespace gloss::app {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

const fs::path kBert = fs::path(GLOSS_SOURCE_DIR) / "tests/golden/bert";

/// A run that has tokens and nothing else; its tokenizer is the embedding model's own.
class SmallRun {
 public:
  explicit SmallRun(const std::string& name) : folder_(fs::path(::testing::TempDir()) / ("gloss-semantic-" + name)) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    const text::Tokenizer tokenizer = text::Tokenizer::load(kBert);
    std::vector<TokenId> tokens;
    while (tokens.size() < 4096) {
      for (const TokenId id : tokenizer.encode("the cat sat on a mat hello world unbelievable cats x y z 1 2 3 ! ? ."))
        tokens.push_back(TokenId{(to_index(id) * 7 + static_cast<std::uint32_t>(tokens.size() / 40)) % 92});
    }
    tokens.resize(4096);
    text::write_token_file(folder_ / "tokens.safetensors", tokens, std::vector<std::uint32_t>(64, 0), 64);
    settings.options.window = 32;
    settings.options.contrast = 5;
    settings.embedding_model = kBert.string();
    settings.semantic_pool = 100;
  }
  ~SmallRun() {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  SmallRun(const SmallRun&) = delete;
  SmallRun& operator=(const SmallRun&) = delete;

  RunData data() const {
    return {RunFolder(folder_), text::Tokenizer::load(kBert), text::TokenFile::open(folder_ / "tokens.safetensors")};
  }
  fs::path file() const { return folder_ / "embeddings.safetensors"; }

  ExampleSettings settings;

 private:
  fs::path folder_;
};

std::vector<examples::SemanticPool::Hit> nearest(const examples::SemanticPool& pool, std::uint32_t query) {
  const std::vector<std::uint32_t> queries{query};
  return pool.nearest(queries, 10, [](std::uint32_t) { return true; });
}

TEST(SemanticStage, TokenizesAsTheEmbeddingModelWants) {
  const text::Tokenizer tokenizer = text::Tokenizer::load(kBert);
  const model::SentenceEncoder encoder = model::SentenceEncoder::load(kBert);
  const formats::SafeTensors golden = formats::SafeTensors::open(kBert / "golden.safetensors");
  const std::vector<std::string> texts{"The cat sat on a mat.", "Hello, w\u00f6rld! Unbelievable cats?", "", "x", [] {
                                         std::string text;
                                         for (int i = 0; i < 6; ++i) text += "a zebra's \u4e16 mat ";
                                         return text;
                                       }()};
  for (std::size_t i = 0; i < texts.size(); ++i) {
    SCOPED_TRACE(texts[i]);
    const std::vector<TokenId> ids = tokenizer.encode_with_special(texts[i]);
    const formats::TensorView& wanted = golden.tensor("ids." + std::to_string(i));
    const std::size_t count = std::min<std::size_t>(ids.size(), encoder.max_tokens());
    ASSERT_EQ(wanted.element_count(), count);
    for (std::size_t t = 0; t + 1 < count; ++t) {
      std::int64_t id = 0;
      std::memcpy(&id, wanted.bytes.data() + t * sizeof(id), sizeof(id));
      EXPECT_EQ(to_index(ids[t]), id) << t;
    }
    const std::vector<float> embedding = encoder.embed(ids);
    const std::vector<float> of_transformers = formats::to_floats(golden.tensor("embedding." + std::to_string(i)));
    for (std::size_t d = 0; d < embedding.size(); ++d) EXPECT_NEAR(embedding[d], of_transformers[d], 2e-5F);
  }
}

TEST(SemanticStage, KeepsTheEmbeddingsForTheNextCommand) {
  const SmallRun run("keeps");
  SilentReporter reporter;
  const auto made = semantic_pool(run.data(), run.settings, 2, reporter);
  EXPECT_EQ(made->size(), 100U);
  ASSERT_TRUE(fs::exists(run.file()));
  EXPECT_FALSE(fs::exists(run.file().string() + ".part"));
  const auto written = fs::last_write_time(run.file());
  const auto read = semantic_pool(run.data(), run.settings, 1, reporter);
  EXPECT_EQ(fs::last_write_time(run.file()), written) << "embedded again";
  const auto a = nearest(*made, 64);
  const auto b = nearest(*read, 64);
  ASSERT_EQ(a.size(), 10U);
  ASSERT_EQ(b.size(), 10U);
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].start, b[i].start);
    EXPECT_EQ(a[i].cosine, b[i].cosine);
    EXPECT_LE(a[i].cosine, a[i == 0 ? 0 : i - 1].cosine);
  }
}

TEST(SemanticStage, FindsAWindowNearestToItself) {
  const SmallRun run("itself");
  SilentReporter reporter;
  const auto pool = semantic_pool(run.data(), run.settings, 2, reporter);
  const auto first = nearest(*pool, 0);
  const auto again = nearest(*pool, first[0].start);
  EXPECT_NEAR(again[0].cosine, 1.0F, 1e-5F);
}

TEST(SemanticStage, TakesUpWhatAnInterruptedOneLeft) {
  const SmallRun run("resume");
  SilentReporter reporter;
  semantic_pool(run.data(), run.settings, 1, reporter);
  const formats::SafeTensors whole = formats::SafeTensors::open(run.file());
  std::string header;
  for (const auto& [key, value] : whole.metadata()) {
    if (!formats::is_checksum_key(key)) header.append(key).append("=").append(value).append(" ");
  }
  header += "\n";
  // 60 rows that no model gives, and a part of one: what is there is not made again.
  const std::vector<float> rows(60 * 24, 0.5F);
  std::string part = header;
  part.append(reinterpret_cast<const char*>(rows.data()), rows.size() * sizeof(float));
  part += "torn";
  const std::vector<float> good = formats::to_floats(whole.tensor("rows"));
  fs::remove(run.file());
  write_file(run.file().string() + ".part", part);
  semantic_pool(run.data(), run.settings, 1, reporter);
  const std::vector<float> found = formats::to_floats(formats::SafeTensors::open(run.file()).tensor("rows"));
  ASSERT_EQ(found.size(), good.size());
  for (std::size_t i = 0; i < found.size(); ++i) ASSERT_EQ(found[i], i < rows.size() ? 0.5F : good[i]) << i;
}

TEST(SemanticStage, RefusesEmbeddingsOfOtherWindows) {
  SmallRun run("other");
  SilentReporter reporter;
  semantic_pool(run.data(), run.settings, 1, reporter);
  run.settings.options.seed = 9;
  try {
    semantic_pool(run.data(), run.settings, 1, reporter);
    FAIL() << "took embeddings of other windows";
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("embeddings.safetensors: its windows were embedded otherwise: seed: was 1, is 9"));
  }
  run.settings.embedding_model = "";
  try {
    semantic_pool(run.data(), run.settings, 1, reporter);
    FAIL() << "made embeddings without a model";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::usage);
    EXPECT_THAT(e.what(), HasSubstr("hint: name its folder with --embedding-model DIR"));
  }
}

}  // namespace
}  // namespace gloss::app
