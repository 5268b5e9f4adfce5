#include "gloss/dashboard/latent_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <set>
#include <thread>

#include "gloss/base/error.h"
#include "gloss/dashboard/dashboard_testing.h"
#include "gloss/score/baselines.h"

namespace gloss::dashboard {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Row = LatentTable::Row;

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

/// What a row is made of, kept apart from the table.
struct Slow {
  std::string hookpoint, text;
  std::uint32_t latent = 0;
  double density = 0, firings = 0, max = 0, detection = kNone, shuffled = kNone;
  bool dense = false;
};

score::LatentScore made_up_score(LatentId latent, double value) {
  score::LatentScore s;
  s.latent = latent;
  s.tp = s.tn = 5;
  s.balanced_accuracy = {value, value - 0.1, value + 0.1};
  return s;
}

/// Two hookpoints of random firings, explanations and scores; not every latent has them.
struct RandomRun {
  index::testing::Folder folder;
  std::unique_ptr<store::Store> store;
  std::vector<TableHookpoint> hookpoints;
  std::vector<Slow> rows;

  explicit RandomRun(std::uint64_t seed, std::uint32_t latents = 150) {
    store = std::make_unique<store::Store>(folder.path() / "results.db");
    store::Store::Transaction transaction(*store);
    for (const char* name : {"layers.2", "layers.10"}) add(seed, name, latents);
    transaction.commit();
  }
  void add(std::uint64_t seed, const std::string& name, std::uint32_t latents) {
    constexpr std::uint32_t kTokens = 64 * 16;
    Random random = Random::for_purpose(seed, name);
    std::filesystem::create_directories(folder.path() / name);
    index::WriterOptions options = index::testing::options(latents, 64);
    options.hookpoint = name;
    index::testing::write_index(folder.path() / name, options,
                                index::testing::random_firings(seed, latents, kTokens, 0.02), kTokens);
    hookpoints.push_back({name, index::Reader::open(folder.path() / name / "index.safetensors"), {}});
    const index::Reader& index = hookpoints.back().index;
    store::KindRow dense{"density > 0.02", {}};
    for (std::uint32_t f = 0; f < latents; ++f) {
      const LatentId id{f};
      Slow row{name, "", f, index.density(id), static_cast<double>(index.count(id)), index.max(id)};
      row.dense = row.density > 0.02;
      if (row.dense) dense.latents.emplace_back(id, row.density);
      if (random.uniform() < 0.7) {
        row.text =
            std::string(random.uniform() < 0.5 ? "The cat" : "the DOG") + " of word" + std::to_string(random.below(9));
        store->put_explanation({name, "pattern", {id, row.text, "", "", ""}});
        if (random.uniform() < 0.8) row.detection = put(name, "pattern", id, random);
        if (random.uniform() < 0.6) {
          store->put_explanation({name, score::shuffled_name("pattern"), {id, "another", "", "", ""}});
          row.shuffled = put(name, score::shuffled_name("pattern"), id, random);
        }
      }
      rows.push_back(row);
    }
    store->put_kind(name, "dense", dense);
  }
  double put(const std::string& hookpoint, const std::string& explainer, LatentId id, Random& random) {
    const double value = std::round(random.uniform() * 20) / 20;  // many are equal
    store->put_score({hookpoint, explainer, "detection", "pattern", made_up_score(id, value)}, {});
    return float(value);
  }
  LatentTable table() {
    SilentReporter silent;
    return LatentTable(hookpoints, *store, report::made_up_tokenizer(), silent);
  }
};

using Holds = std::function<bool(const Slow&)>;
using Value = std::function<double(const Slow&)>;

/// The rows that hold, in a stable order of the values; those without one last.
std::vector<Row> slow_page(const std::vector<Slow>& rows, const Holds& holds, const Value& value, bool descending) {
  std::vector<Row> chosen;
  for (Row r = 0; r < rows.size(); ++r) {
    if (holds(rows[r])) chosen.push_back(r);
  }
  std::stable_sort(chosen.begin(), chosen.end(), [&](Row a, Row b) {
    const double x = value(rows[a]);
    const double y = value(rows[b]);
    if (std::isnan(x) || std::isnan(y)) return !std::isnan(x) && std::isnan(y);
    return descending ? x > y : x < y;
  });
  return chosen;
}

struct Case {
  TableQuery query;
  Holds holds;
};

std::vector<Case> cases() {
  const auto has = [](const Slow& r, const char* word) {
    std::string text = r.text;
    std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
    return text.find(word) != std::string::npos;
  };
  std::vector<Case> all(8);
  all[0].holds = [](const Slow&) { return true; };
  all[1].query.where = "density<0.01 and not dense";
  all[1].holds = [](const Slow& r) { return r.density < 0.01 && !r.dense; };
  all[2].query.where = "detection>0.5 or (dense and firings >= 30)";
  all[2].holds = [](const Slow& r) { return r.detection > 0.5 || (r.dense && r.firings >= 30); };
  all[3].query.where = "detection.excess > -0.25";
  all[3].holds = [](const Slow& r) { return float(r.detection) - double(float(r.shuffled)) > -0.25; };
  all[4].query.text = "CAT word3";
  all[4].holds = [has](const Slow& r) { return has(r, "cat") && has(r, "word3"); };
  all[5].query.hookpoint = "layers.10";
  all[5].query.where = "not alive or max>4";
  all[5].holds = [](const Slow& r) { return r.hookpoint == "layers.10" && (r.firings == 0 || r.max > 4); };
  all[6].query.where = "not (detection>0.5)";
  all[6].holds = [](const Slow& r) { return !(r.detection > 0.5); };
  all[7].query.where = "dead";
  all[7].holds = [](const Slow& r) { return r.firings == 0; };
  return all;
}

TEST(LatentTable, PagesAreThoseOfASlowReference) {
  const std::map<std::string, Value> keys{{"latent", [](const Slow&) { return 0.0; }},
                                          {"density", [](const Slow& r) { return r.density; }},
                                          {"firings", [](const Slow& r) { return r.firings; }},
                                          {"max", [](const Slow& r) { return r.max; }},
                                          {"detection", [](const Slow& r) { return r.detection; }},
                                          {"detection.excess", [](const Slow& r) { return r.detection - r.shuffled; }}};
  for (const std::uint64_t seed : {1U, 2U, 3U}) {
    RandomRun run(seed);
    const LatentTable table = run.table();
    ASSERT_EQ(table.row_count(), 300U);
    for (Case c : cases()) {
      for (const auto& [key, value] : keys) {
        for (const bool descending : {false, true}) {
          c.query.sort = key;
          c.query.descending = descending;
          std::vector<Row> wanted = slow_page(run.rows, c.holds, value, descending);
          if (key == "latent" && descending) std::reverse(wanted.begin(), wanted.end());
          SCOPED_TRACE(c.query.where + "|" + c.query.text + "|" + key);
          EXPECT_EQ(table.page(c.query, 0, 1000).rows, wanted);
          const LatentTable::Page part = table.page(c.query, 7, 5);
          EXPECT_EQ(part.total, wanted.size());
          const auto first = wanted.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(7, wanted.size()));
          const auto last = first + std::min<std::ptrdiff_t>(5, wanted.end() - first);
          EXPECT_EQ(part.rows, std::vector<Row>(first, last));
        }
      }
    }
  }
}

