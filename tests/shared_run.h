#pragma once
/// The small model's run that tests share: cached once a program, copied by those that write to it.
#include <filesystem>
#include <string>
#include <vector>

#include "run_gloss.h"

namespace gloss::testing {

/// The project's own small model, its coder and its text.
extern const std::string kSmall, kModel, kCoder, kText;
/// The index of its hookpoint, in a run.
inline const std::string kIndex = "latents/layers.2/index.safetensors";

std::vector<std::string> cache_command(const std::string& run, const std::string& tokens = "60k");
/// For tests that only read it.
const std::filesystem::path& cached_run();
/// A copy to write to, as it was cached. Requires: `run` is not there.
void copy_cached_run(const std::filesystem::path& run);
/// The copy FOLDER/run.
std::filesystem::path copy_of_run(const TemporaryFolder& folder);

/// Bytes of a file; "" when there is none.
std::string content(const std::filesystem::path& path);

}  // namespace gloss::testing
