#include "gloss/store/schema.h"

#include <fmt/format.h>

#include <array>

#include "gloss/base/error.h"

namespace gloss::store {
namespace {

/// Has all tables: later ones are only quicker.
constexpr std::int64_t kReadableSchema = 6;
constexpr std::int64_t kApplicationId = 0x474C4F53;  // "GLOS"

constexpr const char* kTables = R"sql(
CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE name (
  id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,  -- hookpoint, explainer, scorer, judge, measure, stage, provider, kind, role
  text TEXT NOT NULL,
  UNIQUE (kind, text)
) STRICT;

CREATE TABLE latent (
  hookpoint INTEGER NOT NULL REFERENCES name,
  latent INTEGER NOT NULL,
  firing_count INTEGER NOT NULL,
  density REAL,
  max_activation REAL,
  window_count INTEGER NOT NULL,
  status INTEGER NOT NULL,  -- 0 ok, 1 too rare, 2 dead
  PRIMARY KEY (hookpoint, latent)
) STRICT, WITHOUT ROWID;

CREATE TABLE call (
  id INTEGER PRIMARY KEY,
  hash ANY NOT NULL UNIQUE  -- 16 bytes; text when it is no such hash
) STRICT;

CREATE TABLE reply (
  call INTEGER PRIMARY KEY REFERENCES call,
  text ANY NOT NULL,  -- TEXT as it is, or BLOB: a zstd frame
  failure TEXT NOT NULL,
  prompt_tokens INTEGER NOT NULL,
  completion_tokens INTEGER NOT NULL,
  probabilities BLOB  -- f64 little-endian [choices of the request]; NULL when there are none
) STRICT;

CREATE TABLE explanation (
  id INTEGER PRIMARY KEY,
  hookpoint INTEGER NOT NULL REFERENCES name,
  latent INTEGER NOT NULL,
  explainer INTEGER NOT NULL REFERENCES name,
  text TEXT NOT NULL,
  program TEXT NOT NULL,
  failure TEXT NOT NULL,
  call INTEGER REFERENCES call,
  UNIQUE (hookpoint, latent, explainer)
) STRICT;

CREATE TABLE score (
  id INTEGER PRIMARY KEY,
  hookpoint INTEGER NOT NULL REFERENCES name,
  latent INTEGER NOT NULL,
  explainer INTEGER NOT NULL REFERENCES name,
  scorer INTEGER NOT NULL REFERENCES name,
  judge INTEGER NOT NULL REFERENCES name,
  tp INTEGER NOT NULL, fp INTEGER NOT NULL, tn INTEGER NOT NULL, fn INTEGER NOT NULL, failed INTEGER NOT NULL,
  balanced_accuracy REAL, balanced_accuracy_low REAL, balanced_accuracy_high REAL,
  recall REAL, recall_low REAL, recall_high REAL,
  specificity REAL, specificity_low REAL, specificity_high REAL,
  precision REAL, precision_low REAL, precision_high REAL,
  f1 REAL, auc REAL,
  per_quantile BLOB NOT NULL,  -- f64 little-endian [Q, 3]: accuracy, low, high; weakest quantile first
  UNIQUE (hookpoint, latent, explainer, scorer, judge)
) STRICT;

CREATE TABLE judgement (
  score INTEGER NOT NULL REFERENCES score,
  start INTEGER NOT NULL,  -- position of the window's first token: context * ctx_len + offset
  kind INTEGER NOT NULL,  -- 0 activating; silent: 1 random, 2 of a neighbour, 3 near in meaning; 4 a written text
  quantile INTEGER NOT NULL,
  truth INTEGER NOT NULL,
  verdict INTEGER NOT NULL,  -- 0 no, 1 yes, 2 failed
  probability REAL,
  call INTEGER REFERENCES call,
  PRIMARY KEY (score, start, kind)
) STRICT, WITHOUT ROWID;

CREATE VIEW named_score AS
SELECT s.id, h.text AS hookpoint, s.latent, e.text AS explainer, c.text AS scorer, j.text AS judge,
  s.tp, s.fp, s.tn, s.fn, s.failed, s.balanced_accuracy, s.balanced_accuracy_low, s.balanced_accuracy_high,
  s.recall, s.specificity, s.precision, s.f1, s.auc
FROM score s JOIN name h ON h.id = s.hookpoint JOIN name e ON e.id = s.explainer
  JOIN name c ON c.id = s.scorer JOIN name j ON j.id = s.judge;
)sql";

/// What schema 2 adds to schema 1; a new file gets it too.
constexpr const char* kSecond = R"sql(
ALTER TABLE latent ADD COLUMN silent_wanted INTEGER NOT NULL DEFAULT 0;  -- silent test windows
ALTER TABLE latent ADD COLUMN silent_found INTEGER NOT NULL DEFAULT 0;

CREATE TABLE hard_negative (  -- where a silent window that is not a random one comes from
  hookpoint INTEGER NOT NULL REFERENCES name,
  latent INTEGER NOT NULL,
  start INTEGER NOT NULL,
  kind INTEGER NOT NULL,  -- as in judgement
  neighbour INTEGER,  -- the latent that fires there
  rank INTEGER,  -- of the neighbour, 1 = nearest
  similarity REAL NOT NULL,  -- of the two latents, or in meaning
  PRIMARY KEY (hookpoint, latent, start)
) STRICT, WITHOUT ROWID;
)sql";

