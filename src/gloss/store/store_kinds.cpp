#include <limits>

#include "gloss/store/store.h"
#include "gloss/store/store_impl.h"

namespace gloss::store {

void Store::put_kind(std::string_view hookpoint, std::string_view kind, const KindRow& row) {
  Impl::Write write(*impl_);
  const std::int64_t place = impl_->make_name(NameKind::hookpoint, hookpoint);
  const std::int64_t name = impl_->make_name(NameKind::kind, kind);
  Query(impl_->db.kept("DELETE FROM latent_kind WHERE hookpoint = ?1 AND kind = ?2"), place, name).run();
  Query(impl_->db.kept("INSERT OR REPLACE INTO filter VALUES (?1, ?2, ?3)"), place, name, row.rule).run();
  for (const auto& [latent, value] : row.latents)
    Query(impl_->db.kept("INSERT INTO latent_kind VALUES (?1, ?2, ?3, ?4)"), place, name, latent, value).run();
  write.done();
}

std::optional<KindRow> Store::kind(std::string_view hookpoint, std::string_view kind) const {
  const std::int64_t place = impl_->find_name(NameKind::hookpoint, hookpoint);
  const std::int64_t name = impl_->find_name(NameKind::kind, kind);
  KindRow row;
  {
    Query query(impl_->db.kept("SELECT rule FROM filter WHERE hookpoint = ?1 AND kind = ?2"), place, name);
    if (!query.next()) return std::nullopt;
    row.rule = query.bytes(0);
  }
  Query query(
      impl_->db.kept("SELECT latent, value FROM latent_kind WHERE hookpoint = ?1 AND kind = ?2 ORDER BY latent"), place,
      name);
  while (query.next()) {
    const auto latent = query.bounded(0, std::numeric_limits<std::uint32_t>::max(), "latent_kind.latent");
    row.latents.emplace_back(LatentId{static_cast<std::uint32_t>(latent)}, query.real(1));
  }
  return row;
}

std::vector<std::pair<std::string, double>> Store::kinds_of(std::string_view hookpoint, LatentId latent) const {
  Query query(impl_->db.kept("SELECT k.text, f.value FROM latent_kind f JOIN name k ON k.id = f.kind "
                             "WHERE f.hookpoint = ?1 AND f.latent = ?2 ORDER BY k.text"),
              impl_->find_name(NameKind::hookpoint, hookpoint), latent);
  std::vector<std::pair<std::string, double>> kinds;
  while (query.next()) kinds.emplace_back(query.bytes(0), query.real(1));
  return kinds;
}

}  // namespace gloss::store
