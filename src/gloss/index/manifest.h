#pragma once
/// Which spilled runs count, and with which options they were made: SPILL/manifest.json.
#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "gloss/index/run_file.h"
#include "gloss/index/writer.h"

namespace gloss::index {

struct Manifest {
  std::uint64_t resume_position = 0;  // every token before it is in `runs`
  std::vector<RunInfo> runs;          // in the order of their positions; run i is run_path(spill_folder, i)

  std::uint64_t firing_count() const;
  float largest() const;  // 0 without firings
};

/// Commits in one step. Errors: failed (disk).
void write_manifest(const std::filesystem::path& spill_folder, const WriterOptions& options, const Manifest& manifest);

/// What lies in the folder; nothing when no manifest does. Checks that its runs are there with their sizes.
/// Errors: bad_input when it is malformed, a run is missing or cut, or it was made with other options (says which).
std::optional<Manifest> read_manifest(const std::filesystem::path& spill_folder, const WriterOptions& options);

/// Deletes what no manifest names: runs from number `kept` on, and temporary files. Foreign files stay.
void remove_runs(const std::filesystem::path& spill_folder, std::size_t kept);
/// Deletes manifest and runs, and the folder if nothing else is in it.
void remove_spill(const std::filesystem::path& spill_folder);

}  // namespace gloss::index
