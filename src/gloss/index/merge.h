#pragma once
/// Spilled runs in, one activation index out, within fixed memory. Layout: docs/formats/activation-index.md.
#include <cstdint>
#include <filesystem>

#include "gloss/base/reporter.h"
#include "gloss/index/firing_buffer.h"
#include "gloss/index/manifest.h"
#include "gloss/index/statistics.h"
#include "gloss/index/writer.h"

namespace gloss::index {

/// Whether an index with this largest activation is stored as f16 (unless full precision is asked for).
bool fits_half(float largest);

/// What the index is of.
struct MergeInput {
  std::uint64_t token_count = 0, excluded_token_count = 0;
  const IndexedTokens* tokens = nullptr;  // for FOLDER/statistics.safetensors; null = none is wanted
  const FiringBuffer* buffer = nullptr;   // firings of the last tokens, in no run; null = all are in runs
};

/// Whether the memory of the options holds the buffer's firings and what merging them with `manifest`'s runs takes.
bool fits_beside_merge(const FiringBuffer& buffer, const WriterOptions& options, const Manifest& manifest,
                       std::uint64_t token_count);

/// Merges the runs and the buffer to FOLDER/index.safetensors and commits it; both stay. Their firings are read once,
/// and the statistics gathered from each range of latents while it is at hand. Errors: failed (disk); bad_input when a
/// run is not what its checksums say; interrupted (nothing is lost).
void merge_runs(const std::filesystem::path& folder, const WriterOptions& options, const Manifest& manifest,
                const MergeInput& input, Reporter& reporter);

}  // namespace gloss::index
