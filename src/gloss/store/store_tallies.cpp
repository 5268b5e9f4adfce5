#include <algorithm>
#include <limits>
#include <string>
#include <tuple>
#include <utility>

#include "gloss/store/store.h"
#include "gloss/store/store_impl.h"

namespace gloss::store {

void Store::put_negatives(std::string_view hookpoint, LatentId latent, const std::vector<examples::Window>& windows) {
  using examples::WindowKind;
  Impl::Write write(*impl_);
  Database& db = impl_->db;
  const std::int64_t name = impl_->make_name(NameKind::hookpoint, hookpoint);
  for (const examples::Window& w : windows) {
    if (w.kind == WindowKind::activating || w.kind == WindowKind::silent_random) continue;
    const std::int64_t neighbour = w.neighbour.rank == 0 ? -1 : std::int64_t{to_index(w.neighbour.latent)};
    Query(db.kept("INSERT OR REPLACE INTO hard_negative VALUES (?1, ?2, ?3, ?4, nullif(?5, -1), nullif(?6, 0), ?7)"),
          name, latent, w.start, w.kind, neighbour, w.neighbour.rank, w.similarity)
        .run();
  }
  write.done();
}

std::vector<NegativeTally> Store::negative_tallies(bool by_rank) const {
  constexpr std::uint64_t kMostU8 = std::numeric_limits<std::uint8_t>::max();
  constexpr auto kLastKind = static_cast<std::uint64_t>(examples::WindowKind::silent_semantic);
  std::vector<NegativeTally> tallies;
  Query query(
      impl_->db.kept("SELECT e.text, c.text, g.text, j.kind, CASE WHEN ?1 THEN ifnull(n.rank, 0) ELSE 0 END AS place, "
                     "sum(j.verdict <> 2), sum(j.verdict = 0), sum(j.verdict = 2), ifnull(avg(n.similarity), 0.0) "
                     "FROM judgement j JOIN score s ON s.id = j.score JOIN name e ON e.id = s.explainer "
                     "JOIN name c ON c.id = s.scorer JOIN name g ON g.id = s.judge LEFT JOIN hard_negative n "
                     "ON n.hookpoint = s.hookpoint AND n.latent = s.latent AND n.start = j.start AND n.kind = j.kind "
                     "WHERE j.kind BETWEEN 1 AND 3 GROUP BY c.text, e.text, g.text, j.kind, place"),
      by_rank);
  while (query.next()) {
    NegativeTally t{std::string(query.bytes(0)), std::string(query.bytes(1)), std::string(query.bytes(2))};
    t.kind = static_cast<examples::WindowKind>(query.bounded(3, kLastKind, "judgement.kind"));
    t.rank = static_cast<std::uint8_t>(query.bounded(4, kMostU8, "hard_negative.rank"));
    t.answered = static_cast<std::uint64_t>(query.integer(5));
    t.right = static_cast<std::uint64_t>(query.integer(6));
    t.failed = static_cast<std::uint64_t>(query.integer(7));
    t.mean_similarity = query.real(8);
    tallies.push_back(std::move(t));
  }
  return tallies;
}

std::vector<CalibrationTally> Store::calibration_tallies() const {
  std::vector<CalibrationTally> tallies;
  Query query(impl_->db.kept(
      "SELECT e.text, c.text, g.text, min(9, CAST(j.probability * 10 AS INTEGER)) AS bin, count(*), sum(j.truth), "
      "sum(j.probability), sum((j.probability - j.truth) * (j.probability - j.truth)) "
      "FROM judgement j JOIN score s ON s.id = j.score JOIN name e ON e.id = s.explainer "
      "JOIN name c ON c.id = s.scorer JOIN name g ON g.id = s.judge "
      "WHERE j.probability IS NOT NULL AND j.verdict <> 2 GROUP BY c.text, e.text, g.text, bin"));
  while (query.next()) {
    CalibrationTally t{std::string(query.bytes(0)), std::string(query.bytes(1)), std::string(query.bytes(2)), {}};
    const bool same = !tallies.empty() && std::tie(tallies.back().explainer, tallies.back().scorer,
                                                   tallies.back().judge) == std::tie(t.explainer, t.scorer, t.judge);
    if (!same) tallies.push_back(std::move(t));
    score::CalibrationSums& sums =
        tallies.back().bins.at(query.bounded(3, score::kCalibrationBins - 1, "judgement.probability"));
    sums.count = static_cast<std::uint64_t>(query.integer(4));
    sums.positive = static_cast<std::uint64_t>(query.integer(5));
    sums.probabilities = query.real(6);
    sums.squares = query.real(7);
  }
  return tallies;
}

}  // namespace gloss::store
