#include "gloss/store/store.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include "gloss/base/error.h"
#include "gloss/base/natural_order.h"
#include "gloss/store/schema.h"
#include "gloss/store/store_impl.h"

namespace gloss::store {
namespace {

constexpr std::array<std::string_view, 9> kKinds{"hookpoint", "explainer", "scorer", "judge", "measure",
                                                 "stage",     "provider",  "kind",   "role"};
constexpr std::int64_t kPageBytes = 4096;

std::string_view kind_text(NameKind kind) { return kKinds[static_cast<std::size_t>(kind)]; }

LatentRow read_latent(const Query& q, std::string hookpoint) {
  LatentRow row;
  row.hookpoint = std::move(hookpoint);
  row.latent = LatentId{static_cast<std::uint32_t>(q.bounded(0, std::numeric_limits<std::uint32_t>::max(), "latent"))};
  row.firing_count = static_cast<std::uint64_t>(q.integer(1));
  row.density = q.real(2);
  row.max_activation = static_cast<float>(q.real(3));
  row.window_count =
      static_cast<std::uint32_t>(q.bounded(4, std::numeric_limits<std::uint32_t>::max(), "latent.window_count"));
  row.status = static_cast<examples::Status>(q.bounded(5, 2, "latent.status"));
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint32_t>::max();
  row.silent_wanted = static_cast<std::uint32_t>(q.bounded(6, kMost, "latent.silent_wanted"));
  row.silent_found = static_cast<std::uint32_t>(q.bounded(7, kMost, "latent.silent_found"));
  return row;
}

/// A copy that ended early: SQLite would read the missing end of its last page as zeros.
void check_whole(const std::filesystem::path& file, const Database& db) {
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(file, error);
  const auto page = static_cast<std::uintmax_t>(db.pragma("page_size"));
  if (error || page == 0 || size % page == 0) return;
  fail_input(db.name(), fmt::format("has {} bytes, wanted a multiple of {}: it is cut off", size, page),
             "copy the run again, or move the file away to begin a new one");
}

}  // namespace

Store::Impl::Impl(const std::filesystem::path& file, const StoreOptions& options)
    : db(file, options.busy_timeout_ms, options.read_only) {
  prepare_schema(db, options.read_only);
  check_whole(file, db);
  constexpr std::int64_t kSchemaOfPrompts = 8;
  has_prompts = db.pragma("user_version") >= kSchemaOfPrompts;
  // A commit survives the end of the process at once, and a power cut up to the last checkpoint, always consistent.
  db.execute("PRAGMA synchronous = NORMAL; PRAGMA cache_size = -65536; PRAGMA wal_autocheckpoint = 4000");
  if (options.max_bytes > 0) {
    const auto pages = std::max<std::uint64_t>(1, options.max_bytes / kPageBytes);
    db.execute(fmt::format("PRAGMA max_page_count = {}", pages));
  }
}

std::int64_t Store::Impl::find_name(NameKind kind, std::string_view text) {
  std::pair<NameKind, std::string> key(kind, text);
  const auto found = ids.find(key);
  if (found != ids.end()) return found->second;
  Query query(db.kept("SELECT id FROM name WHERE kind = ?1 AND text = ?2"), kind_text(kind), text);
  if (!query.next()) return 0;
  const std::int64_t id = query.integer(0);
  ids.emplace(std::move(key), id);
  return id;
}

std::int64_t Store::Impl::make_name(NameKind kind, std::string_view text) {
  if (const std::int64_t id = find_name(kind, text); id != 0) return id;
  Query(db.kept("INSERT INTO name (kind, text) VALUES (?1, ?2)"), kind_text(kind), text).run();
  return find_name(kind, text);
}

const std::string& Store::Impl::name_text(std::int64_t id) {
  const auto found = texts.find(id);
  if (found != texts.end()) return found->second;
  Query query(db.kept("SELECT text FROM name WHERE id = ?1"), id);
  if (!query.next()) fail_input(db.name(), fmt::format("refers to name {}, which it does not have", id));
  return texts.emplace(id, query.bytes(0)).first->second;
}

std::vector<std::pair<std::int64_t, std::string>> Store::Impl::hookpoints(std::string_view filter) {
  std::vector<std::pair<std::int64_t, std::string>> found;
  Query query(db.kept("SELECT id, text FROM name WHERE kind = 'hookpoint' AND (?1 = '' OR text = ?1)"), filter);
  while (query.next()) found.emplace_back(query.integer(0), query.bytes(1));
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return natural_less(a.second, b.second); });
  return found;
}

