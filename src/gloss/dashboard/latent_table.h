#pragma once
/// All latents of a run as columns in memory, so that a page of a million of them, filtered and sorted, takes
/// milliseconds. About 20 bytes a latent, 28 for each score column, and the text of the explanations.
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gloss/base/ids.h"
#include "gloss/base/reporter.h"
#include "gloss/dashboard/text_embeddings.h"
#include "gloss/examples/latent_condition.h"
#include "gloss/index/reader.h"
#include "gloss/index/statistics.h"
#include "gloss/store/store.h"
#include "gloss/text/tokenizer.h"

namespace gloss::dashboard {

/// What is known of a hookpoint from its firings. Both are handles.
struct TableHookpoint {
  std::string name;
  index::Reader index;
  std::optional<index::StatisticsReader> statistics;  // where there are none, no latent fires at a token asked for
};

/// A scorer with a judge; `key` is what conditions and sorting call it: the scorer's name, with ".2", ".3" for further
/// judges of the same scorer in the order of their names. People's judgements ("person:NAME") have no column.
struct ScoreKey {
  std::string key, scorer, judge, measure;
};

/// Which latents, in which order. Texts that are "" ask for nothing.
struct TableQuery {
  std::string where;            // a condition of examples/latent_condition.h; numbers: a key, KEY.excess, or similarity
  std::string text;             // words, each of which the explanation holds; ASCII letters in either case
  std::string like;             // explanations are ranked by nearness in meaning; those not embedded are left out
  std::string token;            // the latent fires often at a token of this text, spaces around it aside
  std::string hookpoint;        // "" = all
  std::string explainer;        // "" = the first of explainers()
  std::string sort = "latent";  // density, firings, max, explanation, similarity (to `like`), a key, or KEY.excess
  bool descending = false;      // latents without a value come last either way; equal ones as the run has them

  /// Whether `like` holds more than spaces.
  bool asks_meaning() const { return like.find_first_not_of(" \t\r\n") != std::string::npos; }
};

/// Immutable but for its caches and add_explanation(); any thread may ask at any time.
class LatentTable {
 public:
  using Row = std::uint32_t;
  struct Score {
    double value, low, high, shuffled, chance;  // NaN = none
    std::uint32_t answered, failed;             // judgements
  };
  struct Page {
    std::uint64_t total = 0;
    std::vector<Row> rows;
    std::vector<float> similarity;  // of the rows; empty unless TableQuery::like asks for it
  };
  static constexpr std::size_t kMostQuestion = 2000;
  /// Values between `edges` (of the base-10 logarithm when `log`; values that are not positive are left out).
  struct Histogram {
    std::string name;
    bool log = false;
    std::vector<double> edges;               // [bins + 1]
    std::vector<std::uint64_t> all, chosen;  // [bins]
  };

  /// Reads the store once. `tokenizer` is for TableQuery::token, `meaning` for TableQuery::like. Errors: bad_input when
  /// store and index disagree, or there are 2^32 latents.
  LatentTable(std::vector<TableHookpoint> hookpoints, const store::Store& store, text::Tokenizer tokenizer,
              Reporter& reporter, std::optional<MeaningSearch> meaning = {});
  ~LatentTable();
  LatentTable(const LatentTable&) = delete;
  LatentTable& operator=(const LatentTable&) = delete;

  Row row_count() const { return rows_; }
  const std::vector<TableHookpoint>& hookpoints() const { return hookpoints_; }
  /// Baselines left out; the one with the most explanations first.
  std::vector<std::string> explainers() const;
  const std::vector<ScoreKey>& score_keys() const { return keys_; }
  /// Rules of the kinds that filters told, by name.
  const std::map<std::string, std::string>& rules() const { return rules_; }
  /// What conditions may compare beside density, firings and max.
  const std::vector<std::string>& numbers() const { return numbers_; }

