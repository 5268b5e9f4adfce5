#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <span>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/store/store.h"
#include "gloss/store/store_impl.h"

namespace gloss::store {
namespace {

static_assert(std::endian::native == std::endian::little, "per_quantile is stored as it lies in memory");

constexpr std::uint64_t kMostU32 = std::numeric_limits<std::uint32_t>::max();
constexpr std::size_t kIntervalBytes = 3 * sizeof(double);
constexpr std::size_t kMostQuantiles = 255;
constexpr auto kLastKind = static_cast<std::uint64_t>(examples::WindowKind::written);

std::string pack_intervals(const std::vector<score::Interval>& intervals) {
  std::string packed;
  for (const score::Interval& i : intervals) {
    for (const double v : {i.value, i.low, i.high}) {
      const auto bits = std::bit_cast<std::array<char, sizeof v>>(v);
      packed.append(bits.data(), bits.size());
    }
  }
  return packed;
}

std::vector<score::Interval> unpack_intervals(std::string_view packed, const std::string& where) {
  if (packed.size() % kIntervalBytes != 0 || packed.size() / kIntervalBytes > kMostQuantiles) {
    fail_input(where, fmt::format("score.per_quantile has {} bytes, wanted a multiple of {}, at most {} times",
                                  packed.size(), kIntervalBytes, kMostQuantiles));
  }
  std::vector<score::Interval> intervals(packed.size() / kIntervalBytes);
  for (std::size_t i = 0; i < intervals.size(); ++i) {
    double values[3];
    std::memcpy(values, packed.data() + i * kIntervalBytes, kIntervalBytes);
    intervals[i] = {values[0], values[1], values[2]};
  }
  return intervals;
}

score::Interval read_interval(const Query& q, int column) {
  return {q.real(column), q.real(column + 1), q.real(column + 2)};
}

LatentId read_latent_id(const Query& q, int column) {
  return LatentId{static_cast<std::uint32_t>(q.bounded(column, kMostU32, "latent"))};
}

constexpr const char* kScoreColumns =
    "s.latent, s.explainer, s.scorer, s.judge, s.tp, s.fp, s.tn, s.fn, s.failed, "
    "s.balanced_accuracy, s.balanced_accuracy_low, s.balanced_accuracy_high, s.recall, s.recall_low, s.recall_high, "
    "s.specificity, s.specificity_low, s.specificity_high, s.precision, s.precision_low, s.precision_high, s.f1, "
    "s.auc, "
    "s.per_quantile, s.id";

score::LatentScore read_score(const Query& q, const std::string& where) {
  score::LatentScore s;
  s.latent = read_latent_id(q, 0);
  std::uint32_t* counts[] = {&s.tp, &s.fp, &s.tn, &s.fn, &s.failed};
  int column = 4;
  for (std::uint32_t* count : counts) *count = static_cast<std::uint32_t>(q.bounded(column++, kMostU32, "score count"));
  s.balanced_accuracy = read_interval(q, 9);
  s.recall = read_interval(q, 12);
  s.specificity = read_interval(q, 15);
  s.precision = read_interval(q, 18);
  s.f1 = q.real(21);
  s.auc = q.real(22);
  s.per_quantile = unpack_intervals(q.bytes(23), where);
  return s;
}

/// Ids that make up the key of a score; 0 where there is no such name.
struct ScoreKey {
  std::int64_t hookpoint, explainer, scorer, judge;
  LatentId latent;
};

std::int64_t find_score(Database& db, const ScoreKey& key) {
  Query query(db.kept("SELECT id FROM score WHERE hookpoint = ?1 AND latent = ?2 AND explainer = ?3 AND scorer = ?4 "
                      "AND judge = ?5"),
              key.hookpoint, key.latent, key.explainer, key.scorer, key.judge);
  return query.next() ? query.integer(0) : 0;
}

/// Columns: latent, explainer, text, program, failure, call's hash.
ExplanationRow read_explanation(const Query& query, const std::string& hookpoint) {
  ExplanationRow row{hookpoint, std::string(query.bytes(1)), {}};
  row.explanation.latent = read_latent_id(query, 0);
  row.explanation.text = query.bytes(2);
  row.explanation.program = query.bytes(3);
  row.explanation.failure = query.bytes(4);
  row.explanation.call_hash = hash_column(query, 5);
  return row;
}

void insert_score(Database& db, const ScoreKey& key, const score::LatentScore& s) {
  const std::string per_quantile = pack_intervals(s.per_quantile);
  Query(
      db.kept("INSERT INTO score (hookpoint, latent, explainer, scorer, judge, tp, fp, tn, fn, failed, "
              "balanced_accuracy, balanced_accuracy_low, balanced_accuracy_high, recall, recall_low, recall_high, "
              "specificity, specificity_low, specificity_high, precision, precision_low, precision_high, f1, auc, "
              "per_quantile) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, "
              "?19, ?20, ?21, ?22, ?23, ?24, ?25)"),
      key.hookpoint, key.latent, key.explainer, key.scorer, key.judge, s.tp, s.fp, s.tn, s.fn, s.failed,
      s.balanced_accuracy.value, s.balanced_accuracy.low, s.balanced_accuracy.high, s.recall.value, s.recall.low,
      s.recall.high, s.specificity.value, s.specificity.low, s.specificity.high, s.precision.value, s.precision.low,
      s.precision.high, s.f1, s.auc, std::as_bytes(std::span(per_quantile.data(), per_quantile.size())))
      .run();
}

/// An older file that may only be read has no such table.
const char* measures_query(const Database& db) {
  return db.pragma("user_version") >= 4 ? "SELECT name, value, low, high FROM measure WHERE score = ?1 ORDER BY name"
                                        : "SELECT 0, 0.0, 0.0, 0.0 WHERE ?1 < 0";
}

void delete_score(Database& db, std::int64_t id) {
  Query(db.kept("DELETE FROM judgement WHERE score = ?1"), id).run();
  Query(db.kept("DELETE FROM measure WHERE score = ?1"), id).run();
  Query(db.kept("DELETE FROM score WHERE id = ?1"), id).run();
}

/// In the order of the table's key, which is what makes insertion fast.
std::vector<const score::Judgement*> in_key_order(const std::vector<score::Judgement>& judgements,
                                                  const std::string& where) {
  std::vector<const score::Judgement*> order;
  order.reserve(judgements.size());
  for (const score::Judgement& j : judgements) order.push_back(&j);
  const auto key = [](const score::Judgement* j) { return std::pair(j->start, j->kind); };
  std::sort(order.begin(), order.end(), [&](const auto* a, const auto* b) { return key(a) < key(b); });
  const auto twice =
      std::adjacent_find(order.begin(), order.end(), [&](const auto* a, const auto* b) { return key(a) == key(b); });
  if (twice != order.end()) fail_input(where, fmt::format("window {} was judged twice for one score", (*twice)->start));
  return order;
}

score::Judgement read_judgement(const Query& q) {
  score::Judgement j;
  j.start = static_cast<std::uint32_t>(q.bounded(0, kMostU32, "judgement.start"));
  j.kind = static_cast<examples::WindowKind>(q.bounded(1, kLastKind, "judgement.kind"));
  j.quantile = static_cast<std::uint8_t>(q.bounded(2, kMostQuantiles, "judgement.quantile"));
  j.truth = q.bounded(3, 1, "judgement.truth") == 1;
  j.verdict = static_cast<score::Verdict>(q.bounded(4, 2, "judgement.verdict"));
  j.probability = q.is_null(5) ? -1.0F : static_cast<float>(q.real(5));
  j.call_hash = hash_column(q, 6);
  return j;
}

}  // namespace

void Store::put_explanation(const ExplanationRow& row) {
  Impl::Write write(*impl_);
  Database& db = impl_->db;
  const std::int64_t hookpoint = impl_->make_name(NameKind::hookpoint, row.hookpoint);
  const std::int64_t explainer = impl_->make_name(NameKind::explainer, row.explainer);
  const explain::Explanation& e = row.explanation;
  std::vector<std::int64_t> stale;
  {
    Query scores(db.kept("SELECT id FROM score WHERE hookpoint = ?1 AND latent = ?2 AND explainer = ?3"), hookpoint,
                 e.latent, explainer);
    while (scores.next()) stale.push_back(scores.integer(0));
  }
  for (const std::int64_t id : stale) delete_score(db, id);
  constexpr const char* kInsert =
      "INSERT OR REPLACE INTO explanation (hookpoint, latent, explainer, text, program, failure, call) "
      "VALUES (?1, ?2, ?3, ?4, ?5, ?6, nullif(?7, 0))";
  const std::int64_t call = e.call_hash.empty() ? 0 : impl_->make_call(e.call_hash);
  Query(db.kept(kInsert), hookpoint, e.latent, explainer, e.text, e.program, e.failure, call).run();
  write.done();
}

void Store::each_explanation(std::string_view hookpoint, std::string_view explainer,
                             const std::function<void(const ExplanationRow&)>& visit) const {
  const std::optional<std::int64_t> explainer_id = impl_->filter_id(NameKind::explainer, explainer);
  if (!explainer_id) return;
  for (const auto& [id, name] : impl_->hookpoints(hookpoint)) {
    Query query(impl_->db.kept("SELECT e.latent, n.text, e.text, e.program, e.failure, c.hash FROM explanation e "
                               "JOIN name n ON n.id = e.explainer LEFT JOIN call c ON c.id = e.call "
                               "WHERE e.hookpoint = ?1 AND (?2 = 0 OR e.explainer = ?2) ORDER BY e.latent, n.text"),
                id, *explainer_id);
    while (query.next()) visit(read_explanation(query, name));
  }
}

std::vector<ExplanationRow> Store::explanations(std::string_view hookpoint, std::string_view explainer) const {
  std::vector<ExplanationRow> rows;
  each_explanation(hookpoint, explainer, [&](const ExplanationRow& row) { rows.push_back(row); });
  return rows;
}

std::vector<ExplanationRow> Store::explanations_of(std::string_view hookpoint, LatentId latent) const {
  std::vector<ExplanationRow> rows;
  Query query(impl_->db.kept("SELECT e.latent, n.text, e.text, e.program, e.failure, c.hash FROM explanation e "
                             "JOIN name n ON n.id = e.explainer LEFT JOIN call c ON c.id = e.call "
                             "WHERE e.hookpoint = ?1 AND e.latent = ?2 ORDER BY n.text"),
              impl_->find_name(NameKind::hookpoint, hookpoint), latent);
  while (query.next()) rows.push_back(read_explanation(query, std::string(hookpoint)));
  return rows;
}

std::optional<ExplanationRow> Store::explanation(std::string_view hookpoint, LatentId latent,
                                                 std::string_view explainer) const {
  Query query(impl_->db.kept("SELECT e.text, e.program, e.failure, c.hash FROM explanation e "
                             "LEFT JOIN call c ON c.id = e.call "
                             "WHERE e.hookpoint = ?1 AND e.latent = ?2 AND e.explainer = ?3"),
              impl_->find_name(NameKind::hookpoint, hookpoint), latent,
              impl_->find_name(NameKind::explainer, explainer));
  if (!query.next()) return std::nullopt;
  ExplanationRow row{std::string(hookpoint), std::string(explainer), {}};
  row.explanation.latent = latent;
  row.explanation.text = query.bytes(0);
  row.explanation.program = query.bytes(1);
  row.explanation.failure = query.bytes(2);
  row.explanation.call_hash = hash_column(query, 3);
  return row;
}

void Store::put_score(const ScoreRow& row, const std::vector<score::Judgement>& judgements) {
  Database& db = impl_->db;
  const std::vector<const score::Judgement*> ordered = in_key_order(judgements, db.name());
  Impl::Write write(*impl_);
  const ScoreKey key{
      impl_->make_name(NameKind::hookpoint, row.hookpoint), impl_->make_name(NameKind::explainer, row.explainer),
      impl_->make_name(NameKind::scorer, row.scorer), impl_->make_name(NameKind::judge, row.judge), row.score.latent};
  if (const std::int64_t old = find_score(db, key); old != 0) delete_score(db, old);
  insert_score(db, key, row.score);
  const std::int64_t id = db.last_id();
  for (const score::Measure& m : row.score.measures) {
    Query(db.kept("INSERT INTO measure VALUES (?1, ?2, ?3, ?4, ?5)"), id, impl_->make_name(NameKind::measure, m.name),
          m.value.value, m.value.low, m.value.high)
        .run();
  }
  Statement& insert = db.kept("INSERT INTO judgement VALUES (?1, ?2, ?3, ?4, ?5, ?6, nullif(?7, -1.0), nullif(?8, 0))");
  for (const score::Judgement* j : ordered) {
    const std::int64_t call = j->call_hash.empty() ? 0 : impl_->make_call(j->call_hash);
    Query(insert, id, j->start, j->kind, j->quantile, j->truth, j->verdict, j->probability, call).run();
  }
  write.done();
}

void Store::each_score(std::string_view hookpoint, std::string_view explainer, std::string_view scorer,
                       const std::function<void(const ScoreRow&)>& visit) const {
  const auto explainer_id = impl_->filter_id(NameKind::explainer, explainer);
  const auto scorer_id = impl_->filter_id(NameKind::scorer, scorer);
  if (!explainer_id || !scorer_id) return;
  // Not a kept statement: `visit` may ask the store again.
  Statement statement(impl_->db, fmt::format("SELECT {} FROM score s JOIN name e ON e.id = s.explainer "
                                             "JOIN name c ON c.id = s.scorer JOIN name j ON j.id = s.judge "
                                             "WHERE s.hookpoint = ?1 AND (?2 = 0 OR s.explainer = ?2) "
                                             "AND (?3 = 0 OR s.scorer = ?3) ORDER BY s.latent, e.text, c.text, j.text",
                                             kScoreColumns));
  Statement measures(impl_->db, measures_query(impl_->db));
  for (const auto& [id, name] : impl_->hookpoints(hookpoint)) {
    Query query(statement, id, *explainer_id, *scorer_id);
    while (query.next()) {
      ScoreRow row{name, impl_->name_text(query.integer(1)), impl_->name_text(query.integer(2)),
                   impl_->name_text(query.integer(3)), read_score(query, impl_->db.name())};
      Query found(measures, query.integer(24));
      while (found.next()) row.score.measures.push_back({impl_->name_text(found.integer(0)), read_interval(found, 1)});
      visit(row);
    }
  }
}

std::vector<ScoreRow> Store::scores_of(std::string_view hookpoint, LatentId latent) const {
  static const std::string kOfLatent = fmt::format(
      "SELECT {} FROM score s JOIN name e ON e.id = s.explainer JOIN name c ON c.id = s.scorer JOIN name j ON "
      "j.id = s.judge WHERE s.hookpoint = ?1 AND s.latent = ?2 ORDER BY e.text, c.text, j.text",
      kScoreColumns);
  Statement& statement = impl_->db.kept(kOfLatent.c_str());
  Statement& measures = impl_->db.kept(measures_query(impl_->db));
  std::vector<ScoreRow> rows;
  Query query(statement, impl_->find_name(NameKind::hookpoint, hookpoint), latent);
  while (query.next()) {
    ScoreRow& row = rows.emplace_back(ScoreRow{std::string(hookpoint), impl_->name_text(query.integer(1)),
                                               impl_->name_text(query.integer(2)), impl_->name_text(query.integer(3)),
                                               read_score(query, impl_->db.name())});
    Query found(measures, query.integer(24));
    while (found.next()) row.score.measures.push_back({impl_->name_text(found.integer(0)), read_interval(found, 1)});
  }
  return rows;
}

std::vector<ScoreRow> Store::scores(std::string_view hookpoint, std::string_view explainer,
                                    std::string_view scorer) const {
  std::vector<ScoreRow> rows;
  each_score(hookpoint, explainer, scorer, [&](const ScoreRow& row) { rows.push_back(row); });
  return rows;
}

std::vector<score::Judgement> Store::judgements(std::string_view hookpoint, LatentId latent, std::string_view explainer,
                                                std::string_view scorer, std::string_view judge) const {
  const ScoreKey key{impl_->find_name(NameKind::hookpoint, hookpoint), impl_->find_name(NameKind::explainer, explainer),
                     impl_->find_name(NameKind::scorer, scorer), impl_->find_name(NameKind::judge, judge), latent};
  std::vector<score::Judgement> found;
  Query query(impl_->db.kept("SELECT j.start, j.kind, j.quantile, j.truth, j.verdict, j.probability, c.hash "
                             "FROM judgement j LEFT JOIN call c ON c.id = j.call WHERE j.score = ?1 "
                             "ORDER BY j.start, j.kind"),
              find_score(impl_->db, key));
  while (query.next()) found.push_back(read_judgement(query));
  return found;
}

bool Store::has_score(std::string_view hookpoint, LatentId latent, std::string_view explainer, std::string_view scorer,
                      std::string_view judge) const {
  const ScoreKey key{impl_->find_name(NameKind::hookpoint, hookpoint), impl_->find_name(NameKind::explainer, explainer),
                     impl_->find_name(NameKind::scorer, scorer), impl_->find_name(NameKind::judge, judge), latent};
  return find_score(impl_->db, key) != 0;
}

}  // namespace gloss::store
