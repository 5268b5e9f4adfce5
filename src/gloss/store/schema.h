#pragma once
/// Tables of results.db; docs/formats/results.md says what they mean. Private to the store.
#include "gloss/store/database.h"

namespace gloss::store {

inline constexpr std::int64_t kSchemaVersion = 8;

/// Makes the tables of a new file; an old one's are brought to this schema, unless the file may only be read.
/// Errors: bad_input: another program's database, or a newer gloss's.
void prepare_schema(Database& database, bool asked_to_read = false);

}  // namespace gloss::store