/// What schema 4 adds; a new file gets it too.
constexpr const char* kFourth = R"sql(
CREATE TABLE measure (  -- numbers of a score that not every scorer gives
  score INTEGER NOT NULL REFERENCES score,
  name INTEGER NOT NULL REFERENCES name,
  value REAL NOT NULL,
  low REAL,
  high REAL,
  PRIMARY KEY (score, name)
) STRICT, WITHOUT ROWID;
)sql";

/// What schema 5 adds; a new file gets it too.
constexpr const char* kFifth = R"sql(
CREATE TABLE cost (  -- a row for every reply that was paid for, also those that were no answers
  id INTEGER PRIMARY KEY,
  call INTEGER NOT NULL REFERENCES call,
  stage INTEGER REFERENCES name,
  hookpoint INTEGER REFERENCES name,
  latent INTEGER,
  provider INTEGER NOT NULL REFERENCES name,
  prompt_tokens INTEGER NOT NULL,
  cached_tokens INTEGER NOT NULL,  -- of the prompt's
  completion_tokens INTEGER NOT NULL,
  dollars REAL NOT NULL
) STRICT;
)sql";

/// What schema 6 adds; a new file gets it too.
constexpr const char* kSixth = R"sql(
CREATE TABLE filter (  -- what was looked for among all latents of a hookpoint
  hookpoint INTEGER NOT NULL REFERENCES name,
  kind INTEGER NOT NULL REFERENCES name,
  rule TEXT NOT NULL,
  PRIMARY KEY (hookpoint, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE latent_kind (  -- and found
  hookpoint INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  latent INTEGER NOT NULL,
  value REAL NOT NULL,
  PRIMARY KEY (hookpoint, kind, latent),
  FOREIGN KEY (hookpoint, kind) REFERENCES filter
) STRICT, WITHOUT ROWID;
)sql";

/// What schema 7 adds; a new file gets it too.
constexpr const char* kSeventh = R"sql(
CREATE INDEX cost_of_latent ON cost (hookpoint, latent);
CREATE INDEX cost_of_call ON cost (call);
)sql";

/// What schema 8 adds; a new file gets it too.
constexpr const char* kEighth = R"sql(
CREATE TABLE message (  -- of prompts, which have many in common
  id INTEGER PRIMARY KEY,
  hash BLOB NOT NULL UNIQUE,  -- 16 bytes, of role and text
  role INTEGER NOT NULL REFERENCES name,
  text ANY NOT NULL  -- as reply.text
) STRICT;

CREATE TABLE prompt (
  call INTEGER PRIMARY KEY REFERENCES call,
  messages BLOB NOT NULL  -- i64 little-endian [messages]: message.id, in their order
) STRICT;
)sql";

/// What makes a file of schema i + 1 one of schema i + 2.
constexpr std::array<const char*, kSchemaVersion - 1> kUpgrades = {
    kSecond, "ALTER TABLE reply ADD COLUMN probabilities BLOB", kFourth, kFifth, kSixth, kSeventh, kEighth};

bool is_empty(const Database& database) {
  Statement statement(database, "SELECT count(*) FROM sqlite_schema");
  Query query(statement);
  return query.next() && query.integer(0) == 0;
}

void check_owner(const Database& database) {
  if (database.pragma("application_id") != kApplicationId) {
    fail_input(database.name(), "is an SQLite database of another program, wanted results of gloss",
               "move it away to begin a new one");
  }
  const std::int64_t version = database.pragma("user_version");
  if (version > kSchemaVersion) {
    fail_input(database.name(), fmt::format("has schema {}, this gloss knows up to {}", version, kSchemaVersion),
               "it was written by a newer gloss: use that one");
  }
  if (version < 1) fail_input(database.name(), fmt::format("has schema {}, wanted {}", version, kSchemaVersion));
}

/// Requires: a version this gloss knows.
void upgrade(Database& database, bool asked_to_read) {
  const std::int64_t found = database.pragma("user_version");
  if (asked_to_read && found < kReadableSchema)
    fail_input(database.name(),
               fmt::format("has schema {}, and what may only be read must have {} to {}", found, kReadableSchema,
                           kSchemaVersion),
               "open it once without --read-only, which brings it to the newest");
  if (database.pragma("user_version") == kSchemaVersion || database.read_only()) return;
  database.execute("BEGIN IMMEDIATE");
  // Another process may have done it meanwhile.
  for (std::int64_t version = database.pragma("user_version"); version < kSchemaVersion; ++version) {
    database.execute(kUpgrades[static_cast<std::size_t>(version - 1)]);
    database.execute(fmt::format("PRAGMA user_version = {}", version + 1));
  }
  database.execute("COMMIT");
}

}  // namespace

void prepare_schema(Database& database, bool asked_to_read) {
  if (is_empty(database) && !asked_to_read) {
    database.execute("PRAGMA journal_mode = WAL");
    // Another process may be making the same file: look again once it is ours alone.
    database.execute("BEGIN IMMEDIATE");
    if (is_empty(database)) {
      database.execute(kTables);
      database.execute(kSecond);
      database.execute(kFourth);
      database.execute(kFifth);
      database.execute(kSixth);
      database.execute(kSeventh);
      database.execute(kEighth);
      database.execute(
          fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {}", kApplicationId, kSchemaVersion));
    }
    database.execute("COMMIT");
  }
  check_owner(database);
  upgrade(database, asked_to_read);
}

}  // namespace gloss::store
