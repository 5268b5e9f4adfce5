#pragma once
/// Joins a run's store, tokens and indexes into what reports are made of.
#include <memory>

#include "gloss/app/run_data.h"
#include "gloss/report/run_data.h"
#include "gloss/store/store.h"

namespace gloss::app {

/// Lifetime: `data` and `store` must outlive the result. Errors: bad_input when nothing was explained yet.
report::RunData report_data(const RunData& data, const store::Store& store);

}  // namespace gloss::app