  /// Rows whose explanation by this explainer is embedded; none where the run has no embeddings.
  std::optional<std::uint64_t> embedded_count(std::string_view explainer) const;

  /// Requires: row < row_count().
  std::pair<std::size_t, LatentId> latent_of(Row row) const;  // place among hookpoints()
  std::optional<Row> find(std::string_view hookpoint, std::uint64_t latent) const;
  std::uint64_t firings(Row row) const;
  double density(Row row) const;
  float max(Row row) const;
  std::vector<std::string> kinds(Row row) const;
  /// "" when there is none.
  std::string explanation(std::string_view explainer, Row row) const;
  std::optional<Score> score(std::string_view explainer, std::size_t key, Row row) const;

  /// Errors (all of the questions): usage: an unknown hookpoint, explainer or sort key; a condition that cannot be read
  /// (says where); TableQuery::like of a run without embeddings, or longer than kMostQuestion bytes. Those of
  /// MeaningSearch::embed.
  Page page(const TableQuery& query, std::uint64_t offset, std::size_t limit) const;
  std::vector<Histogram> histograms(const TableQuery& query) const;

  /// Adds or replaces one.
  void add_explanation(const std::string& explainer, Row row, std::string_view text);

 private:
  struct Explainer;
  struct Caches;
  struct Asked;
  using Bits = std::vector<std::uint8_t>;  // [rows], 0 or 1
  struct Selection {
    Bits in;
    std::uint64_t total = 0;
  };

  void read_explanations(const store::Store& store);
  void read_scores(const store::Store& store, Reporter& reporter);
  void read_kinds(const store::Store& store);
  void find_embeddings();
  Row row_at(std::string_view hookpoint, LatentId latent) const;
  Explainer& explainer_named(const std::string& name);  // made where there is none
  const Explainer* find_explainer(std::string_view name) const;
  const Explainer* chosen_explainer(const std::string& name) const;
  /// Calls each(row, value) for the rows that may have one.
  template <class Each>
  void each_value(const Asked& asked, std::string_view key, const Each& each) const;
  std::vector<double> values(const Asked& asked, std::string_view key) const;
  /// Embeds a question; none when there is none. Waits for the embedder: not for who holds a lock.
  std::shared_ptr<const TextEmbeddings::Query> question(const TableQuery& query) const;
  Asked asked(const TableQuery& query, const TextEmbeddings::Query* question) const;
  std::shared_ptr<const std::vector<float>> similarity(const TableQuery& query, const Explainer* explainer,
                                                       const TextEmbeddings::Query& question) const;
  std::shared_ptr<const Selection> select(const TableQuery& query, const Asked& asked) const;
  static std::vector<Row> most_alike(const Selection& selection, const std::vector<float>& similarity, bool descending,
                                     std::uint64_t offset, std::size_t limit);
  std::shared_ptr<const std::vector<Row>> order(const TableQuery& query, const Asked& asked) const;
  std::shared_ptr<const std::vector<Row>> order_by_text(const Explainer& explainer, bool descending) const;
  void order_texts() const;
  static void move_in_text_orders(Explainer& explainer, Row row);
  Bits holds(const examples::LatentCondition::Test& test, const Asked& asked) const;
  void keep_texts(const Explainer* explainer, std::string_view words, Bits& in) const;
  void keep_tokens(std::string_view text, Bits& in) const;

  std::vector<TableHookpoint> hookpoints_;
  text::Tokenizer tokenizer_;
  std::optional<MeaningSearch> meaning_;
  std::vector<Row> first_;  // [hookpoints + 1]
  Row rows_ = 0;
  std::vector<std::uint16_t> kinds_;  // bit = index::LatentKind
  std::map<std::string, std::string> rules_;
  std::vector<ScoreKey> keys_;
  std::vector<std::string> numbers_;
  std::vector<std::unique_ptr<Explainer>> explainers_;  // those with most texts first
  std::unique_ptr<Caches> caches_;
};

}  // namespace gloss::dashboard
