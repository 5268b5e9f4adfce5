#pragma once
/// Tables of results.db; docs/formats/results.md says what they mean. Private to the store.
#include "gloss/store/database.h"

namespace gloss::store {

inline constexpr std::int64_t kSchemaVersion = 2;

/// Makes the tables of a new file, or brings an older one to this schema; what it holds stays.
/// Errors: bad_input: another program's database, or a newer gloss's.
void prepare_schema(Database& database);

}  // namespace gloss::store
