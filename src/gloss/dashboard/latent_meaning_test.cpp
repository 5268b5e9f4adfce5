#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <nlohmann/json.hpp>
#include <thread>

#include "gloss/base/error.h"
#include "gloss/dashboard/dashboard_testing.h"
#include "gloss/dashboard/latent_table.h"

namespace gloss::dashboard {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;
using Row = LatentTable::Row;

constexpr const char* kQuestion = "after once upon a word";
constexpr const char* kEncoded = "after+once+upon+a+word";

/// The explanations of the made-up run, embedded by their letters but for every seventh.
class MeaningTest : public ::testing::Test {
 protected:
  MeaningTest() {
    std::vector<std::string> texts;
    for (const char* hookpoint : {"layers.2", "layers.10"}) {
      made_.made.store->each_explanation(hookpoint, "", [&](const store::ExplanationRow& row) {
        if (!row.explanation.text.empty()) texts.push_back(row.explanation.text);
      });
    }
    for (std::size_t i = 0; i < texts.size(); ++i) {
      if (i % 7 != 3) embedded_.push_back(texts[i]);
    }
    made_.input.meaning =
        testing::meaning_by_letters(made_.folder.path() / "explanation-embeddings.safetensors", embedded_);
    made_.input.meaning->embed = [this](const std::string& text) {
      ++asked_;
      return testing::letters_of(text);
    };
    run_ = made_.run();
  }
  const LatentTable& table() const { return run_->table(); }
  bool is_embedded(const std::string& text) const {
    return std::find(embedded_.begin(), embedded_.end(), text) != embedded_.end();
  }
  /// As the table is to have it, from the text itself; NaN = not embedded.
  float similarity(const std::string& explainer, Row row, const std::string& question) const {
    const std::string text = table().explanation(explainer, row);
    if (text.empty() || !is_embedded(text)) return std::nanf("");
    const TextEmbeddings& texts = run_->input().meaning->texts;
    TextPlaces places(texts.keys());
    return texts.cosine(texts.query(testing::letters_of(question)), places.find(text_key(text)));
  }
  /// Embedded rows, the nearest first (or last), equal ones in the order of the run.
  std::vector<Row> ranked(const std::string& explainer, const std::string& question, bool descending) const {
    std::vector<Row> rows;
    for (Row r = 0; r < table().row_count(); ++r) {
      if (!std::isnan(similarity(explainer, r, question))) rows.push_back(r);
    }
    std::stable_sort(rows.begin(), rows.end(), [&](Row a, Row b) {
      const float x = similarity(explainer, a, question);
      const float y = similarity(explainer, b, question);
      return descending ? x > y : x < y;
    });
    return rows;
  }
  static TableQuery asking(const std::string& explainer) {
    TableQuery query;
    query.like = kQuestion;
    query.explainer = explainer;
    query.sort = "similarity";
    query.descending = true;
    return query;
  }

