#pragma once
/// Made-up firings as a TopK coder gives them: K latents a token, their frequencies falling as 1/rank.
#include <algorithm>
#include <cstdint>
#include <ctime>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "gloss/base/random.h"
#include "gloss/base/reporter.h"
#include "gloss/index/writer.h"

namespace gloss::bench {

/// Shapes: tokens * k firings, in token order. Ranks are spread over the latents' numbers.
inline std::vector<index::Firing> zipf_firings(std::uint32_t latents, std::uint32_t k, std::uint32_t tokens) {
  std::vector<double> cumulative(latents);
  double total = 0.0;
  for (std::uint32_t rank = 0; rank < latents; ++rank) cumulative[rank] = total += 1.0 / (rank + 1.0);
  Random random = Random::for_purpose(1, "bench firings");
  std::vector<std::uint32_t> name(latents);
  for (std::uint32_t f = 0; f < latents; ++f) name[f] = f;
  random.shuffle(std::span(name));
  std::vector<std::uint32_t> last_seen(latents, ~std::uint32_t{0});
  std::vector<index::Firing> firings;
  firings.reserve(std::size_t{tokens} * k);
  for (std::uint32_t position = 0; position < tokens; ++position) {
    for (std::uint32_t i = 0; i < k;) {
      const auto at = std::upper_bound(cumulative.begin(), cumulative.end(), total * random.uniform());
      const auto rank = static_cast<std::uint32_t>(std::min<std::ptrdiff_t>(at - cumulative.begin(), latents - 1));
      if (last_seen[rank] == position) continue;
      last_seen[rank] = position;
      firings.push_back({name[rank], position, static_cast<float>(0.1 + 8.0 * random.uniform() * random.uniform())});
      ++i;
    }
  }
  return firings;
}

/// A folder that goes away at the end of the program.
class ScratchFolder {
 public:
  explicit ScratchFolder(const std::string& name) : path_(std::filesystem::temp_directory_path() / ("gloss-" + name)) {
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// Seconds of all processors together since the program began: other work on the machine hardly touches it.
inline double processor_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

}  // namespace gloss::bench
