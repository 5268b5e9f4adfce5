// The accounts: what was paid for which reply.
#include <limits>

#include "gloss/store/store.h"
#include "gloss/store/store_impl.h"

namespace gloss::store {
namespace {

constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max();

/// Reads the sums that a query gives from column `first` on.
CostRow read_sums(const Query& query, int first) {
  CostRow row;
  row.replies = query.bounded(first, kMost, "cost");
  row.prompt_tokens = query.bounded(first + 1, kMost, "cost.prompt_tokens");
  row.cached_tokens = query.bounded(first + 2, kMost, "cost.cached_tokens");
  row.completion_tokens = query.bounded(first + 3, kMost, "cost.completion_tokens");
  row.dollars = query.real(first + 4);
  return row;
}

}  // namespace

void Store::Impl::put_cost(std::int64_t call, const llm::Reply& reply) {
  const auto name = [&](NameKind kind, const std::string& text) { return text.empty() ? 0 : make_name(kind, text); };
  const std::int64_t stage_id = name(NameKind::stage, stage);
  const std::int64_t hookpoint_id = name(NameKind::hookpoint, stage_hookpoint);
  const std::int64_t provider_id = make_name(NameKind::provider, reply.provider);
  Query(db.kept("INSERT INTO cost (call, stage, hookpoint, latent, provider, prompt_tokens, cached_tokens, "
                "completion_tokens, dollars) VALUES (?1, nullif(?2, 0), nullif(?3, 0), nullif(?4, -1), ?5, ?6, ?7, ?8, "
                "?9)"),
        call, stage_id, hookpoint_id, reply.latent, provider_id, reply.prompt_tokens, reply.cached_tokens,
        reply.completion_tokens, reply.dollars)
      .run();
}

void Store::set_stage(std::string_view stage, std::string_view hookpoint) {
  impl_->stage = stage;
  impl_->stage_hookpoint = hookpoint;
}

std::vector<CostRow> Store::costs() const {
  Query query(
      impl_->db.kept("SELECT coalesce(s.text, ''), p.text, count(*), sum(c.prompt_tokens), "
                     "sum(c.cached_tokens), sum(c.completion_tokens), total(c.dollars) FROM cost c LEFT JOIN "
                     "name s ON s.id = c.stage JOIN name p ON p.id = c.provider GROUP BY 1, 2 ORDER BY 1, 2"));
  std::vector<CostRow> rows;
  while (query.next()) {
    CostRow row = read_sums(query, 2);
    row.stage = query.bytes(0);
    row.provider = query.bytes(1);
    rows.push_back(std::move(row));
  }
  return rows;
}

CostRow Store::cost_of(std::string_view hookpoint, LatentId latent) const {
  Query query(impl_->db.kept("SELECT count(*), coalesce(sum(prompt_tokens), 0), coalesce(sum(cached_tokens), 0), "
                             "coalesce(sum(completion_tokens), 0), total(dollars) FROM cost WHERE hookpoint = ?1 AND "
                             "latent = ?2"),
              impl_->find_name(NameKind::hookpoint, hookpoint), latent);
  query.next();
  return read_sums(query, 0);
}

}  // namespace gloss::store
