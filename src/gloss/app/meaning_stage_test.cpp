#include "gloss/app/meaning_stage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "gloss/base/error.h"
#include "gloss/base/output_file.h"
#include "gloss/index/index_testing.h"
#include "gloss/score/baselines.h"

namespace gloss::app {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

const fs::path kBert = fs::path(GLOSS_SOURCE_DIR) / "tests/golden/bert";
constexpr std::uint32_t kLatents = 400;

/// Counts what it is asked for, and can be made to fail at a text.
struct Counting {
  TextEmbedder inner = open_text_embedder(kBert.string(), no_reply_cache());
  std::size_t embedded = 0;
  std::string fails_at;

  TextEmbedder embedder() {
    TextEmbedder result = inner;
    result.embed = [this](std::span<const std::string> texts, std::size_t threads) {
      for (const std::string& text : texts) {
        if (!fails_at.empty() && text == fails_at) fail_system("server", "is gone");
      }
      embedded += texts.size();
      return inner.embed(texts, threads);
    };
    return result;
  }
};

class MeaningStage : public ::testing::Test {
 protected:
  MeaningStage() {
    for (const char* hookpoint : {"layers.2", "layers.10"}) {
      fs::create_directories(run_.latents(hookpoint));
      index::WriterOptions options = index::testing::options(kLatents, 64);
      options.hookpoint = hookpoint;
      index::testing::write_index(run_.latents(hookpoint), options,
                                  index::testing::random_firings(1, kLatents, 640, 0.02), 640);
    }
    for (std::uint32_t f = 0; f < kLatents; ++f) put("layers.2", "a", f, text_of(f));
    put("layers.10", "a", 3, text_of(7));  // told before, of another
    put("layers.10", "b", 3, "the cat sat on a mat");
    put("layers.10", "b", 4, "");
    put("layers.10", score::shuffled_name("b"), 5, "a baseline");
  }
  static std::string text_of(std::uint32_t f) { return "words of a latent " + std::to_string(f); }
  void put(const std::string& hookpoint, const std::string& explainer, std::uint32_t f, const std::string& text) {
    store_.put_explanation({hookpoint, explainer, {LatentId{f}, text, "", "", text.empty() ? "no text" : ""}});
  }
  EmbeddedExplanations embed(Counting& counting, std::size_t threads = 2, const std::string& prefix = "") {
    SilentReporter reporter;
    return embed_explanations(run_, store_, kBert.string(), counting.embedder(), prefix, threads, reporter);
  }
  std::string bytes() const { return read_file(run_.explanation_embeddings()); }