  testing::MadeUpDashboard made_;
  std::vector<std::string> embedded_;
  std::atomic<int> asked_{0};
  std::unique_ptr<dashboard::Run> run_;
};

TEST_F(MeaningTest, RanksWhatIsEmbedded) {
  for (const char* explainer : {"pattern", "human"}) {
    for (const bool descending : {true, false}) {
      TableQuery query = asking(explainer);
      query.descending = descending;
      const std::vector<Row> wanted = ranked(explainer, kQuestion, descending);
      ASSERT_GT(wanted.size(), 10U);
      EXPECT_EQ(table().embedded_count(explainer), wanted.size());
      const LatentTable::Page all = table().page(query, 0, 500);
      EXPECT_EQ(all.total, wanted.size());
      EXPECT_EQ(all.rows, wanted);
      for (std::size_t i = 0; i < all.rows.size(); ++i)
        EXPECT_EQ(all.similarity.at(i), similarity(explainer, all.rows[i], kQuestion));
      const LatentTable::Page part = table().page(query, 5, 3);
      EXPECT_EQ(part.rows, std::vector<Row>(wanted.begin() + 5, wanted.begin() + 8));
      EXPECT_EQ(part.total, wanted.size());
      EXPECT_TRUE(table().page(query, wanted.size(), 3).rows.empty());
    }
  }
  EXPECT_EQ(asked_, 1) << "a question is embedded once";
}

TEST_F(MeaningTest, GoesTogetherWithTheRestOfAFilter) {
  TableQuery query = asking("pattern");
  query.hookpoint = "layers.10";
  query.where = "similarity>=0.5 and detection>0.5";
  std::vector<Row> wanted;
  const std::size_t detection = 0;
  ASSERT_EQ(table().score_keys()[detection].key, "detection");
  for (const Row row : ranked("pattern", kQuestion, true)) {
    const auto score = table().score("pattern", detection, row);
    if (row >= testing::kLatents && similarity("pattern", row, kQuestion) >= 0.5F && score && score->value > 0.5)
      wanted.push_back(row);
  }
  ASSERT_FALSE(wanted.empty());
  EXPECT_EQ(table().page(query, 0, 500).rows, wanted);
  query.sort = "latent";
  query.descending = false;
  std::sort(wanted.begin(), wanted.end());
  const LatentTable::Page in_order = table().page(query, 0, 500);
  EXPECT_EQ(in_order.rows, wanted);
  EXPECT_EQ(in_order.similarity.size(), wanted.size());
  query.sort = "similarity";
  query.like = "another";
  EXPECT_NE(table().page(query, 0, 500).rows, wanted) << "kept from another question";
}

TEST_F(MeaningTest, SimilaritiesHaveAHistogram) {
  const auto histograms = table().histograms(asking("pattern"));
  ASSERT_EQ(histograms.back().name, "similarity");
  std::uint64_t all = 0;
  for (const std::uint64_t count : histograms.back().all) all += count;
  EXPECT_EQ(all, table().embedded_count("pattern"));
  for (const auto& h : table().histograms({})) EXPECT_NE(h.name, "similarity");
}

TEST_F(MeaningTest, SaysWhatIsWrong) {
  TableQuery query = asking("pattern");
  query.like = std::string(LatentTable::kMostQuestion + 1, 'x');
  EXPECT_THROW(table().page(query, 0, 1), Error);
  query.like = " \n ";
  EXPECT_THROW(table().page(query, 0, 1), Error) << "an order by nearness to nothing";
  query.sort = "latent";
  EXPECT_EQ(table().page(query, 0, 1).total, table().row_count()) << "a question without letters is none";
  query.where = "similarity>0.1";
  EXPECT_EQ(table().page(query, 0, 1).total, 0U);
}

TEST_F(MeaningTest, AnExplanationThatChangesIsNotEmbeddedAnyMore) {
  const std::uint64_t before = *table().embedded_count("human");
  const Row nearest = table().page(asking("human"), 0, 1).rows.front();
  run_->table().add_explanation("human", nearest, "says something else now");
  EXPECT_EQ(*table().embedded_count("human"), before - 1);
  EXPECT_NE(table().page(asking("human"), 0, 1).rows.front(), nearest);
  run_->table().add_explanation("person:ann", nearest, "a first one");
  EXPECT_EQ(*table().embedded_count("person:ann"), 0U);
  EXPECT_EQ(table().page(asking("person:ann"), 0, 1).total, 0U);
}

TEST_F(MeaningTest, AnswersManyThreadsTheSame) {
  const std::vector<Row> wanted = ranked("pattern", kQuestion, true);
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  threads.reserve(8);
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        TableQuery query = asking("pattern");
        if (t % 2 == 0 && table().page(query, 0, 500).rows != wanted) ++wrong;
        query.like = "question " + std::to_string(i % 6);
        if (table().page(query, 0, 500).rows.size() != wanted.size()) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(MeaningTest, TheApiTellsSimilarities) {
  const std::vector<Row> wanted = ranked("pattern", kQuestion, true);
  std::vector<std::unique_ptr<dashboard::Run>> runs;
  runs.push_back(std::move(run_));
  const dashboard::Run& run = *runs.front();
  const Api api(ApiOptions{"9.9", testing::loopback()}, std::move(runs));
  const auto ask = [&](const std::string& path) { return api.answer(testing::get("/api/v1/runs" + path)); };
  const Json meaning = Json::parse(ask("").body)[0]["meaning"];
  EXPECT_EQ(meaning["embedder"], "letters");
  EXPECT_EQ(meaning["explanations"]["pattern"], wanted.size());
  const Json page = Json::parse(ask(std::string("/0/latents?explainer=pattern&limit=5&like=") + kEncoded).body);
  EXPECT_EQ(page["total"], wanted.size());
  ASSERT_EQ(page["rows"].size(), 5U);
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(run.table().find(page["rows"][i]["hookpoint"].get<std::string>(), page["rows"][i]["latent"]), wanted[i])
        << "the nearest come first without being asked to";
    EXPECT_TRUE(page["rows"][i]["similarity"].is_number());
  }
  const Json plain = Json::parse(ask("/0/latents?limit=1").body);
  EXPECT_FALSE(plain["rows"][0].contains("similarity"));
  const Response refused = ask("/0/latents?like=" + std::string(LatentTable::kMostQuestion + 1, 'x'));
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(ask("/0/latents?like=%3Cscript%3E%F0%9F%90%88").status, 200);
  EXPECT_EQ(ask("/0/latents?like=%FF%00").status, 400) << "no text";
  EXPECT_EQ(ask("/0/random?explainer=pattern&like=x").status, 200);
}

TEST(Meaning, ARunWithoutEmbeddingsSaysSo) {
  testing::MadeUpDashboard made;
  std::vector<std::unique_ptr<dashboard::Run>> runs;
  runs.push_back(made.run());
  const Api api(ApiOptions{"9.9", testing::loopback()}, std::move(runs));
  EXPECT_EQ(Json::parse(api.answer(testing::get("/api/v1/runs")).body)[0]["meaning"], nullptr);
  const Response refused = api.answer(testing::get("/api/v1/runs/0/latents?like=x"));
  EXPECT_EQ(refused.status, 400);
  EXPECT_THAT(refused.body, HasSubstr("gloss embed RUN"));
  EXPECT_EQ(api.answer(testing::get("/api/v1/runs/0/latents?where=similarity%3E0")).status, 400);
}

}  // namespace
}  // namespace gloss::dashboard