std::optional<std::int64_t> Store::Impl::filter_id(NameKind kind, std::string_view filter) {
  if (filter.empty()) return 0;
  const std::int64_t id = find_name(kind, filter);
  return id == 0 ? std::nullopt : std::optional(id);
}

void Store::Impl::begin() {
  if (depth == 0) {
    db.execute("BEGIN IMMEDIATE");
    broken = 0;
  } else {
    db.execute(fmt::format("SAVEPOINT level{}", depth));
  }
  ++depth;
}

void Store::Impl::commit(std::uint32_t level) {
  if (broken > level) {
    fail_system(db.name(), "nothing of this transaction was kept, because a write in it failed",
                "give the same command again; everything committed before is kept");
  }
  db.execute(level == 0 ? std::string("COMMIT") : fmt::format("RELEASE level{}", level));
  depth = level;
}

void Store::Impl::roll_back(std::uint32_t level) noexcept {
  try {
    depth = level;
    forget();
    if (broken > level) broken = 0;
    if (!db.in_transaction()) {
      broken = level;  // SQLite has undone everything, after a full disk for example: the outer ones have nothing left
      return;
    }
    db.execute(level == 0 ? std::string("ROLLBACK") : fmt::format("ROLLBACK TO level{0}; RELEASE level{0}", level));
  } catch (const std::exception&) {
    broken = level;
  }
}

void Store::Impl::forget() noexcept {
  ids.clear();
  texts.clear();
  last_hash.clear();
  last_call = 0;
}

Store::Impl::Write::Write(Impl& impl) : impl_(impl), own_(impl.depth == 0) {
  if (own_) impl_.begin();
}

Store::Impl::Write::~Write() {
  if (done_) return;
  if (own_) {
    impl_.roll_back(0);
  } else {
    impl_.broken = impl_.depth;
  }
}

void Store::Impl::Write::done() {
  if (own_) impl_.commit(0);
  done_ = true;
}

Store::Store(const std::filesystem::path& file, const StoreOptions& options)
    : impl_(std::make_unique<Impl>(file, options)) {}
Store::~Store() = default;

Store::Transaction::Transaction(Store& store) : store_(&store), depth_(store.impl_->depth) { store.impl_->begin(); }

Store::Transaction::~Transaction() {
  if (open_) store_->impl_->roll_back(depth_);
}

void Store::Transaction::commit() {
  store_->impl_->commit(depth_);
  open_ = false;
}

void Store::verify() const {
  constexpr int kShown = 3;
  std::string findings;
  int count = 0;
  const auto tell = [&](const std::string& finding) {
    if (++count <= kShown) findings += (findings.empty() ? "" : "; ") + finding;
  };
  {
    Statement statement(impl_->db, "PRAGMA integrity_check(100)");
    Query query(statement);
    while (query.next()) {
      if (query.bytes(0) != "ok") tell(std::string(query.bytes(0)));
    }
  }
  if (count == 0) {
    Statement statement(impl_->db, "PRAGMA foreign_key_check");
    Query query(statement);
    while (query.next())
      tell(fmt::format("a row of '{}' refers to a row of '{}' that is not there", query.bytes(0), query.bytes(2)));
  }
  if (count > 0)
    fail_input(
        impl_->db.name(),
        fmt::format("is damaged: {}{}", findings, count > kShown ? fmt::format("; and {} more", count - kShown) : ""),
        "copy it again, or move it away and explain and score anew");
}