// Large enough to be sorted in parts.
TEST(LatentTable, OrdersOfManyLatentsAreThoseOfASlowReference) {
  RandomRun run(9, 12'000);
  const LatentTable table = run.table();
  const Holds all = [](const Slow&) { return true; };
  TableQuery query;
  for (const bool descending : {false, true}) {
    query.descending = descending;
    query.sort = "detection";
    EXPECT_EQ(table.page(query, 0, 100'000).rows,
              slow_page(
                  run.rows, all, [](const Slow& r) { return r.detection; }, descending));
    query.sort = "max";
    EXPECT_EQ(table.page(query, 0, 100'000).rows, slow_page(
                                                      run.rows, all, [](const Slow& r) { return r.max; }, descending));
    query.sort = "explanation";
    std::vector<Row> wanted(run.rows.size());
    std::iota(wanted.begin(), wanted.end(), Row{0});
    std::stable_sort(wanted.begin(), wanted.end(), [&](Row a, Row b) {
      const std::string& x = run.rows[a].text;
      const std::string& y = run.rows[b].text;
      if (x.empty() || y.empty()) return !x.empty() && y.empty();
      return descending ? x > y : x < y;
    });
    EXPECT_EQ(table.page(query, 0, 100'000).rows, wanted);
  }
}

TEST(LatentTable, RowsTellWhatTheStoreHolds) {
  RandomRun run(4);
  const LatentTable table = run.table();
  EXPECT_THAT(table.explainers(), ElementsAre("pattern"));
  ASSERT_EQ(table.score_keys().size(), 1U);
  EXPECT_EQ(table.score_keys()[0].measure, "balanced accuracy");
  for (Row r = 0; r < table.row_count(); ++r) {
    const Slow& slow = run.rows[r];
    const auto [h, latent] = table.latent_of(r);
    EXPECT_EQ(table.hookpoints()[h].name, slow.hookpoint);
    EXPECT_EQ(to_index(latent), slow.latent);
    EXPECT_EQ(table.find(slow.hookpoint, slow.latent), r);
    EXPECT_EQ(table.explanation("pattern", r), slow.text);
    const auto score = table.score("pattern", 0, r);
    EXPECT_EQ(score.has_value(), !std::isnan(slow.detection));
    if (score) {
      EXPECT_EQ(score->value, slow.detection);
      EXPECT_EQ(score->answered, 10U);
      EXPECT_EQ(std::isnan(score->shuffled), std::isnan(slow.shuffled));
    }
    const std::vector<std::string> kinds = table.kinds(r);
    EXPECT_EQ(std::count(kinds.begin(), kinds.end(), "dense") == 1, slow.dense);
  }
  EXPECT_FALSE(table.find("layers.2", 150));
  EXPECT_FALSE(table.find("layers.3", 0));
}

TEST(LatentTable, HistogramsCountEveryLatentOnce) {
  RandomRun run(5);
  const LatentTable table = run.table();
  TableQuery query;
  query.where = "detection>0.5";
  const auto sum = [](const std::vector<std::uint64_t>& v) {
    return std::accumulate(v.begin(), v.end(), std::uint64_t{0});
  };
  std::set<std::string> names;
  for (const LatentTable::Histogram& h : table.histograms(query)) {
    names.insert(h.name);
    ASSERT_EQ(h.edges.size(), h.all.size() + 1);
    EXPECT_TRUE(std::is_sorted(h.edges.begin(), h.edges.end()));
    const auto alive = [&](const Slow& r) { return h.name == "detection" ? !std::isnan(r.detection) : r.firings > 0; };
    EXPECT_EQ(sum(h.all), static_cast<std::uint64_t>(std::count_if(run.rows.begin(), run.rows.end(), alive)));
    EXPECT_EQ(sum(h.chosen),
              static_cast<std::uint64_t>(std::count_if(run.rows.begin(), run.rows.end(),
                                                       [&](const Slow& r) { return alive(r) && r.detection > 0.5; })));
  }
  EXPECT_THAT(names, ElementsAre("density", "detection", "max"));
}

TEST(LatentTable, ExplanationsCanBeAdded) {
  RandomRun run(6);
  LatentTable table = run.table();
  TableQuery query;
  query.text = "zebra";
  EXPECT_EQ(table.page(query, 0, 10).total, 0U);
  table.add_explanation("pattern", 3, "a zebra");
  EXPECT_THAT(table.page(query, 0, 10).rows, ElementsAre(3)) << "no old result is kept";
  table.add_explanation("person:me", 299, "my zebra");
  table.add_explanation("person:me", 0, "first");
  table.add_explanation("person:me", 299, "");
  EXPECT_EQ(table.explanation("person:me", 0), "first");
  EXPECT_EQ(table.explanation("person:me", 299), "");
  for (Row r = 0; r < table.row_count(); ++r)
    EXPECT_EQ(table.explanation("pattern", r), r == 3 ? "a zebra" : run.rows[r].text);
}

TEST(LatentTable, ALatentMovesToItsPlaceWhenItsTextChanges) {
  RandomRun run(8);
  LatentTable table = run.table();
  const auto order = [&](bool descending) {
    TableQuery query;
    query.sort = "explanation";
    query.descending = descending;
    query.explainer = "pattern";
    return table.page(query, 0, run.rows.size()).rows;
  };
  Random random = Random::for_purpose(8, "moves");
  for (int i = 0; i < 60; ++i) {
    const auto row = static_cast<Row>(random.below(run.rows.size()));
    // Texts that others have too, none, and some that are first or last of all.
    const std::vector<std::string> texts{run.rows[random.below(run.rows.size())].text, "", "!", "zz", "The cat"};
    run.rows[row].text = texts[random.below(texts.size())];
    table.add_explanation("pattern", row, run.rows[row].text);
    for (const bool descending : {false, true}) {
      std::vector<Row> wanted(run.rows.size());
      std::iota(wanted.begin(), wanted.end(), Row{0});
      std::stable_sort(wanted.begin(), wanted.end(), [&](Row a, Row b) {
        const std::string& x = run.rows[a].text;
        const std::string& y = run.rows[b].text;
        if (x.empty() || y.empty()) return !x.empty();
        return descending ? x > y : x < y;
      });
      ASSERT_EQ(order(descending), wanted) << i;
    }
  }
}

TEST(LatentTable, TokensAreThoseAtWhichALatentFiresOften) {
  testing::MadeUpDashboard made;
  const std::unique_ptr<dashboard::Run> run = made.run();
  TableQuery query;
  query.token = "OF";  // " of" is token 8, latent 1 of each hookpoint
  EXPECT_THAT(run->table().page(query, 0, 10).rows, ElementsAre(1, testing::kLatents + 1));
  query.token = "no such token";
  EXPECT_EQ(run->table().page(query, 0, 10).total, 0U);
}

TEST(LatentTable, SaysWhatIsWrong) {
  RandomRun run(7);
  const LatentTable table = run.table();
  const auto error = [&](const TableQuery& query) {
    try {
      table.page(query, 0, 1);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string("no error");
  };
  TableQuery query;
  query.where = "detectoin>0.5";
  EXPECT_THAT(error(query), HasSubstr("where: character 1: 'detectoin' is not known; did you mean 'detection'?"));
  query.where = "detection 0.5";
  EXPECT_THAT(error(query), HasSubstr("where: character 11: wanted <, <=, > or >="));
  query.where = "density > -1";
  EXPECT_THAT(error(query), HasSubstr("wanted a number from 0"));
  query.where = std::string(500, '(');
  EXPECT_THAT(error(query), HasSubstr("nested too deeply"));
  query = {};
  query.sort = "densty";
  EXPECT_THAT(error(query), HasSubstr("density"));
  query = {};
  query.hookpoint = "layers.3";
  EXPECT_THAT(error(query), HasSubstr("layers.2"));
  query = {};
  query.explainer = "patern";
  EXPECT_THAT(error(query), HasSubstr("pattern"));
}

TEST(LatentTable, AnswersManyThreadsTheSame) {
  RandomRun run(8);
  const LatentTable table = run.table();
  TableQuery query;
  query.where = "detection>0.3";
  query.sort = "max";
  const std::vector<Row> wanted = run.table().page(query, 0, 1000).rows;
  std::vector<std::thread> threads;
  threads.reserve(8);
  std::atomic<int> wrong{0};
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        TableQuery own = query;
        own.text = t % 2 == 0 ? "" : "the";
        const std::vector<Row> rows = table.page(own, 0, 1000).rows;
        if (t % 2 == 0 && rows != wanted) ++wrong;
        if (i % 10 == 0) table.histograms(own);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace gloss::dashboard
