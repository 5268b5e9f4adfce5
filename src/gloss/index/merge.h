#pragma once
/// Spilled runs in, one activation index out, within fixed memory. Layout: docs/formats/activation-index.md.
#include <cstdint>
#include <filesystem>

#include "gloss/base/reporter.h"
#include "gloss/index/manifest.h"
#include "gloss/index/writer.h"

namespace gloss::index {

/// Whether an index with this largest activation is stored as f16 (unless full precision is asked for).
bool fits_half(float largest);

/// Merges the runs to FOLDER/index.safetensors and commits it; the runs stay. Their firings are read once.
/// Errors: failed (disk); bad_input when a run is not what its checksums say; interrupted (nothing is lost).
void merge_runs(const std::filesystem::path& folder, const WriterOptions& options, const Manifest& manifest,
                std::uint64_t token_count, std::uint64_t excluded_token_count, Reporter& reporter);

}  // namespace gloss::index
