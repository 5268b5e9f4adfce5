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

std::vector<CallRow> Store::calls_of(std::string_view hookpoint, LatentId latent, std::size_t most) const {
  const std::int64_t place = impl_->find_name(NameKind::hookpoint, hookpoint);
  Query query(impl_->db.kept(
                  "WITH asked(call) AS (SELECT call FROM explanation WHERE hookpoint = ?1 AND latent = ?2 AND call "
                  "IS NOT NULL UNION SELECT j.call FROM score s JOIN judgement j ON j.score = s.id WHERE "
                  "s.hookpoint = ?1 AND s.latent = ?2 AND j.call IS NOT NULL UNION SELECT call FROM cost WHERE "
                  "hookpoint = ?1 AND latent = ?2), paid AS (SELECT c.call, max(c.stage) AS stage, max(c.provider) "
                  "AS provider, sum(c.prompt_tokens) AS prompt, sum(c.completion_tokens) AS completion, "
                  "total(c.dollars) AS dollars FROM cost c JOIN asked a ON a.call = c.call GROUP BY c.call) "
                  "SELECT k.hash, coalesce(s.text, ''), coalesce(p.text, ''), coalesce(r.text, ''), "
                  "coalesce(r.failure, ''), coalesce(paid.prompt, r.prompt_tokens, 0), "
                  "coalesce(paid.completion, r.completion_tokens, 0), coalesce(paid.dollars, 0.0), a.call FROM asked a "
                  "JOIN call k ON k.id = a.call LEFT JOIN reply r ON r.call = a.call LEFT JOIN paid ON paid.call = "
                  "a.call LEFT JOIN name s ON s.id = paid.stage LEFT JOIN name p ON p.id = paid.provider ORDER BY "
                  "a.call LIMIT ?3"),
              place, latent, most);
  std::vector<CallRow> rows;
  std::vector<std::int64_t> call_ids;
  while (query.next()) {
    CallRow& row = rows.emplace_back();
    row.hash = hash_column(query, 0);
    row.stage = query.bytes(1);
    row.provider = query.bytes(2);
    row.text = unpacked_text(query, 3, impl_->db.name());
    row.failure = query.bytes(4);
    row.prompt_tokens = query.bounded(5, kMost, "cost.prompt_tokens");
    row.completion_tokens = query.bounded(6, kMost, "cost.completion_tokens");
    row.dollars = query.real(7);
    call_ids.push_back(query.integer(8));
  }
  if (!impl_->has_prompts) return rows;
  Statement& prompt = impl_->db.kept("SELECT messages FROM prompt WHERE call = ?1");
  for (std::size_t i = 0; i < rows.size(); ++i) {
    Query found(prompt, call_ids[i]);
    if (found.next()) rows[i].messages = impl_->message_ids(found.bytes(0));
  }
  return rows;
}

}  // namespace gloss::store