void Store::each_judged_window(
    const std::function<void(std::string_view hookpoint, LatentId latent, std::uint64_t start)>& visit) const {
  Statement statement(impl_->db,
                      "SELECT h.text, s.latent, j.start FROM judgement j JOIN score s ON s.id = j.score JOIN name h ON "
                      "h.id = s.hookpoint WHERE j.kind <> 4");
  Query query(statement);
  while (query.next()) {
    const auto latent = query.bounded(1, std::numeric_limits<std::uint32_t>::max(), "score.latent");
    visit(query.bytes(0), LatentId{static_cast<std::uint32_t>(latent)},
          query.bounded(2, std::numeric_limits<std::int64_t>::max(), "judgement.start"));
  }
}

void Store::put_latent(const LatentRow& row) {
  Impl::Write write(*impl_);
  Query(impl_->db.kept("INSERT OR REPLACE INTO latent VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"),
        impl_->make_name(NameKind::hookpoint, row.hookpoint), row.latent, row.firing_count, row.density,
        row.max_activation, row.window_count, row.status, row.silent_wanted, row.silent_found)
      .run();
  write.done();
}

std::vector<LatentRow> Store::latents(std::string_view hookpoint) const {
  std::vector<LatentRow> rows;
  for (const auto& [id, name] : impl_->hookpoints(hookpoint)) {
    Query query(impl_->db.kept("SELECT latent, firing_count, density, max_activation, window_count, status, "
                               "silent_wanted, silent_found FROM latent "
                               "WHERE hookpoint = ?1 ORDER BY latent"),
                id);
    while (query.next()) rows.push_back(read_latent(query, name));
  }
  return rows;
}

std::optional<LatentRow> Store::latent(std::string_view hookpoint, LatentId latent) const {
  Query query(impl_->db.kept("SELECT latent, firing_count, density, max_activation, window_count, status, "
                             "silent_wanted, silent_found FROM latent "
                             "WHERE hookpoint = ?1 AND latent = ?2"),
              impl_->find_name(NameKind::hookpoint, hookpoint), latent);
  if (!query.next()) return std::nullopt;
  return read_latent(query, std::string(hookpoint));
}

bool Store::has_explanations() const {
  Query query(impl_->db.kept("SELECT 1 FROM explanation LIMIT 1"));
  return query.next();
}

ResultCounts Store::counts() const {
  Query query(impl_->db.kept(
      "SELECT (SELECT count(*) FROM explanation WHERE explainer IN (SELECT id FROM name WHERE text NOT LIKE "
      "'shuffled:%')), "
      "(SELECT count(*) FROM score WHERE explainer IN (SELECT id FROM name WHERE text NOT LIKE 'shuffled:%'))"));
  query.next();
  return {static_cast<std::uint64_t>(query.integer(0)), static_cast<std::uint64_t>(query.integer(1))};
}

std::int64_t Store::data_version() const {
  Query query(impl_->db.kept("PRAGMA data_version"));
  query.next();
  return query.integer(0);
}

std::vector<LatentId> Store::explained_latents(std::string_view hookpoint) const {
  Query query(impl_->db.kept("SELECT DISTINCT latent FROM explanation WHERE hookpoint = ?1 ORDER BY latent"),
              impl_->find_name(NameKind::hookpoint, hookpoint));
  std::vector<LatentId> latents;
  while (query.next()) {
    const std::uint64_t latent = query.bounded(0, std::numeric_limits<std::uint32_t>::max(), "explanation.latent");
    latents.push_back(LatentId{static_cast<std::uint32_t>(latent)});
  }
  return latents;
}

void Store::put_setting(std::string_view key, std::string_view value) {
  Impl::Write write(*impl_);
  Query(impl_->db.kept("INSERT OR REPLACE INTO setting VALUES (?1, ?2)"), key, value).run();
  write.done();
}

std::optional<std::string> Store::setting(std::string_view key) const {
  Query query(impl_->db.kept("SELECT value FROM setting WHERE key = ?1"), key);
  if (!query.next()) return std::nullopt;
  return std::string(query.bytes(0));
}

std::vector<std::pair<std::string, std::string>> Store::settings(std::string_view prefix) const {
  Query query(impl_->db.kept("SELECT key, value FROM setting WHERE substr(key, 1, length(?1)) = ?1 ORDER BY key"),
              prefix);
  std::vector<std::pair<std::string, std::string>> found;
  while (query.next()) found.emplace_back(query.bytes(0), query.bytes(1));
  return found;
}

}  // namespace gloss::store