  index::testing::Folder folder_;
  RunFolder run_{folder_.path()};
  store::Store store_{folder_.path() / "results.db"};
};

TEST_F(MeaningStage, EmbedsEveryTextOnce) {
  Counting counting;
  const EmbeddedExplanations done = embed(counting);
  EXPECT_EQ(done.texts, kLatents + 1);
  EXPECT_EQ(done.fresh, kLatents + 1);
  EXPECT_EQ(counting.embedded, kLatents + 1);
  const auto texts = dashboard::TextEmbeddings::open(run_.explanation_embeddings());
  EXPECT_EQ(texts.by().embedder, kBert.string());
  ASSERT_EQ(texts.size(), kLatents + 1);
  dashboard::TextPlaces places(texts.keys());
  for (const std::string& text : {text_of(0), text_of(399), std::string("the cat sat on a mat")}) {
    const auto query = texts.query(counting.inner.embed(std::span(&text, 1), 1));
    const auto place = places.find(dashboard::text_key(text));
    ASSERT_NE(place, dashboard::TextEmbeddings::kNone) << text;
    EXPECT_NEAR(texts.cosine(query, place), 1.0F, 0.01F) << text;
  }
  EXPECT_EQ(places.find(dashboard::text_key("a baseline")), dashboard::TextEmbeddings::kNone);
}

TEST_F(MeaningStage, KeepsWhatItHasAndDropsWhatNobodySays) {
  Counting counting;
  embed(counting);
  const std::string first = bytes();
  EXPECT_EQ(embed(counting).fresh, 0U);
  EXPECT_EQ(counting.embedded, kLatents + 1);
  EXPECT_EQ(bytes(), first);
  put("layers.2", "a", 0, "says something new");
  const EmbeddedExplanations done = embed(counting);
  EXPECT_EQ(done.texts, kLatents + 1);
  EXPECT_EQ(done.fresh, 1U);
  EXPECT_EQ(counting.embedded, kLatents + 2);
  const auto texts = dashboard::TextEmbeddings::open(run_.explanation_embeddings());
  EXPECT_EQ(texts.keys().front(), dashboard::text_key("says something new"));
  EXPECT_EQ(dashboard::TextPlaces(texts.keys()).find(dashboard::text_key(text_of(0))),
            dashboard::TextEmbeddings::kNone);
  // The same as if nothing had been there.
  const std::string kept = bytes();
  fs::remove(run_.explanation_embeddings());
  embed(counting, 1);
  EXPECT_EQ(bytes(), kept);
  EXPECT_EQ(embed(counting, 1, "query: ").fresh, 0U) << "a prefix goes before questions alone";
  EXPECT_EQ(dashboard::TextEmbeddings::open(run_.explanation_embeddings()).by().query_prefix, "query: ");
}

TEST_F(MeaningStage, TakesUpWhatAnInterruptedOneLeft) {
  Counting whole;
  embed(whole);
  const std::string wanted = bytes();
  fs::remove(run_.explanation_embeddings());
  Counting counting;
  counting.fails_at = text_of(300);
  EXPECT_THROW(embed(counting), Error);
  EXPECT_FALSE(fs::exists(run_.explanation_embeddings()));
  EXPECT_EQ(counting.embedded, 256U);
  counting.fails_at = "";
  embed(counting);
  EXPECT_EQ(counting.embedded, kLatents + 1) << "embedded again";
  EXPECT_EQ(bytes(), wanted);
  EXPECT_FALSE(fs::exists(run_.explanation_embeddings().string() + ".part"));
}

TEST_F(MeaningStage, RefusesAnotherEmbedder) {
  Counting counting;
  embed(counting);
  counting.inner.fingerprint = "another";
  try {
    embed(counting);
    FAIL() << "mixed rows of two embedders";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::bad_input);
    EXPECT_THAT(e.what(), HasSubstr("delete it"));
  }
}

TEST_F(MeaningStage, OpensWhatItMade) {
  SilentReporter reporter;
  EXPECT_FALSE(open_meaning(run_, "", reporter));
  EXPECT_FALSE(open_meaning(run_, kBert.string(), reporter));
  Counting counting;
  embed(counting);
  const auto meaning = open_meaning(run_, "", reporter);
  ASSERT_TRUE(meaning);
  EXPECT_EQ(meaning->name, "bert");
  const auto row = meaning->embed(text_of(5));
  const auto query = meaning->texts.query(row);
  EXPECT_NEAR(
      meaning->texts.cosine(query, dashboard::TextPlaces(meaning->texts.keys()).find(dashboard::text_key(text_of(5)))),
      1.0F, 0.01F);
}

TEST_F(MeaningStage, AsksNoServerAndNoOtherFolderUnlessNamed) {
  SilentReporter reporter;
  const std::vector<std::uint64_t> keys{1};
  const std::vector<std::int8_t> codes(24, 1);
  const auto write = [&](const std::string& embedder, const std::string& fingerprint) {
    dashboard::write_text_embeddings(run_.explanation_embeddings(), {embedder, fingerprint, ""}, 24, keys,
                                     [&](std::size_t) {
                                       return dashboard::CodedView{1.0F, codes};
                                     });
  };
  write("http://127.0.0.1:1/v1#m", "served m");
  EXPECT_FALSE(open_meaning(run_, "", reporter)) << "would send questions to whom the file names";
  write("/nowhere/model", "f");
  EXPECT_FALSE(open_meaning(run_, "", reporter));
  write(kBert.string(), "what it was before");
  EXPECT_FALSE(open_meaning(run_, "", reporter));
  EXPECT_THROW(open_meaning(run_, kBert.string(), reporter), Error);
}

}  // namespace
}  // namespace gloss::app
